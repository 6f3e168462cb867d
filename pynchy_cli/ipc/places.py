"""Where requests may lie: the folders of sessions, which the host alone makes. Who asks in one is
known by its place and its session's row, and by nothing that lies in it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent_runner.protocol import REQUESTS
from pynchy_cli import clock
from pynchy_cli.context import Context
from pynchy_cli.errors import GroupUnknown
from pynchy_cli.ipc.inbox import Inbox, InboxLost
from pynchy_cli.model import CHAT_LANE, Group
from pynchy_cli.store import groups, sessions

SWEEP = 30.0
"""Seconds after which all folders are looked through, whatever was heard of them."""
LISTING = 0.5
"""Seconds between looks into a folder whose changes can't be heard."""


SLACK = 1.0
"""Seconds by which a folder's time may be behind the clock."""
UNKNOWN = ((re.compile(r"c[0-9]+-[0-9]+"), "child:?"), (re.compile(r"t[0-9]+-[0-9]+"), "task:?"))
"""What the sessions of sandboxes are called that another one has started, or a task: so they are
known for that even when their row is gone, and their folder not yet; and the lanes of those."""

Name = tuple[str, str]
"""A group's folder, and its session's."""


@dataclass
class Place:
    """One session's requests."""

    session: str
    group: str
    number: int
    """Its group's, which tells it from another one of its name that was made since."""
    lane: str
    path: Path
    inbox: Inbox
    is_heard: bool = sys.platform == "linux"
    """Elsewhere a sandbox may have another kernel, whose changes are not told to this one."""
    is_changed: bool = True
    waiting: deque[str] = field(default_factory=deque)
    """The names that were listed and not dealt with yet."""
    unfinished: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    """What seems not to be whole: its size, until when nobody minds, and the latest that can be, by
    a monotonic clock."""

    def next_names(self, most: int) -> list[str]:
        """The next names to deal with, in order. Raises InboxLost."""
        if not self.waiting and self.is_changed:
            if not self.inbox.is_current():
                raise InboxLost(f"{self.path.name} has another folder")
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

    def patience(self, now: float) -> float | None:
        """Seconds until something that isn't whole is taken for what it is; None where there is
        nothing. What is written to it before is heard."""
        ends = [until for _, until, _ in self.unfinished.values()]
        return max(0.0, min(ends) - now) if ends else None


class Places:
    """Keeps the open folders equal to those that there are."""

    def __init__(self, context: Context, closed: Callable[[Path], None]) -> None:
        self.context = context
        self._closed = closed
        self._places: dict[Name, Place] = {}
        self._folders: set[Name] = set()
        self._foreign: set[Name] = set()
        self._heard: set[Path] = set()
        self._is_moved = True
        self._swept = time.monotonic()

    def __iter__(self) -> Iterator[Place]:
        return iter(list(self._places.values()))

    def look(self) -> None:
        """Open what is new, close what is over; now and then, look through all."""
        if time.monotonic() - self._swept >= SWEEP:
            self._sweep()
        if self._is_moved:
            self._folders = set(self._listed())
        live = {
            (one.group_folder, one.folder): one.lane
            for one in sessions.live(self.context.store.db)
            if one.folder
        }
        wanted = self._folders | live.keys()
        for name in self._places.keys() - wanted:
            self.close(self._places[name])
        for name in wanted - self._places.keys():
            self._open(name, live.get(name))
        for name in live.keys() & self._places.keys():
            self._places[name].lane = live[name]  # the folder may have been seen before its row

    def close(self, place: Place) -> None:
        """Look no more into a folder."""
        self._places.pop((place.group, place.session), None)
        self.context.watcher.remove(place.path / REQUESTS)
        place.inbox.close()
        self._closed(place.path)

    def deadline(self) -> float | None:
        """Seconds until folders that can't be heard are looked into."""
        return LISTING if any(not place.is_heard for place in self._places.values()) else None

    def listen_again(self) -> None:
        """Look into what can't be heard."""
        for place in self._places.values():
            place.is_changed = place.is_changed or not place.is_heard

    def _listed(self) -> Iterator[Name]:
        """The sessions' folders of the groups that there are."""
        self._is_moved = False
        root = self.context.home.ipc
        root.mkdir(parents=True, exist_ok=True)
        self._hear(root)
        known = {group.folder: group for group in groups.all(self.context.store.db)}
        for folder in _folders(root):
            if (group := known.get(folder.name)) is not None:
                self._hear(Path(folder.path))
                for one in _folders(Path(folder.path)):
                    if self._is_of(group, one):
                        yield group.folder, one.name

    def _is_of(self, group: Group, folder: os.DirEntry[str]) -> bool:
        """Whether a session's folder was made for this group, and for none that had its name
        before. Once it is known not to be, its end, which changes its time, makes no difference."""
        name = (group.folder, folder.name)
        try:
            made = folder.stat(follow_symlinks=False).st_mtime
        except OSError:
            return False
        if made + SLACK < clock.parse(group.added_at).timestamp():
            self._foreign.add(name)
        return name not in self._foreign

    def _hear(self, path: Path) -> None:
        """Hear of folders that come and go in another."""
        if path not in self._heard:
            with contextlib.suppress(OSError):
                self.context.watcher.add(path, self._moved)
                self._heard.add(path)

    def _moved(self) -> None:
        self._is_moved = True
        self.context.wake()

    def _open(self, name: Name, lane: str | None) -> None:
        folder, session = name
        path = self.context.home.session(folder, session)
        try:
            number = groups.get(self.context.store.db, folder).number
            inbox = Inbox(path / REQUESTS)
        except (GroupUnknown, InboxLost):
            return  # its sandbox goes, or hasn't come yet; a later look tells
        lane = lane or _unknown_lane(session)
        place = Place(session, folder, number, lane, path, inbox)
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
        self._is_moved = True
        for path in self._heard:  # one may have been made anew
            self.context.watcher.remove(path)
        self._heard.clear()
        for place in list(self._places.values()):
            place.is_changed = True
            if not place.inbox.is_current():
                self.close(place)


def _unknown_lane(session: str) -> str:
    """The lane of a session that has no row."""
    return next((lane for name, lane in UNKNOWN if name.fullmatch(session)), CHAT_LANE)


def _folders(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [one for one in entries if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
