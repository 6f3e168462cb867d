"""`pynchy status --watch`: the same again after each commit, until Ctrl-C. It is woken by the
doorbell and by locks that are let go, never by a short timer; asyncio is loaded for it alone."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from pynchy_cli import clock, output, status_table
from pynchy_cli.config.paths import Home
from pynchy_cli.watch import Doorbell, Watcher, watch_locks

Document = dict[str, Any]
PAUSE = 0.2
"""Seconds between two drawings at least: of many commits only the last is of interest."""
SAFETY_SECONDS = 30.0
"""The longest wait: after it what nobody rang for is seen, and ages are right again."""
HEAD = 48
"""Bytes of the WAL's index that SQLite writes anew with each commit."""
TRIES = 5
"""So often what came or went just before it was watched is looked for."""
UNSTEADY = ("uptime_seconds", "age_seconds", "oldest_seconds", "free", "size", "wal_size")
"""What changes without anything having happened."""


def watch(root: str, look: Callable[[], Document], *, as_json: bool) -> None:
    """Show what `look` gives for the home at `root`, and again when it may have changed: a table
    that is redrawn, or a line of JSON for each change. Ends with SIGINT or SIGTERM."""
    asyncio.run(_watch(Home(Path(root)), look, as_json=as_json))


async def _watch(home: Home, look: Callable[[], Document], *, as_json: bool) -> None:
    loop, woken, ending = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def end() -> None:
        ending.set()
        woken.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGWINCH, woken.set)
    show = _Lines() if as_json else _Screen(str(home.root))
    with closing(_Wakers(home, woken.set)) as wakers:
        while not ending.is_set():
            woken.clear()
            wakers.look()
            show(look())
            await _wait(ending, PAUSE)
            await _wait(woken, SAFETY_SECONDS)
    show.close()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class _Wakers:
    """What wakes: commits and locks of a home; while it has no data, whatever happens to the
    nearest folder that there is."""

    def __init__(self, home: Home, wake: Callable[[], None]) -> None:
        self._home = home
        self._wake = wake
        self._folders: list[tuple[Path, int]] = []
        self._watcher: Watcher | None = None
        self._bell: Doorbell | None = None

    def look(self) -> None:
        """Watch what there is now; called before the file is read."""
        for _ in range(TRIES):
            folders = self._there()
            if folders == self._folders:
                break
            self.close()
            with suppress(OSError):
                self._watch([path for path, _ in folders])
                self._folders = folders
        if self._bell is not None:
            self._bell.look()

    def close(self) -> None:
        """Watch nothing any more."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._folders = []

    def _watch(self, folders: list[Path]) -> None:
        self._watcher = Watcher()
        if self._home.data not in folders:
            self._watcher.add(folders[0], self._wake)
            return
        self._bell = Doorbell(self._watcher, self._home, self._version, self._wake)
        for name in (self._home.database.name, self._home.locks.name):
            self._watcher.add(self._home.data, self._wake, name=name)
        if self._home.locks in folders:
            watch_locks(self._watcher, self._home.locks, self._wake)

    def _version(self) -> int:
        """A number that changes with each commit, whoever made it: the head of the WAL's index and
        the time of the file. A connection, which could be asked, would have to be kept open, and
        opening one looks to the others like writing."""
        database = self._home.database
        number = database.stat().st_mtime_ns if database.is_file() else 0
        with suppress(OSError), database.with_name(f"{database.name}-shm").open("rb") as index:
            number ^= int.from_bytes(index.read(HEAD), "little")
        return number

    def _there(self) -> list[tuple[Path, int]]:
        """The folders to watch, as far as they are there, each with what tells it from one that
        takes its place."""
        home = self._home
        wanted = [path for path in (home.data, home.locks) if path.is_dir()]
        if home.data not in wanted:
            wanted = [path for path in (home.root, *home.root.parents) if path.is_dir()][:1]
        return [(path, path.stat().st_ino) for path in wanted]


class _Lines:
    """Prints a document as one line of JSON, where more than the time has changed in it."""

    def __init__(self) -> None:
        self._last: object = None

    def __call__(self, told: Document) -> None:
        steady = _steady(told)
        if steady != self._last:
            self._last = steady
            output.print_line(told)

    def close(self) -> None:
        """Nothing is left to be done."""


class _Screen:
    """Draws a document over the one before, as much of it as there is room for."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._begin = "\x1b[2J\x1b[H"

    def __call__(self, told: Document) -> None:
        now = clock.now()
        lines = status_table.lines(told, self._home, now)
        width, height = output.width() or status_table.WIDTH, output.height()
        foot = f"{now[11:19]} UTC, drawn anew when something happens; Ctrl-C ends."
        kept = _fitting([output.plain(line) for line in lines], width, height - 2)
        text = "".join(f"{line}\x1b[K\n" for line in (*kept, foot))
        output.print_raw(f"{self._begin}{text}\x1b[J")
        self._begin = "\x1b[H"

    def close(self) -> None:
        """Leave the last drawing, with the cursor below it."""
        output.print_raw("\n")


def _fitting(lines: list[str], width: int, height: int) -> list[str]:
    """The first lines that fit on a screen, long ones taking several of its rows."""
    kept: list[str] = []
    for line in lines:
        height -= max(1, math.ceil(output.columns(line) / width))
        if height < 0:
            break
        kept.append(line)
    return kept


def _steady(value: Any) -> Any:
    """The document without what changes by itself."""
    if isinstance(value, dict):
        return {key: _steady(one) for key, one in value.items() if key not in UNSTEADY}
    return [_steady(one) for one in value] if isinstance(value, list) else value
