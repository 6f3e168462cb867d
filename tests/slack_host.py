"""What a Slack connection is given by a stage, kept in lists: for tests of the connection alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pynchy_cli import clock
from pynchy_cli.channels.base import Event, Known
from pynchy_cli.channels.slack.channel import SlackChannel
from pynchy_cli.config.settings import Channels, Settings, SlackRules
from pynchy_cli.errors import DatabaseBusy
from pynchy_cli.model import Chat, SharedFile
from tests.slack_server import SlackServer

PING = 0.2
"""Seconds; a test needs not wait as long as people do."""
PATIENCE = 30.0


class Book:
    """A host. While it is `busy` it stores nothing."""

    def __init__(self, folder: Path, *chats: str, added: float | None = None) -> None:
        self.folder = folder
        self.added_at = _moment(added)
        self.known = {chat: Known(f"slack:{chat}", None, None, self.added_at) for chat in chats}
        self.events: list[Event] = []
        self.batches: list[int] = []
        self.ids: set[tuple[str, str]] = set()
        self.states: list[tuple[bool, str | None]] = []
        self.chats_met: dict[str, Chat] = {}
        self.invited: list[str] = []
        self.files: dict[tuple[int, int], SharedFile] = {}
        self.inbox: dict[int, tuple[str, str]] = {}
        self.rows = 0
        self.busy = False
        self.refused = 0

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        self._require()
        numbers = list(range(self.rows + 1, self.rows + 1 + len(came)))
        self.inbox.update(zip(numbers, came, strict=True))
        self.rows += len(came)
        return numbers

    def kept(self) -> list[tuple[int, str, str]]:
        return [(number, *came) for number, came in self.inbox.items()]

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        self._require()
        for number in kept:
            del self.inbox[number]
        self.batches.append(len(events))
        for event in events:
            said = event.message
            if (said.chat_jid, said.id) not in self.ids:
                self.ids.add((said.chat_jid, said.id))
                self.events.append(event)
                for number, file in enumerate(said.files):
                    self.files[len(self.events), number] = file
            if event.cursor is not None:
                self._advance(said.chat_jid, event.cursor)

    def chats(self) -> list[Known]:
        return list(self.known.values())

    def caught_up(self, chat_jid: str, cursor: str) -> None:
        self._require()
        self._advance(chat_jid, cursor)

    def met(self, chats: Sequence[Chat], *, invited: bool = False) -> None:
        self.chats_met.update({chat.jid: chat for chat in chats})
        self.invited += [chat.jid for chat in chats if invited]

    def waiting_files(self) -> list[tuple[int, int, str, SharedFile]]:
        waiting = [(*key, file) for key, file in self.files.items() if file.state == "waiting"]
        return [(seq, number, "dev", file) for seq, number, file in waiting]

    def file_path(self, group_folder: str, seq: int, name: str) -> Path:
        return self.folder / f"{seq}-{name}"

    def file_came(self, seq: int, number: int, path: str | None, error: str | None) -> None:
        self._require()
        state = "here" if error is None else "failed"
        file = self.files[seq, number]
        self.files[seq, number] = replace(file, state=state, path=path, error=error)  # type: ignore

    def state(self, connected: bool, why: str | None) -> None:
        self.states.append((connected, why))

    @property
    def texts(self) -> list[str]:
        """What was said, in the order in which it was stored."""
        return [event.message.content for event in self.events]

    @property
    def is_connected(self) -> bool:
        return bool(self.states) and self.states[-1][0]

    def holds(self, number: int) -> bool:
        return len(self.events) >= number

    def cursor(self, chat: str) -> str | None:
        return self.known[chat].cursor

    def _advance(self, chat_jid: str, cursor: str) -> None:
        chat = chat_jid.partition(":")[2]
        known = self.known[chat]
        self.known[chat] = replace(known, cursor=max(known.cursor or "", cursor))

    def _require(self) -> None:
        if self.busy:
            self.refused += 1
            raise DatabaseBusy("somebody else writes")


def rules(slack: SlackServer | None, **given: Any) -> SlackRules:
    """A workspace on the test server, or where `base_url` says."""
    wanted = {
        "bot_token": "xoxb-pynchy",
        "app_token": "xapp-1-A0PYNCHY01",
        "base_url": slack.url if slack is not None else "",
        "ping_interval": PING,
        "settle": 0.0,
        **given,
    }
    return SlackRules(**wanted)


def channel(slack: SlackServer | None, folder: Path, **given: Any) -> SlackChannel:
    """The channel that is configured so; its app's lock lies in a folder."""
    settings = Settings(channels=Channels(slack={"main": rules(slack, **given)}))
    return SlackChannel("slack", settings, {"XDG_RUNTIME_DIR": str(folder)})


@contextlib.asynccontextmanager
async def held(slack: SlackServer, book: Book, **given: Any) -> AsyncIterator[SlackChannel]:
    """A connection, from when it stands; what breaks it down is raised."""
    made = channel(slack, book.folder, **given)
    running = asyncio.ensure_future(made.run(book))
    try:
        await until(lambda: running.done() or book.is_connected)
        yield made
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something is so. Raises AssertionError where it takes too long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never became so"
        await asyncio.sleep(0.005)


def _moment(seconds: float | None) -> str:
    return clock.after(clock.now(), seconds or -1.0)
