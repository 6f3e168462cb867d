"""What `pynchy status` tells of the machine around the file: the supervisor, the disk, sizes,
versions. It asks the kernel and reads one small file; nothing is written."""

from __future__ import annotations

import os
import sqlite3
import sys

from pynchy_cli import __version__
from pynchy_cli.store.running import Document, as_object, is_held

MIN_FREE = 1024**3
"""Bytes that should be free on the home's disk, where no process tells what is set."""
LONGEST = 4096
"""Bytes of the supervisor's file that are read."""

# Path would do the same as os.path, for a quarter of the whole command's time.


def supervisor(lock_folder: str) -> Document:
    """Whether `pynchy up` runs here, and what it says of itself in the file that it locks."""
    lock = os.path.join(lock_folder, "up.lock")  # noqa: PTH118
    if not is_held(lock):
        return {"running": False, "pid": None, "since": None, "unit": None}
    reader = sqlite3.connect(":memory:")
    try:
        told = as_object(reader, _text(lock))
    finally:
        reader.close()
    return {
        "running": True,
        "pid": told.get("pid"),
        "since": told.get("started_at"),
        "unit": told.get("unit"),
    }


def disk(path: str, min_free: object = None) -> Document:
    """What is left on the disk of the folder in which the file `path` is, in bytes; `low` below
    what must be free for agents to work."""
    least = min_free if isinstance(min_free, int) else MIN_FREE
    folder = os.path.dirname(path)  # noqa: PTH120
    while not os.path.isdir(folder) and folder not in ("", "/"):  # noqa: PTH112
        folder = os.path.dirname(folder)  # noqa: PTH120
    told = {"path": folder, "free": None, "total": None, "min_free": least, "low": False}
    try:
        facts = os.statvfs(folder)
    except OSError:
        return told
    free = facts.f_bavail * facts.f_frsize
    return told | {"free": free, "total": facts.f_blocks * facts.f_frsize, "low": free < least}


def size(path: str) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def versions() -> Document:
    """Of this command, and of what it runs on."""
    return {
        "pynchy": __version__,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "sqlite": sqlite3.sqlite_version,
    }


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(LONGEST).decode("utf-8", "replace").strip()
    except OSError:
        return ""
