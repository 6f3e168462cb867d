"""Where requests may lie: the folder of each live session, as the file's rows tell it. Who asks in
one is known by its row, and by nothing that lies in it."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent_runner.protocol import REQUESTS
from pynchy_cli.context import Context
from pynchy_cli.ipc.inbox import Inbox, InboxLost
from pynchy_cli.model import Session
from pynchy_cli.store import sessions

SWEEP = 30.0
"""Seconds after which all folders are looked through, whatever was heard of them."""
LISTING = 0.5
"""Seconds between looks into a folder whose changes can't be heard."""


@dataclass
class Place:
    """One session's requests."""

    session: str
    group: str
    lane: str
    path: Path
    inbox: Inbox
    is_heard: bool = sys.platform == "linux"
    """Elsewhere a sandbox may have another kernel, whose changes are not told to this one."""
    is_changed: bool = True
    waiting: deque[str] = field(default_factory=deque)
    """The names that were listed and not dealt with yet."""
    look_again: float = 0.0
    """When what is not whole is to be looked at again, by the monotonic clock."""
    unfinished: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    """What seems not to be whole: its size, when that changed last and when it was seen first."""

    def next_names(self, most: int) -> list[str]:
        """The next names to deal with, in order. Raises InboxLost."""
        if not self.waiting and self.is_changed:
            self.is_changed = False
            names = self.inbox.names()
            self.waiting.extend(names)
            left = self.unfinished.keys() & set(names)
            self.unfinished = {name: self.unfinished[name] for name in left}
        return [self.waiting.popleft() for _ in range(min(most, len(self.waiting)))]

    @property
    def has_more(self) -> bool:
        """Whether there is something to look at."""
        return self.is_changed or bool(self.waiting)


class Places:
    """Keeps the open folders equal to the live sessions."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._places: dict[str, Place] = {}
        self._swept = time.monotonic()

    def __iter__(self) -> Iterator[Place]:
        return iter(list(self._places.values()))

    def look(self) -> None:
        """Open what is new, close what is over; now and then, look through all."""
        live = {one.folder: one for one in sessions.live(self.context.store.db) if one.folder}
        for name in self._places.keys() - live.keys():
            self.close(self._places[name])
        for name in live.keys() - self._places.keys():
            self._open(live[name])
        if time.monotonic() - self._swept >= SWEEP:
            self._sweep()

    def close(self, place: Place) -> None:
        """Look no more into a folder."""
        self._places.pop(place.session, None)
        self.context.watcher.remove(place.path / REQUESTS)
        place.inbox.close()

    def deadline(self) -> float | None:
        """Seconds until folders that can't be heard are looked into."""
        return LISTING if any(not place.is_heard for place in self._places.values()) else None

    def listen_again(self) -> None:
        """Look into what can't be heard."""
        for place in self._places.values():
            place.is_changed = place.is_changed or not place.is_heard

    def _open(self, session: Session) -> None:
        name = str(session.folder)
        path = self.context.home.session(session.group_folder, name)
        try:
            inbox = Inbox(path / REQUESTS)
        except InboxLost:
            return  # its sandbox goes, or hasn't come yet; a later look tells
        place = Place(name, session.group_folder, session.lane, path, inbox)
        try:
            self.context.watcher.add(path / REQUESTS, partial(self._changed, place))
        except OSError:
            place.is_heard = False
        self._places[name] = place

    def _changed(self, place: Place) -> None:
        place.is_changed = True
        self.context.wake()

    def _sweep(self) -> None:
        self._swept = time.monotonic()
        for place in list(self._places.values()):
            place.is_changed = True
            if not place.inbox.is_current():
                self.close(place)
