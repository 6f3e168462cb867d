"""What a path on the host really is, found out through a descriptor: what is decided on is
what was opened, whatever links lead there and whoever exchanges them meanwhile."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LONGEST = 4095
"""Bytes of a path that the kernel takes."""
DATABASE = Path("data", "messages.db")
"""What is found in the home of every installation."""


class Unusable(Exception):
    """Why a path can't be a source, as the end of a sentence that begins with `it`."""


@dataclass(frozen=True)
class Source:
    """Something that was opened. `real` is its path without links, `kind` is folder, file,
    socket or other; `home` is the installation in whose home it lies, if any."""

    real: Path
    kind: str
    identity: tuple[int, int]
    home: Path | None = None


def expand(path: str, person: Path) -> Path:
    """The path made absolute: `~` and what is relative begin at the person's home.

    Raises Unusable.
    """
    if not path:
        raise Unusable("is empty")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        raise Unusable("has control characters in it")
    try:
        if len(os.fsencode(path)) > LONGEST:
            raise Unusable(f"is longer than {LONGEST} bytes")
    except UnicodeEncodeError as error:
        raise Unusable("has letters in it that no file's name has") from error
    first, _, rest = path.partition("/")
    if first == "~":
        return person / rest.lstrip("/")
    if first.startswith("~"):
        raise Unusable("names another's home; write the path out")
    return person / path


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, Source]]:
    """A descriptor that only names what is there (nothing is read, nobody is disturbed), and
    what it is. Raises Unusable."""
    try:
        fd = os.open(path, getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Unusable("does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Unusable(f"can't be opened ({reason})") from error
    try:
        yield fd, _facts(fd, path)
    finally:
        os.close(fd)


def _facts(fd: int, path: Path) -> Source:
    facts = os.fstat(fd)
    identity = _identity(facts)
    try:
        named = Path(f"/proc/self/fd/{fd}")
        real = named.readlink() if sys.platform == "linux" else path.resolve(strict=True)
        there = real.lstat()
        home = _home_of(real)
    except OSError as error:
        raise Unusable(f"can't be found again ({error.strerror})") from error
    if not real.is_absolute() or _identity(there) != identity:
        raise Unusable("is being exchanged, or no longer there")
    return Source(real, kind(facts.st_mode), identity, home)


def kind(mode: int) -> str:
    """What a mode says that something is."""
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return "socket" if stat.S_ISSOCK(mode) else "other"


def belongings(*places: Path) -> frozenset[tuple[int, int]]:
    """What tells these folders and files from all others, and what lies directly in them:
    by whatever further name something is found, it is known again."""
    found = set()
    for place in places:
        with contextlib.suppress(OSError):
            found.add(_identity(place.stat()))
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(place)):
                with contextlib.suppress(OSError):  # Some come and go.
                    found.add(_identity(entry.stat(follow_symlinks=False)))
    return frozenset(found)


def _identity(facts: os.stat_result) -> tuple[int, int]:
    return facts.st_dev, facts.st_ino


def _home_of(real: Path) -> Path | None:
    """The folder at or above it that holds a database of ours, also as a link."""
    for folder in (real, *real.parents):
        if os.path.lexists(folder / DATABASE):
            return folder
    return None
