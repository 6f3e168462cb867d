"""One sandbox's requests as files, opened by descriptor from the folder that the host has made.
Nothing in it is followed or waited for; what is no plain file of the sandbox's own is refused."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from itertools import islice
from pathlib import Path

from agent_runner.protocol.requests import REQUEST_LIMIT
from pynchy_cli.errors import RequestRefused

MOST = 100_000
"""Names that are listed at once; more are for the next time."""
OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that are the host's own want, and say nothing of the file."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class InboxLost(Exception):
    """The folder is gone, or is another one."""


class Gone(Exception):
    """The file isn't there any more."""


class Inbox:
    """The folder of requests. Raises InboxLost where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, _FOLDER)
        except OSError as error:
            raise InboxLost(f"{path.name}: {error.strerror}") from error
        self._stuck: set[str] = set()

    def is_current(self) -> bool:
        """Whether the folder at its path is still the one that was opened."""
        try:
            facts = os.lstat(self.path)
        except OSError:
            return False
        own = os.fstat(self._fd)
        return (facts.st_dev, facts.st_ino) == (own.st_dev, own.st_ino)

    def names(self) -> list[str]:
        """What lies there, in the order of its names; not what begins with a dot. What comes while
        a folder is read may be seen before what came earlier: so it is read once more, up to the
        last that was seen."""
        seen = self._listed()
        if not seen:
            return []
        last = max(seen)
        return sorted(name for name in self._listed() if name <= last)

    def _listed(self) -> list[str]:
        try:
            with os.scandir(self._fd) as entries:
                found = [entry.name for entry in islice(entries, MOST)]
        except OSError as error:
            raise InboxLost(str(error.strerror)) from error
        return [name for name in found if not name.startswith(".") and name not in self._stuck]

    def read(self, name: str) -> bytes:
        """A file's content, cut behind the limit where it is larger. Raises Gone, RequestRefused
        for what is no plain file, and OSError where the host can open nothing just now."""
        try:
            fd = os.open(name, _FILE, dir_fd=self._fd)
        except FileNotFoundError as error:
            raise Gone(name) from error
        except OSError as error:
            if error.errno in OURS:
                raise
            reason = f"It can't be opened: {error.strerror}."
            raise RequestRefused("invalid", reason) from error
        try:
            facts = os.fstat(fd)
            if not stat.S_ISREG(facts.st_mode):
                raise RequestRefused("invalid", "It is no plain file.")
            # Asked now: the folder may have been seen before it was handed to its sandbox's uid.
            if facts.st_nlink != 1 or facts.st_uid != os.fstat(self._fd).st_uid:
                raise RequestRefused("invalid", "It is another one's file.")
            return _read(fd, REQUEST_LIMIT + 1)
        except OSError as error:
            reason = f"It can't be read: {error.strerror}."
            raise RequestRefused("invalid", reason) from error
        finally:
            os.close(fd)

    def remove(self, name: str) -> None:
        """Take a file away. What can't be taken away is not listed again."""
        with contextlib.suppress(FileNotFoundError):
            try:
                os.unlink(name, dir_fd=self._fd)
            except OSError:
                self._remove_folder(name)

    def _remove_folder(self, name: str) -> None:
        try:
            os.rmdir(name, dir_fd=self._fd)
        except OSError:
            self._stuck.add(name)

    def close(self) -> None:
        """Let go of the folder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _read(fd: int, most: int) -> bytes:
    pieces = []
    while most > 0 and (piece := os.read(fd, most)):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)
