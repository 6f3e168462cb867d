"""How the file is read once, by those who must leave no trace: nothing is written and nothing made
beside it, even where nobody else has it open; where only the file itself can be read, that is
done, and said. It loads the standard library alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from pynchy_cli.store.running import Document

# As in `connection`, which isn't loaded unless something is wrong; a test compares them.
SCHEMA = 8
APPLICATION_ID = 0x70796E63
BUSY_SECONDS = 5
ALONE = "mode=ro&immutable=1"
"""How the file is opened without those beside it, and without being locked."""

# os.path, since pathlib costs a quarter of the whole command.


def at(path: str, look: Callable[[sqlite3.Connection, bool], Document]) -> Document:
    """What `look` makes of the file, in one transaction. It is told whether the view may be old:
    there is a WAL, and it can't be read. Raises sqlite3.Error."""
    before = _state(path)
    if not os.path.exists(path + "-wal"):  # noqa: PTH110
        # Nobody has it open. Opened in the usual way, it would get a WAL again, to stay there.
        try:
            told = _look(path, ALONE, look, stale=False)
        except sqlite3.DatabaseError:
            if _state(path) == before:
                raise
        else:
            if _state(path) == before:
                return told
    try:
        return _look(path, "mode=ro", look, stale=False)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _UNOPENED:
            raise
    return _look(path, ALONE, look, stale=_has_content(path + "-wal"))


_UNOPENED = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)
"""What SQLite says where it can't make, or may not read, the files beside the database."""


def checked(db: sqlite3.Connection, path: str) -> int:
    """The schema number of a database that is ours and of this code.

    Raises DatabaseForeign, SchemaTooNew, SchemaTooOld.
    """
    number = int(db.execute("PRAGMA user_version").fetchone()[0])
    owner = int(db.execute("PRAGMA application_id").fetchone()[0])
    if owner != APPLICATION_ID or number != SCHEMA:
        from pathlib import Path

        from pynchy_cli.store.connection import require_schema

        require_schema(db, Path(path))
    return number


def connect(path: str, how: str) -> sqlite3.Connection:
    """A connection to the file by a URI's parameters. Raises sqlite3.Error."""
    address = "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"{address}?{how}", uri=True, isolation_level=None, timeout=BUSY_SECONDS)
    db.text_factory = _text
    return db


def _look(
    path: str, how: str, look: Callable[[sqlite3.Connection, bool], Document], *, stale: bool
) -> Document:
    db = connect(path, how)
    try:
        db.execute("BEGIN")
        return look(db, stale)
    finally:
        db.close()


def _text(data: bytes) -> str:
    """A text as it is read, whatever bytes another program has put there."""
    return data.decode("utf-8", "replace")


def _state(path: str) -> tuple[int, ...] | None:
    """What changes when somebody writes the file, or opens it to write."""
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    here = os.path.exists(path + "-wal")  # noqa: PTH110
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, here


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116
    except OSError:
        return False
