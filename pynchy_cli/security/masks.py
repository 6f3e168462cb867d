"""Looks for what must stay hidden below a folder that may be mounted: names that are blocked,
sockets, other file systems, folders that can't be looked into. The search is bounded, and
follows no link; where it can't be finished, the folder can't be mounted."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pynchy_cli.security import mounts, sources

ENTRIES = 200_000
"""Files and folders that are looked at."""
SECONDS = 10.0
"""How long may be looked, by the monotonic clock."""
DEEPEST = 100
"""Levels of folders."""
MOST = 200
"""Hidden paths in one mount."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unsearchable(Exception):
    """Why a folder can't be mounted, as a sentence."""


@dataclass
class Search:
    """One search, with what is left of its bounds. `never` tells what must not even be there
    under a name that isn't blocked: what `mounts.never` says."""

    blocked: tuple[str, ...]
    never: frozenset[tuple[int, int]] = frozenset()
    entries: int = ENTRIES
    seconds: float = SECONDS
    _until: float = field(init=False)

    def __post_init__(self) -> None:
        self._until = time.monotonic() + self.seconds
        self._left = self.entries
        self._mounted: frozenset[str] = frozenset()
        self._numbers = frozenset(number for _, number in self.never)

    def below(self, source: sources.Source) -> tuple[str, ...]:
        """What must be hidden, as paths relative to the source; folders end with `/`.

        Raises Unsearchable. Blocks for as long as it takes: not for the event loop.
        """
        if source.kind != "folder":
            return ()
        try:
            top = os.open(source.real, _FOLDER)
        except OSError as error:
            raise Unsearchable(f"{source.real} can't be read ({error.strerror}).") from error
        try:
            self._mounted = _mounted_below(source.real)
            facts = os.fstat(top)
            if (facts.st_dev, facts.st_ino) != source.identity:
                raise Unsearchable(f"{source.real} is being exchanged.")
            found = []
            for one in self._in(top, "", DEEPEST, source.real):
                found.append(one)
                if len(found) > MOST:
                    raise Unsearchable(
                        f"{source.real} holds more than {MOST} names that are blocked; "
                        "mount a folder with fewer."
                    )
        finally:
            os.close(top)
        return tuple(sorted(found))

    def _in(self, folder: int, path: str, depth: int, real: Path) -> Iterator[str]:
        names = []
        with os.scandir(folder) as entries:
            for entry in entries:
                self._count(real)
                if entry.inode() in self._numbers:
                    self._require_foreign(entry, real / path)
                is_folder = entry.is_dir(follow_symlinks=False)
                is_hidden = not entry.is_symlink() and self._is_hidden(entry, path)
                if is_folder and not is_hidden:
                    names.append(entry.name)
                elif is_hidden:
                    yield f"{path}{entry.name}" + ("/" if is_folder else "")
        if depth == 0 and names:
            raise Unsearchable(f"{real} has folders more than {DEEPEST} levels deep.")
        for name in names:
            if name == sources.DATABASE.parent.name:
                _require_no_database(folder, name, real / path)
            yield from self._below(folder, name, f"{path}{name}/", depth - 1, real)

    def _below(self, folder: int, name: str, path: str, depth: int, real: Path) -> Iterator[str]:
        try:
            inner = os.open(name, _FOLDER, dir_fd=folder)
        except (FileNotFoundError, NotADirectoryError):
            raise Unsearchable(f"{real} is being changed while it is looked at.") from None
        except OSError:
            yield path  # Whoever owns it could open it to himself, inside too.
            return
        try:
            yield from self._in(inner, path, depth, real)
        finally:
            os.close(inner)

    def _is_hidden(self, entry: os.DirEntry[str], path: str) -> bool:
        if mounts.blocking(entry.name, self.blocked) is not None:
            return True
        if self._mounted and f"{path}{entry.name}" in self._mounted:
            return True
        if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
            return False
        return sources.kind(entry.stat(follow_symlinks=False).st_mode) == "socket"

    def _require_foreign(self, entry: os.DirEntry[str], place: Path) -> None:
        facts = entry.stat(follow_symlinks=False)
        if (facts.st_dev, facts.st_ino) in self.never:
            raise Unsearchable(
                f"{place / entry.name} is a part of pynchy's own home, or the allowlist, by "
                "another name."
            )

    def _count(self, real: Path) -> None:
        self._left -= 1
        if self._left < 0:
            raise Unsearchable(
                f"{real} holds more than {self.entries} files and folders, too many to look "
                "through for secrets; mount a smaller folder."
            )
        if self._left % 256 == 0 and time.monotonic() > self._until:
            raise Unsearchable(
                f"{real} can't be looked through for secrets within {self.seconds:g} s; "
                "mount a smaller folder."
            )


def inside(target: str, found: Iterable[str]) -> tuple[str, ...]:
    """The found paths as they are inside, of something that is mounted at `target`."""
    return tuple(f"{target}/{one}" for one in found)


def _require_no_database(folder: int, name: str, place: Path) -> None:
    try:
        os.stat(f"{name}/{sources.DATABASE.name}", dir_fd=folder, follow_symlinks=False)
    except OSError:
        return
    raise Unsearchable(f"{place} is a pynchy's home, of which nothing may be mounted.")


def _mounted_below(real: Path) -> frozenset[str]:
    """Where other file systems are mounted below a folder, as paths relative to it."""
    begin = os.fsencode(real).rstrip(b"/") + b"/"
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return frozenset()  # Not Linux.
    places = (_ESCAPE.sub(lambda at: bytes([int(at[1], 8)]), line.split()[4]) for line in lines)
    return frozenset(os.fsdecode(at[len(begin) :]) for at in places if at.startswith(begin))
