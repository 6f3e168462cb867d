"""The stage that holds one channel. What comes from a pipe is a row before the next is read; with
`wait` it also prints what is said because of it, and ends when nothing more will come. To a chat
network it holds a connection, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pynchy_cli import clock, plugins
from pynchy_cli.channels.base import Incoming, Unreadable
from pynchy_cli.channels.intake import Taken, take
from pynchy_cli.delivery.holder import Holder
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError, UsageWrong
from pynchy_cli.loop import Context
from pynchy_cli.model import Message, Reply
from pynchy_cli.output import hush, print_line, say
from pynchy_cli.routing.answers import Outcome, outcome
from pynchy_cli.store import groups, outbound

PATIENCE = 30.0
"""Seconds for which a message waits for a locked or full database, before it is refused."""
PAUSE = 0.5
UNANSWERED = {
    "refused": "its sender may not speak to this group",
    "ignored": "its chat belongs to no group",
    "not_triggered": "nobody asked the assistant: begin with @ and its name",
    "set_aside": "it was set aside; `pynchy status` tells why",
}


def is_single(options: Mapping[str, Any]) -> bool:
    """Whether one process of the channel is enough: a network would give each a part of what is
    said."""
    return options["channel"] not in outbound.INBOXES


def make(context: Context, options: Mapping[str, Any]) -> Listener | Holder:
    """The stage. Options: `channel`; for a pipe also `wait` (bool), `timeout` (seconds or None),
    and those of the channel. Raises PluginUnknown, GroupUnknown, UsageWrong, and what a network's
    plugin raises."""
    if is_single(options):
        return Holder(context, plugins.channel(options["channel"], context.settings))
    for name in ("chat", "sender"):
        if options.get(name) == "":
            # A variable that was not set must not make somebody the owner.
            raise UsageWrong(f"The {name} is empty; name one, or leave the option out.")
    chat = options.get("chat")
    if chat and ":" not in chat:
        options = {**options, "chat": groups.get(context.store.db, chat).jid}
    return Listener(context, options)


class Listener:
    """Holds one channel."""

    def __init__(self, context: Context, options: Mapping[str, Any]) -> None:
        self.context = context
        self.options = options
        self.channel = plugins.channel(options["channel"], context.settings)
        # Chat by chat and in order, as they are answered: what waits behind one that isn't
        # settled need not be looked at.
        self._waiting: dict[str, dict[int, Message]] = {}
        self._unlooked: set[str] = set()
        self._printed: set[int] = set()
        self._version = -1
        self._error: PynchyError | None = None
        self._deadline: float | None = None
        self._reading = context.spawn(self._read(), f"listen {self.channel.name}")

    def drain(self) -> int:
        """Print the replies that have come; the messages that are settled by them."""
        if self._error is not None:
            raise self._error
        version = self.context.store.version()
        if version != self._version:  # others have written: any chat may have got an answer
            self._version = version
            self._unlooked.update(self._waiting)
        settled = self._print_settled(self._settled())
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
            say(f"Stopped; {self._count()} messages are not answered yet.")

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
            chat = self._waiting.setdefault(taken.message.chat_jid, {})
            chat[taken.message.seq] = taken.message
            if len(chat) == 1:
                self._unlooked.add(taken.message.chat_jid)
                self.context.wake()
        elif taken.is_new and (taken.group is None or taken.message.verdict == "refused"):
            self._unheard(taken.message, "ignored" if taken.group is None else "refused")

    async def _take(self, came: Incoming) -> Taken:
        """The row, as soon as the database can be written."""
        until = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                with self.context.store.atomic() as db:
                    return take(
                        db,
                        self.channel.name,
                        came.message,
                        clock.now(),
                        came.chat_name,
                        settings=self.context.settings,
                    )
            except (DatabaseBusy, DatabaseFull) as error:
                if asyncio.get_running_loop().time() > until:
                    raise
                self.context.log.warning("message waits", error=str(error))
                await asyncio.sleep(PAUSE)

    def _settled(self, *, behind: bool = False) -> list[tuple[Message, Outcome]]:
        """What is settled, taken off what waits: the first messages of each chat; or also those
        `behind` one that isn't."""
        found = []
        for jid in self._unlooked & self._waiting.keys():
            chat = self._waiting[jid]
            for message in list(chat.values()):
                now = outcome(self.context.store.db, message)
                if now.is_settled:
                    found.append((chat.pop(message.seq), now))
                elif not behind:
                    break
            if not chat:
                del self._waiting[jid]
        self._unlooked.clear()
        return sorted(found, key=lambda one: one[0].seq)

    def _print_settled(self, settled: list[tuple[Message, Outcome]]) -> int:
        """Print what was said because of messages that are settled now; how many they are."""
        because: dict[int, tuple[Reply, list[str]]] = {}
        for message, now in settled:
            # Of a run that gives several answers some were printed with earlier messages.
            fresh = [reply for reply in now.replies if reply.id not in self._printed]
            for reply in fresh or now.replies:
                because.setdefault(reply.id, (reply, []))[1].append(message.id)
            if not now.replies and now.state in UNANSWERED:
                self._unheard(message, now.state)
            if now.state in ("failed", "cancelled", "set_aside"):
                self.context.has_failed = True
        self._printed.update(because)
        try:
            for _, (reply, ids) in sorted(because.items()):
                _print(reply, ids)
        except BrokenPipeError:
            hush()
            self._waiting.clear()
        return len(settled)

    def _unheard(self, message: Message, state: str) -> None:
        say(f"Message {message.id} in {message.chat_jid} gets no answer: {UNANSWERED[state]}.")

    def _count(self) -> int:
        return sum(len(chat) for chat in self._waiting.values())

    def _give_up(self) -> int:
        self._unlooked.update(self._waiting)
        settled = self._print_settled(self._settled(behind=True))
        if given_up := self._count():
            self._waiting.clear()
            self.context.has_failed = True
            say(f"Not answered in time: {given_up} message(s). They stay stored, and are not lost.")
        return settled + given_up


def _print(reply: Reply, ids: list[str]) -> None:
    print_line(
        {
            "reply_to": ids,
            "chat": reply.chat_jid,
            "group": reply.group_folder,
            "run": reply.run_id,
            "source": reply.source,
            "content": reply.content,
            "timestamp": reply.created_at,
        }
    )
