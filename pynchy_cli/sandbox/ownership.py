"""Lets a group's uid at its own folders, where pynchy was started by root: what it may write
becomes its own, what it may only read is opened to its group. Nothing here follows a link, nor
changes what is people's and not pynchy's."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox.base import Mount

MOST = 100_000
"""Entries of one folder that are handed over; the rest stays as it is."""
DEEPEST = 100
"""Levels of one folder that are handed over."""


def check(mounts: Iterable[Mount]) -> None:
    """Raise SandboxUnavailable where a source is missing, or a link: who replaced a folder by
    a link must not be given what it leads to."""
    for mount in mounts:
        try:
            facts = mount.source.lstat()
        except OSError as error:
            raise _unavailable(mount, str(error.strerror)) from error
        if stat.S_ISLNK(facts.st_mode):
            raise _unavailable(mount, "it is a link; name what it leads to")
        if mount.identity not in (None, (facts.st_dev, facts.st_ino)):
            raise _unavailable(mount, "it is no longer what was allowed")


def hand_over(mounts: Iterable[Mount], uid: int) -> None:
    """Make the writable mounts the uid's own, and the others readable to it at the top.

    Raises SandboxUnavailable.
    """
    for mount in mounts:
        if mount.identity is not None:
            continue
        try:
            _hand_over(mount, uid)
        except OSError as error:
            raise _unavailable(mount, str(error.strerror)) from error


def _unavailable(mount: Mount, why: str) -> SandboxUnavailable:
    return SandboxUnavailable(f"{mount.source} can't be mounted at {mount.target}: {why}.")


def _hand_over(mount: Mount, uid: int) -> None:
    fd = os.open(mount.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(fd)
        if mount.writable:
            _own(fd, facts, uid)
        elif stat.S_ISDIR(facts.st_mode) and facts.st_mode & 0o005 != 0o005:
            os.fchown(fd, -1, uid)
            os.fchmod(fd, stat.S_IMODE(facts.st_mode) | 0o050)
    finally:
        os.close(fd)


def _own(fd: int, facts: os.stat_result, uid: int) -> None:
    """Hand over the whole folder once (its top last, so that a crash repeats it), and later
    only what we put directly into it."""
    if stat.S_ISDIR(facts.st_mode):
        depth = DEEPEST if facts.st_uid != uid else 0
        _own_inside(fd, {os.geteuid(), facts.st_uid} - {uid}, uid, [MOST], depth)
    if facts.st_uid != uid:
        os.fchown(fd, uid, uid)


def _own_inside(folder: int, owners: set[int], uid: int, left: list[int], depth: int) -> None:
    """Hand over what those owners have in a folder; `left` counts down."""
    for name in os.listdir(folder):
        left[0] -= 1
        if left[0] < 0:
            return
        # An agent at work in another lane may take entries away, or turn them into others.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if depth and stat.S_ISDIR(facts.st_mode):
                _own_folder(folder, name, owners, uid, left, depth - 1)
            # A further name of a file may lie where the group has nothing to say.
            is_shared = stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1
            if facts.st_uid in owners and not is_shared:
                os.chown(name, uid, uid, dir_fd=folder, follow_symlinks=False)


def _own_folder(
    folder: int, name: str, owners: set[int], uid: int, left: list[int], depth: int
) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    inner = os.open(name, flags, dir_fd=folder)
    try:
        _own_inside(inner, owners, uid, left, depth)
    finally:
        os.close(inner)
