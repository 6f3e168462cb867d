"""One client of neonize's Go library, from dialling to its end, on a thread of its own: what Go
calls us with, and how its connection is cut. Only `library.load` makes this module importable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event as ThreadEvent
from threading import Thread
from typing import Any, Protocol

from neonize._binder import func_callback_bytes, func_callback_bytes2, func_string

from pynchy_cli import log
from pynchy_cli.channels.whatsapp import go
from pynchy_cli.channels.whatsapp.ear import Ignored
from pynchy_cli.channels.whatsapp.gate import Gate
from pynchy_cli.channels.whatsapp.states import CONNECTED, DISCONNECTED

DEVICE = 0
MESSAGE, JOINED_GROUP, GROUP_INFO, UNDECRYPTABLE = 17, 21, 22, 44
WANTED = bytes(
    (*range(CONNECTED, DISCONNECTED + 1), MESSAGE, JOINED_GROUP, GROUP_INFO, UNDECRYPTABLE)
)
"""The events that Go hands on to us; the device it tells of unasked."""
KEYS = frozenset({"senderKeyDistributionMessage", "messageContextInfo"})
"""What comes first in a group, as an event of its own with the id of the message behind it."""


@dataclass(frozen=True)
class Heard:
    """An event: its number, and what it says, None where that can't be read. Go waits until
    `dealt_with` is called."""

    code: int
    event: Any
    dealt_with: Callable[[], None]


class Listener(Protocol):
    """Who is told, on threads of Go's."""

    def heard(self, heard: Heard) -> None:
        """An event came; returns at once."""

    def ignored(self, message: Ignored) -> None:
        """A message was ignored; returns at once."""

    def unpaired(self) -> None:
        """There is no device in the database: a QR code would have to be scanned."""

    def ended(self, why: str) -> None:
        """The client has ended, with this error where there is one."""


class Wire:
    """A client. `code` is the shared object; `name` is what Go knows the client by."""

    def __init__(self, code: Any, name: str, database: Path, listener: Listener) -> None:
        self._code = code
        self._name = name.encode()
        self._database = database
        self._listener = listener
        self._log = log.get("whatsapp")
        self.gate = Gate()
        # Go calls these for as long as it likes: they go when the process does.
        self._calls = (
            func_string(self._qr),
            func_string(lambda name, state: None),
            func_callback_bytes(self._came),
            func_callback_bytes2(self._logged),
        )

    def start(self) -> None:
        """Dial, and go on in a thread."""
        Thread(target=self._run, name="whatsapp", daemon=True).start()

    def cut(self) -> None:
        """Cut the connection; blocks while it is being made. What has come is still handed on."""
        self._code.Disconnect(self._name)

    def end(self) -> None:
        """End the client. Nothing may be asked of it afterwards."""
        self.gate.open()
        self._code.Stop(self._name)

    def _run(self) -> None:
        # At level debug, for the gate.
        why = go.dial(self._code, self._database, self._name, b"DEBUG", self._calls, WANTED)
        self._listener.ended(why)

    def _came(self, name: bytes, data: int, size: int, code: int) -> None:
        """Called by Go with an event; it hands on the next one when this returns."""
        event = go.event(code, data, size)
        done = ThreadEvent()
        self.gate.began()
        self._listener.heard(Heard(code, event, done.set))
        done.wait()
        self.gate.ended(_whole(code, event))

    def _logged(self, data: int, size: int) -> None:
        """Called by Go with a line for the log, by whoever writes it."""
        entry = go.entry(data, size)
        if entry is None:
            return
        if entry.Name in ("Client/Recv", "Client/Send"):
            self.gate.frame(entry.Name == "Client/Recv", entry.Message)
        elif entry.Level != "DEBUG":
            self._log.debug(entry.Message, level=entry.Level.lower(), of=entry.Name)
            if (ignored := self.gate.ignored(entry.Message)) is not None:
                self._listener.ignored(Ignored(*ignored))

    def _qr(self, name: int, code: int) -> None:
        self._listener.unpaired()


def _whole(code: int, event: Any) -> str | None:
    """The id of a message of which nothing more is to come."""
    if event is None or code not in (MESSAGE, UNDECRYPTABLE):
        return None
    has_more = code == MESSAGE and {one.name for one, _ in event.Message.ListFields()} <= KEYS
    return None if has_more else str(event.Info.ID)
