"""Where documents come from: one given whole, or a folder in which they appear one after
the other. It writes nothing and removes nothing; inside, the folder is read-only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent_runner.protocol import CLOSE, UNREADABLE, Document, RunInput, read_document

LISTING = 0.5
"""Seconds between looks into the folder where its changes can't be watched."""
NET = 30.0
"""Seconds after which a watched folder is looked into all the same."""

Wait = Callable[[], Awaitable[None]]


class InputUnreadable(Exception):
    """What came in is not the document that should be there."""


async def single(data: bytes) -> AsyncIterator[Document]:
    """The one document in `data`. Raises InputUnreadable."""
    yield _first(_document(data, "standard input"), "standard input")


async def folder(place: Path) -> AsyncIterator[Document]:
    """The documents 0.json, 1.json, ... as they appear, until there is `_close`.

    The first is given even if `_close` is there already. Raises InputUnreadable.
    """
    yield _first(_document(await _appeared(place, 0), f"{place}/0.json"), f"{place}/0.json")
    number = 1
    while (data := await _appeared(place, number)) is not None:
        document = _document(data, f"{place}/{number}.json")
        if isinstance(document, RunInput):
            raise InputUnreadable(f"{place}/{number}.json begins a run, but one is under way")
        yield document
        number += 1


async def _appeared(place: Path, number: int) -> bytes | None:
    """What is in the document, once it is there; None when the agent is to leave."""
    found, data = _look(place, number)
    if found:
        return data
    with _watched(place) as wait:
        while True:
            found, data = _look(place, number)
            if found:
                return data
            await wait()


def _look(place: Path, number: int) -> tuple[bool, bytes | None]:
    """Whether there is anything to do, and the document unless that is to leave."""
    if number > 0 and (place / CLOSE).exists():
        return True, None
    try:
        return True, (place / f"{number}.json").read_bytes()
    except FileNotFoundError:
        return False, None
    except OSError as error:
        raise InputUnreadable(f"{place}/{number}.json: {error.strerror}") from error


@contextmanager
def _watched(place: Path) -> Iterator[Wait]:
    """A way to wait for changes of the folder; nothing that happens after it was made and
    before one waits is missed."""
    inotify = _inotify(place)
    if inotify is None:
        yield _pause
        return

    async def change() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(inotify.get(), NET)

    with inotify:
        yield change


async def _pause() -> None:
    await asyncio.sleep(LISTING)


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


def _document(data: bytes | None, name: str) -> Document:
    if data is None:
        raise InputUnreadable(f"{name} is not there")
    try:
        return read_document(data)
    except UNREADABLE as error:
        raise InputUnreadable(f"{name} is not a document: {error}") from error


def _first(document: Document, name: str) -> Document:
    if not isinstance(document, RunInput):
        raise InputUnreadable(f'{name} must begin a run: a document of type "run"')
    return document
