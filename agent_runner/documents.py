"""Where documents come from: one given whole, or a folder in which they appear one after
the other. It writes nothing and removes nothing; inside, the folder is read-only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from agent_runner.protocol import CLOSE, UNREADABLE, Document, RunInput, read_document
from agent_runner.watch import watched


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


def beginning(place: Path) -> RunInput:
    """The document that began the run. Raises InputUnreadable."""
    _, data = _look(place, 0)
    return _first(_document(data, f"{place}/0.json"), f"{place}/0.json")


async def _appeared(place: Path, number: int) -> bytes | None:
    """What is in the document, once it is there; None when the agent is to leave."""
    found, data = _look(place, number)
    if found:
        return data
    with watched(place) as wait:
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


def _document(data: bytes | None, name: str) -> Document:
    if data is None:
        raise InputUnreadable(f"{name} is not there")
    try:
        return read_document(data)
    except UNREADABLE as error:
        raise InputUnreadable(f"{name} is not a document: {error}") from error


def _first(document: Document, name: str) -> RunInput:
    if not isinstance(document, RunInput):
        raise InputUnreadable(f'{name} must begin a run: a document of type "run"')
    return document
