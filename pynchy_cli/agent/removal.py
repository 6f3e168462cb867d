"""Takes a folder away with whatever an agent left in it: links are removed and never followed,
and no depth and no rights of what is inside keep it. Nobody may be at work in it any more."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import sys
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> None:
    """Take it away; what can't be removed stays, with the folders above it."""
    with contextlib.suppress(OSError):
        top = os.open(path, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        path.rmdir()


def _empty(top: int) -> None:
    """Each folder's own folders are moved to the top before it goes, so that two descriptors
    are enough for any depth."""
    begin, number = f".{secrets.token_hex(8)}-", itertools.count()
    waiting = _without_files(top)
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(OSError):
            inner = os.open(name, _FOLDER, dir_fd=top)
            try:
                for below in _without_files(inner):
                    new = f"{begin}{next(number)}"
                    os.rename(below, new, src_dir_fd=inner, dst_dir_fd=top)
                    waiting.append(new)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)


def _without_files(folder: int) -> list[str]:
    """Remove all that is no folder; the names of its folders, opened to us."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                    _open_up(entry.name, folder)
                else:
                    os.unlink(entry.name, dir_fd=folder)
    return folders


def _open_up(name: str, folder: int) -> None:
    """Give us all rights over a folder, which must never be a link."""
    if sys.platform != "linux":
        return
    fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{fd}", 0o700)  # noqa: PTH101 - as above
    finally:
        os.close(fd)
