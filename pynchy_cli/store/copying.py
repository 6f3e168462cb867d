"""Copies a database while everybody reads and writes it: all of it as it stood at one moment. No
writer waits for that, since it is read from one state of the file; what is written meanwhile only
stays in the WAL for as long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pynchy_cli.store.connection import BUSY_SECONDS, translated

PAGES = 1024
"""Pages that are copied between two looks around: 4 MiB."""
Progress = Callable[[int, int], None]
"""Called with the bytes that are copied, and with all that there are."""


def copy(path: Path, to: Path, progress: Progress) -> None:
    """Copy a database of ours, WAL and all, into a single new file for its owner alone.

    Raises DatabaseBusy, DatabaseFull, DatabaseForeign.
    """
    with closing(_open(path, "ro")) as source, translated(path):
        size = int(source.execute("PRAGMA page_size").fetchone()[0])
        # One state of the file for all steps: they would begin anew after each foreign commit.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()

        def told(status: int, left: int, total: int) -> None:
            progress((total - left) * size, total * size)

        with closing(_new(to)) as target:
            source.backup(target, pages=PAGES, progress=told)
            # A file by itself, that can be read where nothing can be written.
            target.execute("PRAGMA journal_mode=DELETE")


def copy_foreign(path: Path, to: Path, *, in_use: bool) -> None:
    """Copy a database of another library's at once, because its writer waits for that; it must not
    have it open in this process. What is not `in_use` may have been left half written by a killed
    process, and is mended.

    Raises DatabaseBusy, DatabaseFull, DatabaseForeign.
    """
    mode = "ro" if in_use else "rw"
    with translated(path), closing(_open(path, mode)) as source, closing(_new(to)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")


def is_whole(path: Path) -> bool:
    """Whether a copy that nobody uses is an undamaged database, whosesoever."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as db:
            return [tuple(row) for row in db.execute("PRAGMA quick_check(1)")] == [("ok",)]
    except sqlite3.Error:
        return False


def groups(path: Path) -> dict[str, int]:
    """Each group's number, in a copy that nobody uses, of whatever schema."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as db:
        rows = db.execute("SELECT folder, number FROM registered_groups").fetchall()
    return {str(folder): int(number) for folder, number in rows}


def _open(path: Path, mode: str) -> sqlite3.Connection:
    with translated(path):
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS,
        )


def _new(path: Path) -> sqlite3.Connection:
    """An empty database, of which nobody else knows: no shared memory, which not every file system
    has, and no order of writing, for until it was checked it is nothing."""
    path.touch(mode=0o600, exist_ok=False)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA synchronous=OFF")
    return db
