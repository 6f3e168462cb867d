"""The one place that waits for files: one inotify for a process, with callbacks on its event
loop (watchfiles where there is no inotify), and the doorbell of the database. Nothing here
polls on a short timer, and nothing here may do work: a callback only wakes somebody."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # the supervisor watches files too, and knows nothing of the configuration
    from pynchy_cli.config.paths import Home

Call = Callable[[], None]
RECHECKS = (0.002, 0.02, 0.2)
"""Seconds after a write to the WAL at which to look whether it was a commit: the write is
seen before its commit is."""
LOCK_RECHECK = 0.05
"""Seconds after which a closed lock file is looked at again: the kernel tells of the close
just before it lets go of the lock."""

FLOOD = 512
"""Events that are taken in one go. Whoever makes more, such as an agent in its own folder, waits
for `FLOOD_PAUSE` seconds: the loop must never be kept by one who makes them faster than that. All
are called then, for what happened elsewhere stands behind it in the queue."""
FLOOD_PAUSE = 0.02


class _Source(Protocol):
    def start(self, path: Path) -> None: ...
    def stop(self, path: Path) -> None: ...
    def close(self) -> None: ...


class Watcher:
    """Calls back when a folder's entries, or one file, change. One for each process; made
    and used on the running event loop. A callback may be called once too often."""

    def __init__(self) -> None:
        self._calls: dict[Path, list[tuple[str | None, Call]]] = {}
        kind = _Inotify if sys.platform == "linux" else _Watchfiles
        self._source: _Source = kind(self._seen)

    def add(self, path: Path, call: Call, *, name: str | None = None) -> None:
        """Call when the file `path` changes, or anything (or only `name`) in the folder `path`.

        Raises OSError where there is no such path. A file that is replaced is seen to go;
        whoever awaits its successor watches the folder.
        """
        if path not in self._calls:
            self._source.start(path)
            self._calls[path] = []
        self._calls[path].append((name, call))

    def remove(self, path: Path) -> None:
        """End all calls for a path; one that isn't watched is no error."""
        if self._calls.pop(path, None) is not None:
            self._source.stop(path)

    def close(self) -> None:
        """End all calls."""
        self._calls.clear()
        self._source.close()

    def _seen(self, path: Path | None, name: str | None, gone: bool) -> None:
        """An event of the source: of one path, or None where it lost count."""
        if path is None:
            for calls in list(self._calls.values()):
                for _, call in list(calls):
                    call()
            return
        for wanted, call in list(self._calls.get(path, ())):
            if wanted is None or name is None or wanted == name:
                call()
        if gone:
            self._calls.pop(path, None)


class _Inotify:
    def __init__(self, seen: Callable[[Path | None, str | None, bool], None]) -> None:
        from asyncinotify import Inotify, Mask

        self._seen = seen
        self._mask = Mask
        self._inotify = Inotify(cache_size=64, sync_timeout=0)
        self._watches: dict[Path, Any] = {}
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._inotify.fd, self._read)

    def start(self, path: Path) -> None:
        mask = self._mask
        wanted = mask.MODIFY | mask.CLOSE_WRITE
        if path.is_dir():
            wanted |= mask.CREATE | mask.DELETE | mask.MOVED_FROM | mask.MOVED_TO
        self._watches[path] = self._inotify.add_watch(
            path, wanted | mask.DELETE_SELF | mask.MOVE_SELF
        )

    def stop(self, path: Path) -> None:
        watch = self._watches.pop(path, None)
        if watch is not None and watch in self._inotify.watches:
            self._inotify.rm_watch(watch)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._inotify.fd)
        self._inotify.close()

    def _read(self) -> None:
        for _ in range(FLOOD):
            if (event := self._inotify.sync_get()) is None:
                return
            self._event(event, event.watch)
        self._loop.remove_reader(self._inotify.fd)
        self._pause = self._loop.call_later(FLOOD_PAUSE, self._go_on)
        self._seen(None, None, False)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._inotify.fd, self._read)
        self._read()  # Some may have been read already, of which the kernel tells no more.

    def _event(self, event: Any, watch: Any) -> None:
        if self._mask.Q_OVERFLOW in event.mask:
            self._seen(None, None, False)
            return
        path: Path | None = getattr(watch, "path", None)
        if path is not None and self._watches.get(path) is watch:
            gone = self._mask.IGNORED in event.mask
            if gone:
                del self._watches[path]
            self._seen(path, str(event.name) if event.name else None, gone)


class _Watchfiles:
    """The same elsewhere, with a thread and its latency (about 50 ms)."""

    def __init__(self, seen: Callable[[Path | None, str | None, bool], None]) -> None:
        self._seen = seen
        self._tasks: dict[Path, asyncio.Task[None]] = {}

    def start(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(path)
        self._tasks[path] = asyncio.get_running_loop().create_task(self._follow(path))

    def stop(self, path: Path) -> None:
        self._tasks.pop(path).cancel()

    def close(self) -> None:
        for path in list(self._tasks):
            self.stop(path)

    async def _follow(self, path: Path) -> None:
        from watchfiles import awatch

        folder = path.is_dir()
        async for changes in awatch(path, watch_filter=None, debounce=50, recursive=False):
            names = {Path(changed).name for _, changed in changes} if folder else {None}
            for name in names:
                self._seen(path, name, False)


class Doorbell:
    """Wakes somebody after each commit to the database: by the bell at once, and by the WAL's
    folder where a writer doesn't ring. `version` is the store's PRAGMA data_version."""

    def __init__(self, watcher: Watcher, home: Home, version: Callable[[], int], wake: Call):
        self._version = version
        self._wake = wake
        self._known = version()
        self._timer: asyncio.TimerHandle | None = None
        self._step = 0
        watcher.add(home.data, wake, name=home.bell.name)
        watcher.add(home.data, self._written, name=f"{home.database.name}-wal")

    def look(self) -> None:
        """Remember the present state; called just before the database is read."""
        self._known = self._version()

    def close(self) -> None:
        """End the re-checks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _written(self) -> None:
        self._step = 0
        if self._timer is None:
            self._arm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(RECHECKS[self._step], self._recheck)

    def _recheck(self) -> None:
        self._timer = None
        if self._version() != self._known:
            self._wake()
        self._step += 1
        if self._step < len(RECHECKS):
            self._arm()


def watch_locks(watcher: Watcher, locks: Path, call: Call) -> None:
    """Call when a process may have let go of a lock in the folder, and again a moment later.

    Shared locks are opened read-only, like questions, and are not heard.
    """
    pending: list[asyncio.TimerHandle] = []

    def later() -> None:
        pending.clear()
        call()

    def closed() -> None:
        call()
        if not pending:
            pending.append(asyncio.get_running_loop().call_later(LOCK_RECHECK, later))

    watcher.add(locks, closed)
