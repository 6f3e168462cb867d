"""One workspace's connection with all that belongs to it: what comes, what came meanwhile, the
names and the files."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from pynchy_cli import clock, log
from pynchy_cli.channels.base import Event, Host, Known
from pynchy_cli.channels.fetching import Files
from pynchy_cli.channels.slack import events
from pynchy_cli.channels.slack.api import Api, Message
from pynchy_cli.channels.slack.backfill import Backfill
from pynchy_cli.channels.slack.events import Identity, Kind, Read
from pynchy_cli.channels.slack.files import SlackFiles
from pynchy_cli.channels.slack.inbox import Inbox
from pynchy_cli.channels.slack.names import Names
from pynchy_cli.channels.slack.socket import Socket
from pynchy_cli.channels.together import together
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError
from pynchy_cli.model import Chat

NAMING = 10.0
"""Seconds for which old messages wait for names."""
PAUSE, LONGEST_PAUSE = 1.0, 60.0


class Connection:
    """Holds everything together, while it is held. `wall` gives the seconds since 1970."""

    def __init__(
        self, api: Api, who: Identity, host: Host, wall: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._who = who
        self._host = host
        self._wall = wall
        self._log = log.get("slack")
        self._names = Names(api.get)
        self._backfill = Backfill(api, self, self, self._changed)
        self._inbox = Inbox(self, self._read, self._names, self._backfill)
        self._files = Files(SlackFiles(api), host, "slack")
        self._socket = Socket(api, self, host.state)
        self._to_meet = asyncio.Event()
        self._invited: set[str] = set()
        self._is_new = False

    async def run(self, url: str) -> None:
        """Hold it until cancelled, first by this address. Raises what no part of it outlives."""
        try:
            await together(
                self._socket.run(url),
                self._inbox.run(),
                self._backfill.run(),
                self._files.run(),
                self._meet(),
            )
        finally:
            await self._inbox.close()
            await self._names.close()

    # What the socket tells.

    def frame(self, envelope: Mapping[str, Any]) -> None:
        """Something came."""
        self._inbox.put(envelope)

    def up(self) -> None:
        """A connection stands, another one than before."""
        self._backfill.connected()
        self._is_new = True
        self._to_meet.set()

    def down(self) -> None:
        """There is none any more."""
        self._backfill.disconnected()
        self._changed()

    # What inbox and backfill need.

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        """Store what was said; the files that came with it are fetched afterwards."""
        if not events and not kept:
            return
        self._host.take([self._aged(event) for event in events], kept)
        if any(event.message.files for event in events):
            self._files.stir()

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        """Keep what came before its turn."""
        return self._host.keep(came)

    def kept(self) -> list[tuple[int, str, str]]:
        """What is kept."""
        return self._host.kept()

    async def ack(self, envelope_id: str, kind: str, read: Read) -> bool:
        """Tell Slack that something is stored, and whoever gave a command what became of it."""
        answer = read.ack
        if kind == "slash_commands" and read.event is not None:
            chat_jid = read.event.message.chat_jid
            if not self._backfill.is_group(chat_jid):
                answer = events.not_here(chat_jid)
        return await self._socket.ack(envelope_id, answer)

    def joined(self, chat_id: str) -> None:
        """We were invited into a chat."""
        self._invited.add(chat_id)
        self._to_meet.set()

    async def events(self, messages: Sequence[Message], chat_jid: str) -> list[Event]:
        """What messages of a chat's history say, and how they were changed since."""
        reads = [events.read_history(one, chat_jid, self._who, self._names) for one in messages]
        wants = set[str]().union(*(read.wants for read in reads))
        if wants:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NAMING):
                    await self._names.fetch(wants)
        found: list[Event] = []
        for message in messages:
            for read in (events.from_history, events.edit_from_history):
                if (event := read(message, chat_jid, self._who, self._names)) is not None:
                    found.append(event)
        return found

    def chats(self) -> list[Known]:
        """The chats of groups, and how far each was read."""
        return self._host.chats()

    def caught_up(self, chat_jid: str, cursor: str) -> None:
        """Everything in the chat up to the cursor is stored."""
        self._host.caught_up(chat_jid, cursor)

    def _read(self, payload: Mapping[str, Any], kind: str) -> Read:
        return events.read(payload, cast("Kind", kind), self._who, self._names)

    def _aged(self, event: Event) -> Event:
        age = self._wall() - clock.parse(event.message.timestamp).timestamp()
        return replace(event, is_old=age > self._api.rules.answer_within)

    def _changed(self) -> None:
        self._inbox.stir()

    # The chats that we are in.

    async def _meet(self) -> None:
        """Tell in which chats we are: of all with each connection, of those we are invited to at
        once."""
        pause = PAUSE
        while True:
            await self._to_meet.wait()
            self._to_meet.clear()
            try:
                await self._meet_invited()
                if self._is_new:
                    self._is_new = False
                    await self._meet_all()
                pause = PAUSE
            except PynchyError as error:
                self._log.warning("chats not listed", why=str(error))
                if isinstance(error, DatabaseBusy | DatabaseFull):
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, 2 * pause)
                    self._to_meet.set()

    async def _meet_invited(self) -> None:
        for chat_id in list(self._invited):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NAMING):
                    await self._names.fetch({chat_id})
            chat = Chat(f"slack:{chat_id}", self._names.called(chat_id))
            self._host.met([chat], invited=True)
            self._invited.discard(chat_id)

    async def _meet_all(self) -> None:
        async for page in self._api.conversations():
            self._host.met([_chat(one) for one in page if isinstance(one.get("id"), str)])


def _chat(one: Message) -> Chat:
    name = one.get("name")
    is_channel = isinstance(name, str) and not one.get("is_im") and not one.get("is_mpim")
    return Chat(f"slack:{one['id']}", f"#{name}" if is_channel else None)
