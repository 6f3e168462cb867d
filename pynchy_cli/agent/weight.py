"""Weighs folders that an agent can write: by the blocks that they really take, without following
links, whatever the agent makes of them meanwhile. Blocks, so it is never for the event loop."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

MOST = 1_000_000
"""Files and folders of a group; more can't be measured in any useful time."""
DEEPEST = 100
"""Levels of a group's folders; deeper ones can't be measured."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def too_much(folders: Iterable[Path], limit: int, halt: threading.Event) -> str | None:
    """Why these folders hold too much, or None. By blocks that are really taken, each file once
    whatever its names, without following links. Ends early when `halt` is set.

    Whatever an agent did to keep us from measuring counts as too much.
    """
    scale = _Scale(limit, halt)
    try:
        for folder in folders:
            scale.weigh(folder)
    except _TooMuch as error:
        return str(error)
    return None


def size(number: int) -> str:
    """Bytes as people read them."""
    amount = float(number)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


class _TooMuch(Exception):
    pass


class _Scale:
    def __init__(self, limit: int, halt: threading.Event) -> None:
        self._limit = limit
        self._halt = halt
        self._bytes = 0
        self._entries = 0
        self._seen: set[tuple[int, int]] = set()

    def weigh(self, folder: Path) -> None:
        """Add all that a folder holds. Raises _TooMuch."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._in(os.open(folder, _FOLDER), DEEPEST)

    def _in(self, folder: int, depth: int) -> None:
        try:
            if depth == 0:
                raise _TooMuch(f"the group has folders more than {DEEPEST} levels deep")
            names = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        self._add(entry.stat(follow_symlinks=False))
                        if entry.is_dir(follow_symlinks=False):
                            names.append(entry.name)
                    if self._halt.is_set():
                        return
            for name in names:
                self._below(folder, name, depth)
        except PermissionError as error:
            _require_foreign(os.fstat(folder), error)
        finally:
            os.close(folder)

    def _below(self, folder: int, name: str, depth: int) -> None:
        try:
            inner = os.open(name, _FOLDER, dir_fd=folder)
        except PermissionError as error:
            _require_foreign(os.stat(name, dir_fd=folder, follow_symlinks=False), error)
            return
        except OSError:
            return  # It has just gone, or become something else.
        self._in(inner, depth - 1)

    def _add(self, facts: os.stat_result) -> None:
        self._entries += 1
        if self._entries > MOST:
            raise _TooMuch(f"the group's folder holds more than {MOST} files")
        if facts.st_nlink > 1 and not stat.S_ISDIR(facts.st_mode):
            if (facts.st_dev, facts.st_ino) in self._seen:
                return
            self._seen.add((facts.st_dev, facts.st_ino))
        self._bytes += facts.st_blocks * 512
        if self._bytes > self._limit:
            raise _TooMuch(f"the group's folder holds more than {size(self._limit)}")


def _require_foreign(folder: os.stat_result, error: OSError) -> None:
    """What can't be looked into and isn't ours isn't the agent's either, and grows no more."""
    if folder.st_uid == os.geteuid():
        raise _TooMuch("the group has folders that can't be looked into") from error
