"""Locks that die with their process and can be asked without being taken (open-file-
description record locks). Whoever holds the lock is alive; there are no pid files."""

from __future__ import annotations

import fcntl
import os
import struct

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from pathlib import Path

# struct flock on 64-bit Linux: type, whence, (padding), start, length, pid.
_FLOCK = "hhqqi4x"
_GETLK = getattr(fcntl, "F_OFD_GETLK", 36)
_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)


def _request(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


class Lock:
    """A held lock; it is let go by `release`, or by the kernel when the last process
    that shares its descriptor ends."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    def keep(self) -> bool:
        """Put the file back where somebody removed it, because without it the lock looks free;
        False where another has the lock since. Raises OSError."""
        if _is_at(self.fd, self.path):
            return True
        if (new := take(self.path)) is None:
            return False
        os.close(self.fd)
        self.fd = new.fd
        return True

    def release(self, *, remove: bool = False) -> None:
        """Let go; with `remove` also take the file away, first, so that nobody sees it free."""
        if self.fd < 0:
            return
        if remove:
            try:  # noqa: SIM105 - contextlib takes a tenth of the time of `status`
                self.path.unlink()
            except OSError:
                pass
        os.close(self.fd)
        self.fd = -1


def take(path: Path, *, shared: bool = False) -> Lock | None:
    """Take the lock, or None where somebody else holds it.

    A shared lock is opened read-only, so that its descriptor can be handed to a process
    that isn't trusted: as long as any copy is open, the lock is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if shared:
            os.close(fd)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.fcntl(fd, _SETLK, _request(fcntl.F_RDLCK if shared else fcntl.F_WRLCK))
        except (BlockingIOError, PermissionError):
            os.close(fd)
            return None
        # Its holder may have taken the file away between our open and our lock.
        if _is_at(fd, path):
            return Lock(path, fd)
        os.close(fd)


def is_held(path: Path | str) -> bool:
    """Whether somebody holds the lock. A missing file is a lock that nobody holds."""
    try:
        fd = _opened(path)
    except FileNotFoundError:
        return False
    if fd is None:
        return True
    try:
        answer = fcntl.fcntl(fd, _GETLK, _request(fcntl.F_WRLCK))
    finally:
        os.close(fd)
    kind: int = struct.unpack(_FLOCK, answer)[0]
    return kind != fcntl.F_UNLCK


def _opened(path: Path | str) -> int | None:
    """A descriptor to ask with; None where somebody alive keeps us from getting one: an agent
    that runs with our own uid may take the rights from its sandbox's lock, again and again."""
    # Read-only: who watches the folder for locks let go must not hear the asking.
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except PermissionError:
        os.chmod(path, 0o600)  # noqa: PTH101 - it may be a text
    try:
        return os.open(path, flags)
    except PermissionError:
        return None
