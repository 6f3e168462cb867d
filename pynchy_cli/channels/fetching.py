"""Fetches the files that people share: each into its group's folder, whole or not at all. What is
still to be fetched stands in the file, so that a restart takes nothing from anybody."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from pynchy_cli import log
from pynchy_cli.channels.base import Away, NeverSent, NotSent
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError
from pynchy_cli.model import SharedFile

AT_ONCE = 3
TRIES = 5
"""So often a file is tried that the network doesn't give just now."""
PAUSE, LONGEST_PAUSE = 1.0, 30.0
LONGEST_ASKED = 600.0
PIECE = 256 * 1024
LONGEST, CONNECTING, IDLE = 900.0, 10.0, 60.0
"""Seconds for a whole file, until somebody answers, and between two pieces, at most."""
HOPS = 5
"""So often a network may tell that a file is somewhere else."""
NUMBERED = re.compile(r"\d-")
"""In a file's name: it could pass for one that we have numbered."""
Wanted = tuple[int, int, str, SharedFile]


class Host(Protocol):
    """What of a channel's host is needed here."""

    def waiting_files(self) -> list[Wanted]:
        """What is still to be fetched."""

    def file_path(self, group_folder: str, seq: int, name: str) -> Path:
        """Where a file is put. Raises OSError, and a PynchyError where there is no room for it."""

    def file_came(self, seq: int, number: int, path: str | None, error: str | None) -> None:
        """It is there, or never will be."""


class Source(Protocol):
    """Where a network's files come from."""

    async def fetch(self, file: SharedFile, part: Path) -> None:
        """Write all of a file at `part`, as `written` does. Raises NotSent, Away and OSError where
        it may be tried again, and other PynchyErrors where it never will be there."""


class Files:
    """Fetches what waits, a few at once."""

    def __init__(self, source: Source, host: Host, network: str) -> None:
        self._source = source
        self._host = host
        self._stirred = asyncio.Event()
        self._under_way: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._log = log.get(network)

    def stir(self) -> None:
        """There may be something to fetch."""
        self._stirred.set()

    async def run(self) -> None:
        """Fetch what waits until cancelled."""
        self._stirred.set()
        try:
            while True:
                await self._stirred.wait()
                self._stirred.clear()
                for wanted in self._host.waiting_files():
                    self._begin(wanted)
        finally:
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, wanted: Wanted) -> None:
        key = wanted[:2]
        if key not in self._under_way:
            task = asyncio.get_running_loop().create_task(self._settle(wanted))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def _settle(self, wanted: Wanted) -> None:
        """Fetch one file, or say why it can't be had."""
        seq, number = wanted[:2]
        path, error = None, None
        try:
            path = await self._fetched(wanted)
        except PynchyError as raised:
            error = str(raised)
            self._log.warning("file not fetched", seq=seq, number=number, why=error)
        while True:
            try:
                self._host.file_came(seq, number, path, error)
                return
            except (DatabaseBusy, DatabaseFull):
                await asyncio.sleep(PAUSE)

    async def _fetched(self, wanted: Wanted) -> str:
        """The name of a file in its folder, once it is there. Raises PynchyError."""
        seq, number, folder, file = wanted
        is_first = number == 0 and NUMBERED.search(file.name) is None
        name = file.name if is_first else f"{number + 1}-{file.name}"
        tries = 0
        while True:
            try:
                async with self._places:
                    return await self._fetch(folder, seq, name, file)
            except NeverSent:
                raise
            except (NotSent, Away) as error:
                # Without a network nothing is said of the file.
                tries += isinstance(error, NotSent)
                if tries == TRIES:
                    raise
                asked = error.retry_after if isinstance(error, NotSent) else None
                pause = min(LONGEST_PAUSE, PAUSE * 2 ** max(0, tries - 1))
                await asyncio.sleep(pause if asked is None else asked)

    async def _fetch(self, folder: str, seq: int, name: str, file: SharedFile) -> str:
        try:
            path = self._host.file_path(folder, seq, name)
            part = path.with_name(f".{path.name}.part")
            try:
                await self._source.fetch(file, part)
                part.replace(path)
                _sync(path.parent)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            why = f"it can't be written: {error.strerror or error}"
            raise NotSent(why) from error
        return path.name


async def written(
    pieces: AsyncIterable[bytes],
    part: Path,
    limit: int,
    opened: Callable[[bytes], bytes] = bytes,
    end: Callable[[], bytes] = bytes,
) -> None:
    """Write what comes at `part`, as `opened` makes of each piece, and `end` of the last. Raises
    NeverSent where that is more than `limit` bytes, what these raise, and OSError."""
    size = 0
    with part.open("wb") as there:

        def put(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            there.write(piece)

        async for piece in pieces:
            put(opened(piece))
        put(end())
        there.flush()
        await asyncio.to_thread(os.fsync, there.fileno())


def too_large(limit: int) -> NeverSent:
    """The error of what has more than `limit` bytes."""
    return NeverSent(f"it is larger than {limit / 1024**2:g} MiB")


def patience_asked(headers: Mapping[str, str]) -> float | None:
    """The seconds after which a network wants to be asked again, as far as that is waited for."""
    wait = headers.get("Retry-After", "")
    return min(float(wait), LONGEST_ASKED) if wait.isascii() and wait.isdigit() else None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
