"""What of a home goes into a backup, besides the databases. Agents write into most of it while it
is read: every folder and file is opened by descriptor, no link is followed, and nothing but plain
files, folders and the words of links is taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pynchy_cli.config.paths import Home

DEEPEST = 200
"""Folders in each other; what is deeper is left out."""
MOST = 1_000_000
"""Entries of one group's folder, or of another; nobody can crowd out the others."""
LARGEST = 64 * 1024**3
"""Bytes of one file, and of all in a group's folder; what is beyond is left out. An agent can make
files that only look so large."""
FOLDERS = ("groups", "data/claude", "data/files", "data/received", "skills", "directives")
"""Of the home, all that is in them."""
SETTINGS = ("config.toml", "litellm_config.yaml")
SECRETS = (".env",)
UNFINISHED = ".draft-"
"""How the name of a file begins that is still being written by ourselves."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass
class Room:
    """What one group's folder may still bring in."""

    entries: int = MOST
    size: int = LARGEST


@dataclass(frozen=True)
class Entry:
    """One thing, by its path in the home: a file that is open (`fd`), a folder, a link with what it
    says, or what is left out, and why."""

    path: str
    facts: os.stat_result | None = None
    fd: int = -1
    target: str | None = None
    left_out: str | None = None


def entries(home: Home, *, secrets: bool) -> Iterator[Entry]:
    """All that is to be kept, folders before what is in them. A file is open until the next one is
    asked for."""
    for name in (*SETTINGS, *(SECRETS if secrets else ())):
        # A person's own files, which may well be links into a folder of theirs.
        yield from _opened(name, str(home.root / name), None, os.O_RDONLY | os.O_CLOEXEC, Room())
    for name in FOLDERS:
        try:
            fd = os.open(home.root / name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Entry(name, left_out=_reason(error))
            continue
        try:
            yield Entry(name, os.fstat(fd))
            yield from _inside(fd, name, None, DEEPEST)
        finally:
            os.close(fd)


def _inside(folder: int, path: str, room: Room | None, depth: int) -> Iterator[Entry]:
    """What is in a folder; without a room, each thing in it has one of its own."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield Entry(path, left_out=_reason(error))
        return
    for name in names:
        inner, left = f"{path}/{name}", room or Room()
        left.entries -= 1
        if left.entries < 0 or not depth:
            yield Entry(path, left_out="there is too much in it" if depth else "it is too deep")
            return
        try:
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Entry(inner, left_out=_reason(error))
            continue
        if stat.S_ISDIR(facts.st_mode):
            yield from _folder(folder, name, inner, left, depth - 1)
        elif stat.S_ISLNK(facts.st_mode):
            yield from _link(folder, name, inner, facts)
        elif stat.S_ISREG(facts.st_mode) and not name.startswith(UNFINISHED):
            yield from _opened(inner, name, folder, _FILE, left)
        # Sockets, pipes and devices are of no use elsewhere.


def _folder(folder: int, name: str, path: str, left: Room, depth: int) -> Iterator[Entry]:
    try:
        fd = os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Entry(path, left_out=_reason(error))
        return
    try:
        yield Entry(path, os.fstat(fd))
        yield from _inside(fd, path, left, depth)
    finally:
        os.close(fd)


def _link(folder: int, name: str, path: str, facts: os.stat_result) -> Iterator[Entry]:
    try:
        yield Entry(path, facts, target=os.readlink(name, dir_fd=folder))
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            yield Entry(path, left_out=_reason(error))


def _opened(path: str, name: str, folder: int | None, flags: int, left: Room) -> Iterator[Entry]:
    try:
        fd = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Entry(path, left_out=_reason(error))
        return
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            yield Entry(path, left_out="it is no plain file")
        elif facts.st_size > left.size:
            yield Entry(path, left_out="it is too large")
        else:
            left.size -= facts.st_size
            yield Entry(path, facts, fd)
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    return (error.strerror or "it can't be read").lower()
