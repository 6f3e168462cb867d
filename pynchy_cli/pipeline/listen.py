"""The stage that takes messages in from a channel: each is a row before the next is read. With
`wait` it also prints what is said because of them, and ends when nothing more will come."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pynchy_cli import clock, plugins
from pynchy_cli.channels.base import Incoming, Unreadable
from pynchy_cli.channels.intake import Taken, take
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError
from pynchy_cli.loop import Context
from pynchy_cli.model import Message
from pynchy_cli.output import print_line, say
from pynchy_cli.routing.answers import Outcome, outcome
from pynchy_cli.store import groups

SINGLE = False
PATIENCE = 30.0
"""Seconds for which a message waits for a locked or full database, before it is refused."""
PAUSE = 0.5
UNANSWERED = {
    "refused": "its sender may not speak to this group",
    "ignored": "its chat belongs to no group",
    "not_triggered": "nobody asked the assistant: begin with @ and its name",
    "set_aside": "it was set aside; `pynchy status` tells why",
}


def make(context: Context, options: Mapping[str, Any]) -> Listener:
    """The stage. Options: `channel`, `wait` (bool), `timeout` (seconds or None), and those of
    the channel. Raises PluginUnknown, GroupUnknown."""
    chat = options.get("chat")
    if chat and ":" not in chat:
        options = {**options, "chat": groups.get(context.store.db, chat).jid}
    return Listener(context, options)


class Listener:
    """Holds one channel."""

    def __init__(self, context: Context, options: Mapping[str, Any]) -> None:
        self.context = context
        self.options = options
        self.channel = plugins.channel(options["channel"])
        self._waiting: dict[int, Message] = {}
        self._printed: set[int] = set()
        self._error: PynchyError | None = None
        self._deadline: float | None = None
        self._reading = context.spawn(self._read(), f"listen {self.channel.name}")

    def drain(self) -> int:
        """Print the replies that have come; the messages that are settled by them."""
        if self._error is not None:
            raise self._error
        settled = 0
        for seq, message in list(self._waiting.items()):
            settled += self._look(seq, message)
        if self._waiting and self.deadline() == 0:
            settled += self._give_up()
        return settled

    def deadline(self) -> float | None:
        """Seconds until it no longer waits for replies."""
        if self._deadline is None or not self._waiting:
            return None
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def is_busy(self) -> bool:
        """Whether there may be more to read, or replies to wait for."""
        return not self._reading.done() or bool(self._waiting)

    async def stop(self) -> None:
        """Read no further; what was read is stored."""
        self._reading.cancel()
        if self._waiting:
            self.context.has_failed = True
            say(f"Stopped; {len(self._waiting)} messages are not answered yet.")

    async def _read(self) -> None:
        try:
            async for came in self.channel.incoming(self.options):
                await self._store(came)
                await asyncio.sleep(0)
        except PynchyError as error:
            self._error = error
        if self.options.get("timeout") is not None:
            self._deadline = asyncio.get_running_loop().time() + self.options["timeout"]

    async def _store(self, came: Incoming | Unreadable) -> None:
        if isinstance(came, Unreadable):
            self.context.has_failed = True
            say(f"{self.channel.name}: {came.where} {came.why}. It was left out.")
            return
        taken = await self._take(came)
        if self.options.get("wait"):
            self._waiting[taken.message.seq] = taken.message
            self.context.wake()
        elif taken.is_new and (taken.group is None or taken.message.verdict == "refused"):
            self._unheard(taken.message, "ignored" if taken.group is None else "refused")

    async def _take(self, came: Incoming) -> Taken:
        """The row, as soon as the database can be written."""
        until = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                with self.context.store.atomic() as db:
                    return take(db, self.channel.name, came.message, clock.now(), came.chat_name)
            except (DatabaseBusy, DatabaseFull) as error:
                if asyncio.get_running_loop().time() > until:
                    raise
                self.context.log.warning("message waits", error=str(error))
                await asyncio.sleep(PAUSE)

    def _look(self, seq: int, message: Message) -> int:
        now = outcome(self.context.store.db, message)
        if not now.is_settled:
            return 0
        del self._waiting[seq]
        for reply in now.replies:
            self._print(reply.id, message, now)
        if not now.replies and now.state in UNANSWERED:
            self._unheard(message, now.state)
        if now.state in ("failed", "set_aside"):
            self.context.has_failed = True
        return 1

    def _print(self, reply_id: int, message: Message, now: Outcome) -> None:
        if reply_id in self._printed:
            return
        self._printed.add(reply_id)
        reply = next(one for one in now.replies if one.id == reply_id)
        print_line(
            {
                "reply_to": message.id,
                "chat": reply.chat_jid,
                "group": reply.group_folder,
                "run": reply.run_id,
                "source": reply.source,
                "state": now.state,
                "content": reply.content,
                "timestamp": reply.created_at,
            }
        )

    def _unheard(self, message: Message, state: str) -> None:
        say(f"Message {message.id} in {message.chat_jid} gets no answer: {UNANSWERED[state]}.")

    def _give_up(self) -> int:
        given_up, self._waiting = len(self._waiting), {}
        self.context.has_failed = True
        say(f"Not answered in time: {given_up} messages. They stay stored, and are not lost.")
        return given_up
