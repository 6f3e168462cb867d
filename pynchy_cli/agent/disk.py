"""Keeps agents from filling the disk: host folders have no quota, so what a group's folders hold
is measured while its sandboxes live, and what is left on the home's disk is looked at often.
Who is over is stopped, and starts no more until there is room. It must never hold up the loop,
nor follow a link."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from pynchy_cli import clock
from pynchy_cli.agent.live import Live
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import DatabaseBusy, DatabaseFull
from pynchy_cli.loop import Context
from pynchy_cli.store import failures

LOOK = 2.0
"""Seconds between looks at what is left on the disk."""
PAUSE = 10.0
"""Seconds between measurements of a folder at least; longer where they take long."""
SHARE = 10
"""So many times as long as a measurement took nobody measures."""
MOST = 1_000_000
"""Files and folders of a group; more can't be measured in any useful time."""
DEEPEST = 100
"""Levels of a group's folders; deeper ones can't be measured."""
NODES = 10_000
"""Files that can still be made, of those that the file system has; or a hundredth of them."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DiskWatch:
    """Watches the folders of one worker's sandboxes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._lives: set[Live] = set()
        self._known: dict[str, str | None] = {}
        self._due: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None

    def over(self, group_folder: str) -> str | None:
        """Why no sandbox of the group may work, as far as known, or None. Measures nothing."""
        return self._crowded() or self._known.get(group_folder)

    async def refusal(self, group_folder: str) -> str | None:
        """The same for a sandbox that is to start: what was over is measured anew first."""
        if self._known.get(group_folder) is not None:
            await self._measure(group_folder, threading.Event())
        why = self.over(group_folder)
        self._note(group_folder, why)
        return why

    def watch(self, live: Live) -> None:
        """Watch a live sandbox until it ends; the first measurement begins at once."""
        self._lives.add(live)
        self._due.setdefault(live.session.group_folder, 0.0)
        if self._looking is None or self._looking.done():
            self._looking = self.context.spawn(self._look(), "watching the disk")

    async def _look(self) -> None:
        halt = threading.Event()
        measuring: asyncio.Task[None] | None = None
        try:
            while self._forget_the_ended():
                if (why := self._crowded()) is not None:
                    self._stop(self._lives, why)
                if measuring is None or measuring.done():
                    measuring = self._next(halt)
                ends: set[asyncio.Task[None]] = {live.ended for live in self._lives}
                waited = {*ends, measuring} if measuring is not None else ends
                await asyncio.wait(waited, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halt.set()
            if measuring is not None:
                await asyncio.wait({measuring})

    def _forget_the_ended(self) -> bool:
        self._lives = {live for live in self._lives if not live.ended.done()}
        groups = {live.session.group_folder for live in self._lives}
        self._due = {group: due for group, due in self._due.items() if group in groups}
        return bool(self._lives)

    def _next(self, halt: threading.Event) -> asyncio.Task[None] | None:
        """The measurement that is due, begun."""
        now = time.monotonic()
        for group, due in self._due.items():
            if due <= now:
                return asyncio.create_task(self._measure(group, halt), name=f"measuring {group}")
        return None

    async def _measure(self, group: str, halt: threading.Event) -> None:
        """Measure a group's folders, and stop its sandboxes where they hold too much."""
        home = self.context.home
        limit = for_group(self.context.settings, group).folder_limit
        began = time.monotonic()
        why = await asyncio.to_thread(
            too_much, (home.group(group), home.claude(group)), limit, halt
        )
        if halt.is_set():
            return
        took = time.monotonic() - began
        self._known[group] = why
        if group in self._due:
            self._due[group] = time.monotonic() + max(PAUSE, SHARE * took)
        if why is not None:
            self._stop([live for live in self._lives if live.session.group_folder == group], why)

    def _stop(self, lives: Iterable[Live], why: str) -> None:
        for live in lives:
            if live.refusal is None and live.is_alive:
                live.refusal = why
                name, group = live.session.sandbox, live.session.group_folder
                self.context.log.error("a sandbox is stopped", sandbox=name, why=why)
                self.context.spawn(live.place.stop(0), f"stop {name}")
                self._note(group, why)

    def _crowded(self) -> str | None:
        """Why nobody may write any more to the home's disk."""
        home, least = self.context.home, self.context.settings.sandbox.min_free
        for folder in (home.data, home.groups):
            try:
                facts = os.statvfs(folder)
            except OSError as error:
                return f"{folder} can't be looked at ({error.strerror})"
            if facts.f_bavail * facts.f_frsize < least:
                left = size(facts.f_bavail * facts.f_frsize)
                return f"the disk is nearly full: {left} are left of at least {size(least)}"
            if facts.f_favail < min(NODES, facts.f_files // 100):
                return f"the disk is nearly full: it can hold {facts.f_favail} more files"
        return None

    def _note(self, group: str, why: str | None) -> None:
        """Have `status` show what is over, and nothing that was before."""
        store, stage, subject = self.context.store, self.context.name, f"disk:{group}"
        with contextlib.suppress(DatabaseBusy, DatabaseFull):
            if why is None and not failures.has(store.db, stage, subject):
                return
            with store.atomic() as db:
                if why is None:
                    failures.clear(db, stage, subject)
                else:
                    failures.note(db, stage, subject, why, clock.now())


def too_much(folders: Iterable[Path], limit: int, halt: threading.Event) -> str | None:
    """Why these folders hold too much, or None. By blocks that are really taken, each file once
    whatever its names, without following links. Ends early when `halt` is set.

    Whatever an agent did to keep us from measuring counts as too much.
    """
    scale = _Scale(limit, halt)
    try:
        for folder in folders:
            scale.weigh(folder)
    except _TooMuch as error:
        return str(error)
    return None


def size(number: int) -> str:
    """Bytes as people read them."""
    amount = float(number)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


class _TooMuch(Exception):
    pass


class _Scale:
    def __init__(self, limit: int, halt: threading.Event) -> None:
        self._limit = limit
        self._halt = halt
        self._bytes = 0
        self._entries = 0
        self._seen: set[tuple[int, int]] = set()

    def weigh(self, folder: Path) -> None:
        """Add all that a folder holds. Raises _TooMuch."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._in(os.open(folder, _FOLDER), DEEPEST)

    def _in(self, folder: int, depth: int) -> None:
        try:
            if depth == 0:
                raise _TooMuch(f"the group has folders more than {DEEPEST} levels deep")
            names = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        self._add(entry.stat(follow_symlinks=False))
                        if entry.is_dir(follow_symlinks=False):
                            names.append(entry.name)
                    if self._halt.is_set():
                        return
            for name in names:
                self._below(folder, name, depth)
        finally:
            os.close(folder)

    def _below(self, folder: int, name: str, depth: int) -> None:
        try:
            inner = os.open(name, _FOLDER, dir_fd=folder)
        except PermissionError as error:
            # What isn't ours isn't the agent's either, and grows no more.
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid == os.geteuid():
                raise _TooMuch("the group has folders that can't be looked into") from error
            return
        except OSError:
            return  # It has just gone, or become something else.
        self._in(inner, depth - 1)

    def _add(self, facts: os.stat_result) -> None:
        self._entries += 1
        if self._entries > MOST:
            raise _TooMuch(f"the group's folder holds more than {MOST} files")
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
            if (facts.st_dev, facts.st_ino) in self._seen:
                return
            self._seen.add((facts.st_dev, facts.st_ino))
        self._bytes += facts.st_blocks * 512
        if self._bytes > self._limit:
            raise _TooMuch(f"the group's folder holds more than {size(self._limit)}")
