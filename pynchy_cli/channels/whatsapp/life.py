"""The life of one client, from the first dial until it is of no use any more: what it tells is
taken in on the loop, one thing after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from pynchy_cli import log
from pynchy_cli.channels.whatsapp import states
from pynchy_cli.channels.whatsapp.asked import Asked
from pynchy_cli.channels.whatsapp.ear import Ear, Ignored
from pynchy_cli.channels.whatsapp.storing import Storing
from pynchy_cli.channels.whatsapp.wire import (
    DEVICE,
    GROUP_INFO,
    JOINED_GROUP,
    MESSAGE,
    UNDECRYPTABLE,
    Heard,
    Wire,
)

PATIENCE = 120.0
"""Seconds for which whatsmeow may try to connect again; it takes two more with each attempt."""
UNREAD = 60.0
"""Seconds in which a message that can't be read must come again, as the library asks: while a disk
was full it has asked in vain, and asks no more before the next connection."""
CUTTING, DRAINING = 1.0, 5.0
"""Seconds that cutting the connection may take, and then storing what has come already."""
LINGER = 0.5
"""Seconds in which further messages may turn out to be missing; so long nothing comes, before what
is missing is asked for."""
ANSWERS = 10.0
"""Seconds for which that, and answers to what is being sent, are waited for at most."""
ASKING = "what was cut off once is asked for again"
KINDS = {
    MESSAGE: "Message",
    UNDECRYPTABLE: "UndecryptableMessage",
    JOINED_GROUP: "JoinedGroup",
    GROUP_INFO: "GroupInfo",
}


class Life:
    """A client's life. `client` is neonize's object for it, `make` makes its wire, `asked` is
    what was asked for again, in earlier lives too."""

    def __init__(self, client: Any, make: Callable[[Life], Wire], ear: Ear, asked: Asked) -> None:
        self.client = client
        self.me: Any = None
        self.is_up = False
        self.was_up = False
        self._ear = ear
        self._log = log.get("whatsapp")
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._patience: asyncio.TimerHandle | None = None
        self._storing = Storing(ear, self._fail)
        self._unread: set[str] = set()
        self._why = "connecting"
        self.missed: list[Ignored] = []
        self._asked = asked
        self._wire = make(self)

    async def run(self) -> str:
        """Live; why it is over. Raises what only a person can mend."""
        self._wire.start()
        self._be_patient()
        try:
            return await self._over
        finally:
            self.is_up = False
            await self._close()

    def give_up(self, why: str) -> None:
        """Have it be over: nothing goes by it any more."""
        self.is_up = False
        self._finish(why)

    # What the wire tells, on threads of Go's.

    def heard(self, heard: Heard) -> None:
        """An event came."""
        self._post(self._deal, heard)

    def ignored(self, message: Ignored) -> None:
        """A message was ignored."""
        self._post(self._miss, message)

    def unpaired(self) -> None:
        """There is no device."""
        self._post(self._fail, states.unpaired())

    def ended(self, why: str) -> None:
        """The client has ended."""
        error = states.unsaid(why)
        if error is not None:
            self._post(self._fail, error)
        else:
            self._post(self._finish, states.undialled(why) or "the connection was let go")

    def _post(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody hears anything more
            self._loop.call_soon_threadsafe(call, *arguments)

    # On the loop.

    def _deal(self, heard: Heard) -> None:
        if (kind := KINDS.get(heard.code)) is not None and heard.event is not None:
            self._watch_for(heard.code, heard.event)
            self._storing.take(kind, heard.event, heard.dealt_with)
            return
        if kind is not None:
            self._log.warning("what came can't be read", kind=kind)
        elif heard.code == DEVICE:
            self.me = self.client.me = heard.event
        else:
            self._changed(heard.code, heard.event)
        heard.dealt_with()

    def _watch_for(self, code: int, event: Any) -> None:
        """Note what can't be read, until it has come."""
        if code == MESSAGE:
            self._unread.discard(event.Info.ID)
        elif code == UNDECRYPTABLE and event.Info.ID not in self._unread:
            if event.IsUnavailable:
                return  # it was never sent to linked devices
            self._unread.add(event.Info.ID)
            self._loop.call_later(UNREAD, self._long_for, event.Info.ID)

    def _long_for(self, message_id: str) -> None:
        """What hasn't come by now comes with the next connection, if it comes at all."""
        if message_id in self._unread and self.is_up:
            self._unread.discard(message_id)
            if self._asked.may(message_id, self._loop.time(), is_first=True):
                self.give_up("a message could not be read, and may be with another connection")

    def _miss(self, message: Ignored) -> None:
        """Ask for a message again, once, where it isn't stored; with others that may be missing,
        too. What is being sent comes to its end first."""
        if self._ear.has(message):
            self._wire.gate.give_up(message.id)
            return
        is_first = not self.missed
        if not self._asked.may(message.id, self._loop.time(), is_first=is_first):
            give_up = partial(self._wire.gate.give_up, message.id)
            self._storing.take("Ignored", message, give_up)
            return
        self.missed.append(message)
        if is_first:
            self._down(ASKING)
            latest = self._loop.time() + ANSWERS
            self._loop.call_later(LINGER, self._ask, latest, self._wire.gate.signs)

    def _ask(self, latest: float, signs: int) -> None:
        """As soon as nothing else comes any more: what is on its way could not be read, either,
        once the keys are forgotten."""
        gate = self._wire.gate
        is_quiet = gate.signs == signs and not gate.awaits_answers()
        if is_quiet or self._loop.time() >= latest:
            self._finish(ASKING)
        else:
            self._loop.call_later(LINGER, self._ask, latest, gate.signs)

    def _changed(self, code: int, event: Any) -> None:
        if code in (states.CONNECTED, states.KEEPALIVE_RESTORED):
            self._up()
        elif code == states.CONNECT_FAILURE:
            self._finish(states.refusal(event))
        elif (error := states.fatal(code, event)) is not None:
            self._fail(error)
        elif (why := states.passing(code, event)) is not None:
            self._down(why)

    def _up(self) -> None:
        self.was_up = True
        if self._over.done() or self.missed:
            return
        self.is_up = self.client.connected = True
        if self._patience is not None:
            self._patience.cancel()
        self._ear.state(True, None)

    def _down(self, why: str) -> None:
        self._why = why
        if self.is_up:
            self.is_up = False
            self._be_patient()
        self._ear.state(False, why)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(PATIENCE, lambda: self._finish(self._why))

    def _finish(self, why: str) -> None:
        if not self._over.done():
            self._over.set_result(why)

    def _fail(self, error: BaseException) -> None:
        if not self._over.done():
            self._over.set_exception(error)

    # The end.

    async def _close(self) -> None:
        """Cut the connection, then store what has come already: it can't be read a second time.
        Whatever of Go is still blocked afterwards is left alone."""
        if self._patience is not None:
            self._patience.cancel()
        run = partial(self._loop.run_in_executor, None)
        cutting = run(self._wire.cut)
        await asyncio.wait({cutting}, timeout=CUTTING)
        if cutting.done() and not self._storing.is_stuck:
            await run(self._wire.gate.drain, DRAINING)
        self._storing.stop()
        ending = run(self._wire.end)
        if cutting.done():  # else it is blocked likewise, until the dial is over
            await asyncio.wait({ending}, timeout=CUTTING)
