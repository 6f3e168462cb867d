"""How a folder that the host writes to is watched: it says that something may be new in it,
and where it can, what. Where changes can't be watched, it is time that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LISTING = 0.5
"""Seconds between looks into the folder where its changes can't be watched."""
NET = 30.0
"""Seconds after which a watched folder is looked into all the same."""

Wait = Callable[[], Awaitable[str | None]]
"""Gives the name of one file that is new or changed; None where it may be any."""


@contextmanager
def watched(place: Path) -> Iterator[Wait]:
    """A way to wait for changes of the folder; nothing that happens after it was made and
    before one waits is missed."""
    inotify = _inotify(place)
    if inotify is None:
        yield _pause
        return

    async def change() -> str | None:
        try:
            # Python 3.11's wait_for forgets that it was cancelled when something comes just then.
            async with asyncio.timeout(NET):
                event = await inotify.get()
        except TimeoutError:
            return None
        return None if event.name is None else str(event.name)

    with inotify:
        yield change


async def _pause() -> str | None:
    await asyncio.sleep(LISTING)
    return None


def _inotify(place: Path) -> Any:
    """A watch on the folder; None where it can't be had (another system, too many of them)."""
    try:
        # Only those who wait need it, and the first record doesn't.
        from asyncinotify import Inotify, Mask

        inotify = Inotify()
    except (ImportError, OSError):
        return None
    try:
        inotify.add_watch(place, Mask.MOVED_TO | Mask.CLOSE_WRITE | Mask.CREATE)
    except OSError:
        inotify.close()
        return None
    return inotify
