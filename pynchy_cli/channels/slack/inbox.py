"""What came by the connection and isn't stored as a message yet. It is taken in order, chat by
chat, and only what is in the file is acknowledged: what isn't, Slack says again. What has to wait
for a name or for the history of its chat for longer than Slack would is kept in the file as it
came, and waits there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pynchy_cli import log
from pynchy_cli.channels.base import Event
from pynchy_cli.errors import DATABASES, DatabaseBusy, DatabaseFull, PynchyError

if TYPE_CHECKING:
    from pynchy_cli.channels.slack.events import Read

WAIT = 1.5
"""Seconds for which something waits at most that isn't in the file, of the three in which Slack
wants to hear of it."""
PATIENCE = 60.0
"""Seconds for which something that is kept waits for what was said before it, at most."""
MOST = 10_000
BATCH = 200
"""Events in one transaction."""
PAUSE, LONGEST_PAUSE = 0.2, 5.0


class History(Protocol):
    """Whoever catches up with what was said in chats while nobody listened."""

    def is_settled(self, chat_jid: str) -> bool:
        """Whether nothing in this chat has to wait for what was said before."""

    def is_whole(self, chat_jid: str) -> bool:
        """Whether nothing is missing in this chat from its cursor on."""

    def hurry(self, chat_jid: str) -> None:
        """Somebody waits for this chat."""

    def missed(self, chat_jid: str) -> None:
        """Something of this chat was let go, and is to be fetched again."""


class Names(Protocol):
    """Whoever finds out names."""

    async def fetch(self, ids: Collection[str]) -> None:
        """Find out what these are called."""


class Place(Protocol):
    """Where things go."""

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        """Store what came."""

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        """Keep what came before its turn; the numbers by which it is known."""

    def kept(self) -> list[tuple[int, str, str]]:
        """What is kept: number, kind and payload."""

    async def ack(self, envelope_id: str, kind: str, read: Read) -> bool:
        """Tell Slack that it is stored; whether that could be said."""

    def joined(self, chat_id: str) -> None:
        """We were invited into a chat."""


@dataclass(eq=False)
class _Frame:
    envelope_id: str
    kind: str
    payload: Mapping[str, Any]
    came: float
    read: Read
    naming: asyncio.Task[None] | None = None
    row: int | None = None
    """The number under which it is kept, and was acknowledged."""

    @property
    def chat(self) -> str | None:
        """The chat that it belongs to, where it is something said."""
        return self.read.event.message.chat_jid if self.read.event is not None else None


class Inbox:
    """A queue with one worker, of at most so many (`most`). `read` makes an event of a payload of
    a kind."""

    def __init__(
        self,
        place: Place,
        read: Callable[[Mapping[str, Any], str], Read],
        names: Names,
        history: History,
        most: int = MOST,
    ) -> None:
        self._place = place
        self._read = read
        self._names = names
        self._history = history
        self._most = most
        self._frames: deque[_Frame] = deque()
        self._stirred = asyncio.Event()
        self._namings: set[asyncio.Task[None]] = set()
        self._log = log.get("slack")

    def put(self, envelope: Mapping[str, Any]) -> None:
        """Something came. What it needs to be understood is asked for at once."""
        kind, payload = str(envelope.get("type")), envelope.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        loop = asyncio.get_running_loop()
        read = self._read(payload, kind)
        self._add(_Frame(str(envelope["envelope_id"]), kind, payload, loop.time(), read))

    def _add(self, frame: _Frame) -> None:
        read, kind = frame.read, frame.kind
        if read.is_odd:
            self._log.warning("what came can't be read", kind=kind, why=read.why)
        if read.wants:
            loop = asyncio.get_running_loop()
            frame.naming = loop.create_task(self._names.fetch(read.wants))
            self._namings.add(frame.naming)
            frame.naming.add_done_callback(self._named)
        if read.joined is not None:  # what was said there before may be missing
            self._history.missed(f"slack:{read.joined}")
        if frame.chat is not None:
            self._history.hurry(frame.chat)
        self._frames.append(frame)
        if len(self._frames) > self._most:
            self._let_one_go()
        self._stirred.set()

    def stir(self) -> None:
        """Something that was waited for may be there."""
        self._stirred.set()

    async def run(self) -> None:
        """Take in what came until cancelled. Raises what storing raises, but where the database is
        only busy or full: then everything waits."""
        pause = PAUSE
        self._take_up()
        while True:
            self._stirred.clear()
            taken = self._ready()
            late = self._late(taken)
            if not taken and not late:
                await self._wait()
                continue
            try:
                self._store(taken)
                self._keep(late)
            except (DatabaseBusy, DatabaseFull) as error:
                self._log.warning("what came waits", frames=len(self._frames), error=str(error))
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            pause = PAUSE
            gone = set(taken)
            self._frames = deque(frame for frame in self._frames if frame not in gone)
            await self._tell([*(frame for frame in taken if frame.row is None), *late])

    def _take_up(self) -> None:
        """What a process before us has kept goes on waiting."""
        came = asyncio.get_running_loop().time()
        for row, kind, text in self._place.kept():
            payload = json.loads(text)
            read = self._read(payload, kind)
            self._add(_Frame("", kind, payload, came, read, row=row))

    def _late(self, taken: list[_Frame]) -> list[_Frame]:
        """What isn't taken, and must not wait any longer outside of the file."""
        before, gone = asyncio.get_running_loop().time() - WAIT, set(taken)
        late = [one for one in self._frames if one.row is None and one.came <= before]
        return [one for one in late if one not in gone][:BATCH]

    def _keep(self, late: list[_Frame]) -> None:
        if not late:
            return
        rows = self._place.keep([(one.kind, json.dumps(one.payload)) for one in late])
        for frame, row in zip(late, rows, strict=True):
            frame.row = row

    async def close(self) -> None:
        """Wait for nothing more."""
        for task in self._namings:
            task.cancel()
        await asyncio.gather(*self._namings, return_exceptions=True)

    def _ready(self) -> list[_Frame]:
        """What can be taken now, none before what was said earlier in its chat."""
        now = asyncio.get_running_loop().time()
        found: list[_Frame] = []
        behind: set[str] = set()
        for frame in self._frames:
            chat = frame.chat
            if chat in behind:
                continue
            is_late = now - frame.came >= PATIENCE
            if chat is not None and not is_late and not self._is_complete(frame, chat):
                behind.add(chat)
                continue
            found.append(frame)
            if len(found) == BATCH:
                break
        return found

    def _is_complete(self, frame: _Frame, chat: str) -> bool:
        is_named = frame.naming is None or frame.naming.done()
        return is_named and self._history.is_settled(chat)

    async def _wait(self) -> None:
        """Until something comes, or the first has waited long enough."""
        until = min(
            (one.came + (WAIT if one.row is None else PATIENCE) for one in self._frames),
            default=None,
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._stirred.wait()

    def _store(self, frames: list[_Frame]) -> None:
        """All of it in one transaction; where something can't be stored, each by itself."""
        for frame in frames:
            if frame.naming is not None:
                frame.read = self._read(frame.payload, frame.kind)
        events = [event for frame in frames if (event := self._event(frame)) is not None]
        kept = [frame.row for frame in frames if frame.row is not None]
        if not events and not kept:
            return
        try:
            self._place.take(events, kept)
        except DATABASES:
            raise
        except PynchyError:
            for event in events:
                self._store_alone(event)
            self._place.take([], kept)

    def _store_alone(self, event: Event) -> None:
        try:
            self._place.take([event])
        except DATABASES:
            raise
        except PynchyError as error:
            said = event.message
            self._log.error("can't be stored", id=said.id, chat=said.chat_jid, error=str(error))

    def _event(self, frame: _Frame) -> Event | None:
        """What is stored of it. How far its chat is read moves on only where nothing is missing."""
        event = frame.read.event
        if event is None or self._history.is_whole(event.message.chat_jid):
            return event
        return replace(event, cursor=None)

    async def _tell(self, frames: list[_Frame]) -> None:
        """Acknowledge what is stored, as long as Slack hears it."""
        is_heard = True
        for frame in frames:
            is_heard = is_heard and await self._place.ack(frame.envelope_id, frame.kind, frame.read)
            if frame.read.joined is not None:
                self._place.joined(frame.read.joined)

    def _let_one_go(self) -> None:
        """One that Slack has heard nothing of: the oldest, or the one that came just now."""
        if self._frames[-1].row is not None:  # a process before us had room for it
            return
        frame = self._frames.popleft() if self._frames[0].row is None else self._frames.pop()
        self._log.warning("too much waits; the oldest is fetched again later", chat=frame.chat)
        if frame.chat is not None:
            self._history.missed(frame.chat)

    def _named(self, task: asyncio.Task[None]) -> None:
        self._namings.discard(task)
        self._stirred.set()
