"""What was said while nobody listened: on each connection every chat's history is read from where
it was taken in last, with what was replied in threads meanwhile. What is known already changes
nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pynchy_cli import clock, log
from pynchy_cli.channels.base import Away, Event, Known, NeverSent, NotSent
from pynchy_cli.channels.slack.api import Api, channel_id
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError

OVERLAP = 300.0
"""Seconds before the cursor that are read once more: Slack's events may come out of their order."""
AT_ONCE = 3
BATCH = 100
"""Events in one transaction."""
PAUSE, LONGEST_PAUSE = 1.0, 60.0
FORGET = 10.0
"""Seconds for which a chat is believed to belong to no group."""
Message = Mapping[str, Any]


class Reader(Protocol):
    """Whoever makes events of messages of the history."""

    async def events(self, messages: Sequence[Message], chat_jid: str) -> list[Event]:
        """What they say, with the names that could be found out."""


class Host(Protocol):
    """What of a channel's host is needed here."""

    def take(self, events: Sequence[Event]) -> None:
        """Store what was said."""

    def chats(self) -> list[Known]:
        """The chats of groups, and how far each was read."""

    def caught_up(self, chat_jid: str, cursor: str) -> None:
        """Everything up to the cursor is stored."""


class Backfill:
    """Catches up, chat by chat, a few at once; first where somebody waits. `changed` is called when
    a chat is settled."""

    def __init__(
        self,
        api: Api,
        host: Host,
        reader: Reader,
        changed: Callable[[], None],
        tell: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._host = host
        self._reader = reader
        self._changed = changed
        self._tell = tell
        self._chats: dict[str, Known] = {}
        self._is_listed = False
        self._asked: set[str] = set()
        self._waiting: dict[str, Known] = {}
        self._at_work: set[str] = set()
        self._again: set[str] = set()
        self._whole: set[str] = set()
        self._strange: dict[str, float] = {}
        self._stirred = asyncio.Event()
        self._is_connected = False
        self._not_before = 0.0
        self._log = log.get("slack")

    def connected(self) -> None:
        """There is a new connection: what was said before it may be missing, in every chat."""
        self._is_connected, self._is_listed = True, False
        self._whole.clear()
        self._strange.clear()
        self._again.update(self._at_work)
        self._stirred.set()

    def disconnected(self) -> None:
        """What is said from now on may be missed."""
        self._is_connected = False
        self._whole.clear()

    def is_group(self, chat_jid: str) -> bool:
        """Whether a chat belongs to a group, as far as is known."""
        return chat_jid in self._chats

    def is_settled(self, chat_jid: str) -> bool:
        """Whether nothing in this chat has to wait for what was said before."""
        waits = chat_jid in self._waiting or chat_jid in self._at_work or chat_jid in self._asked
        return not waits and (self._is_listed or not self._is_connected)

    def is_whole(self, chat_jid: str) -> bool:
        """Whether nothing is missing in this chat from its cursor on."""
        return chat_jid in self._whole

    def hurry(self, chat_jid: str) -> None:
        """Somebody waits for this chat. One that came to a group just now is read, too."""
        if chat_jid in self._whole or chat_jid in self._at_work:
            return
        if (known := self._waiting.pop(chat_jid, None)) is not None:
            self._waiting = {chat_jid: known, **self._waiting}
        elif self._tell() >= self._strange.get(chat_jid, 0.0):
            self._asked.add(chat_jid)
            self._stirred.set()

    def missed(self, chat_jid: str) -> None:
        """Something of this chat was let go, and is to be fetched again."""
        self._whole.discard(chat_jid)
        if chat_jid in self._at_work:
            self._again.add(chat_jid)
        elif chat_jid not in self._waiting:
            self._asked.add(chat_jid)
            self._stirred.set()

    async def run(self) -> None:
        """Catch up until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(AT_ONCE):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._list()
            if not self._waiting or not self._is_connected:
                self._stirred.clear()
                await self._stirred.wait()
                continue
            known = self._waiting.pop(next(iter(self._waiting)))
            self._at_work.add(known.chat_jid)
            try:
                if not await self._catch_up(known):
                    self._waiting[known.chat_jid] = known  # for the next connection
            finally:
                self._at_work.discard(known.chat_jid)
                self._changed()
            if known.chat_jid in self._again:
                self._again.discard(known.chat_jid)
                self._asked.add(known.chat_jid)

    async def _list(self) -> None:
        """See which chats there are, after a new connection or where one was asked for."""
        while not self._is_listed or self._asked:
            try:
                self._chats = {known.chat_jid: known for known in self._host.chats()}
            except (DatabaseBusy, DatabaseFull):
                await asyncio.sleep(PAUSE)
                continue
            asked = [*self._asked, *(() if self._is_listed else self._chats)]
            first: dict[str, Known] = {}
            for chat_jid in asked:
                if chat_jid not in self._chats:
                    self._strange[chat_jid] = self._tell() + FORGET
                elif chat_jid not in self._at_work:
                    first[chat_jid] = self._chats[chat_jid]
            rest = {jid: known for jid, known in self._waiting.items() if jid not in first}
            self._waiting = {**first, **rest}
            self._is_listed = True
            self._asked.clear()
            self._changed()

    async def _catch_up(self, known: Known) -> bool:
        """Read one chat until it is whole, or can't be; False where the connection went before."""
        pause = PAUSE
        while self._is_connected:
            try:
                await self._read(known)
                return True
            except PynchyError as error:
                self._log.warning("history not read", chat=known.chat_jid, why=str(error))
                passes = isinstance(error, Away | DatabaseBusy | DatabaseFull)
                if self._is_connected and not passes:
                    return True
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
        return False

    async def _read(self, known: Known) -> None:
        start = _start(known)
        oldest = max(start, _seconds(known.cursor) - OVERLAP) if known.cursor else start
        read, newest = await self._messages(known, oldest)
        found = {one["ts"]: one for one in read if _is_dated(one) and float(one["ts"]) > start}
        messages = [found[ts] for ts in sorted(found, key=float) if _touched(found[ts]) > oldest]
        for batch in _batches(messages):
            events = await self._reader.events(batch, known.chat_jid)
            self._host.take(events)
            await asyncio.sleep(0)
        self._host.caught_up(known.chat_jid, max(newest, known.cursor or "", key=_seconds))
        if self._is_connected and known.chat_jid not in self._again:
            self._whole.add(known.chat_jid)

    async def _messages(self, known: Known, oldest: float) -> tuple[list[Message], str]:
        """What was said after `oldest`, in threads too, not in order; and the newest of it of which
        is certain that nothing before it is missing. What is said while we read may be."""
        chat = channel_id(known.chat_jid)
        found: list[Message] = []
        threads = dict.fromkeys(known.threads)
        newest = f"{oldest:.6f}"
        async for page in self._api.history(chat, wait=self._wait):
            if not found:
                newest = max([newest, *_moments(page)], key=_seconds)
            for message in page:
                if "latest_reply" in message:
                    threads.pop(message["ts"], None)
                    if _seconds(message["latest_reply"]) > oldest:
                        threads[message["ts"]] = None
            found += page
            if page and _seconds(page[-1]["ts"]) <= oldest:
                break
        for thread in threads:
            found += await self._replies(chat, thread, oldest)
        return found, newest

    async def _replies(self, chat: str, thread: str, oldest: float) -> list[Message]:
        found: list[Message] = []
        try:
            async for page in self._api.replies(chat, thread, f"{oldest:.6f}", wait=self._wait):
                found += page
        except NeverSent as error:  # it was deleted
            self._log.info("thread not read", chat=chat, thread=thread, why=str(error))
        return found

    async def _wait(self, error: NotSent | None) -> None:
        """Before each call: wait for as long as Slack has asked us to, whichever chat that was for.
        After one that failed it is made again, unless the connection has gone."""
        if error is not None:
            if not self._is_connected:
                raise error
            pause = PAUSE if error.retry_after is None else error.retry_after
            self._not_before = max(self._not_before, self._tell() + pause)
        if (left := self._not_before - self._tell()) > 0:
            await asyncio.sleep(left)


def _start(known: Known) -> float:
    """The time before which nothing of a chat is wanted, in seconds."""
    return max(_seconds(known.floor or ""), clock.parse(known.added_at).timestamp())


def _moments(page: Sequence[Message]) -> Iterator[str]:
    """When somebody spoke, as far as a page of a chat's history tells."""
    for message in page:
        if _is_dated(message):
            yield message["ts"]
            yield message.get("latest_reply") or message["ts"]


def _touched(message: Message) -> float:
    """When a message was said, or edited last, in seconds."""
    edited = message.get("edited")
    changed = edited if isinstance(edited, dict) and _is_dated(edited) else message
    return max(float(message["ts"]), float(changed["ts"]))


def _seconds(moment: str) -> float:
    """A timestamp of Slack's, or a moment as the file writes it, in seconds."""
    try:
        return float(moment or 0)
    except ValueError:
        return clock.parse(moment).timestamp()


def _is_dated(message: Message) -> bool:
    try:
        return float(message["ts"]) > 0
    except (KeyError, TypeError, ValueError):
        return False


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    for at in range(0, len(messages), BATCH):
        yield messages[at : at + BATCH]
