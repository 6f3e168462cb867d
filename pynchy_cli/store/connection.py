"""How the file is opened, written and closed. One connection for each process; a write is a
BEGIN IMMEDIATE transaction without any waiting inside; a commit rings the bell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseForeign,
    DatabaseFull,
    DatabaseMissing,
    DatabaseReplaced,
    PynchyError,
    SchemaTooNew,
    SchemaTooOld,
)
from pynchy_cli.store.bell import Bell

SCHEMA = 8
"""The schema that this code reads and writes: `PRAGMA user_version`."""
APPLICATION_ID = 0x70796E63
"""`pync`: how `file` and we know the database."""
BUSY_SECONDS = 5.0

Row = sqlite3.Row
Connection = sqlite3.Connection


def connect(path: Path, *, create: bool = False, read_only: bool = False) -> Connection:
    """A connection with our rules: WAL, FULL, foreign keys, autocommit.

    Raises DatabaseMissing, DatabaseForeign, DatabaseBusy or DatabaseFull.
    """
    if not create and not path.exists():
        raise DatabaseMissing(f"{path} does not exist. `pynchy init` makes it.")
    mode = "ro" if read_only else ("rwc" if create else "rw")
    with translated(path):
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=BUSY_SECONDS,
        )
    try:
        with translated(path):
            db.row_factory = sqlite3.Row
            db.text_factory = _text
            db.execute("PRAGMA foreign_keys=ON")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("PRAGMA journal_size_limit=16777216")
            # A new file gives room back little by little; an old one stays as it is.
            if create and db.execute("PRAGMA page_count").fetchone()[0] == 0:
                db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            if not read_only:
                db.execute("PRAGMA journal_mode=WAL")
    except BaseException:
        db.close()
        raise
    return db


def glimpse(path: Path) -> Connection:
    """A connection to an existing, migrated database that can only read; the caller closes it.

    Raises DatabaseMissing, DatabaseForeign, SchemaTooNew, SchemaTooOld, DatabaseBusy.
    """
    db = connect(path, read_only=True)
    try:
        require_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _text(data: bytes) -> str:
    """A text as it is read: other programs write rows too, and SQLite takes any bytes of them.
    One row that can't be read must not keep anybody from the others."""
    return data.decode("utf-8", "replace")


def schema_of(db: Connection, path: Path) -> int:
    """The file's schema number; 0 for an empty file. Raises DatabaseForeign where the
    file is another program's."""
    with translated(path):
        number = int(db.execute("PRAGMA user_version").fetchone()[0])
        owner = int(db.execute("PRAGMA application_id").fetchone()[0])
        tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if owner != APPLICATION_ID and tables:
        raise DatabaseForeign(
            f"{path} is an SQLite database, but not one of pynchy's. "
            "Move it away, or choose another home with --home."
        )
    return number


def require_schema(db: Connection, path: Path) -> None:
    """Raises SchemaTooNew or SchemaTooOld where code and file don't fit."""
    number = schema_of(db, path)
    if number > SCHEMA:
        raise SchemaTooNew(
            f"{path} has schema {number}; this pynchy knows {SCHEMA}. Install the newer pynchy."
        )
    if number < SCHEMA:
        raise SchemaTooOld(
            f"{path} has schema {number}; this pynchy needs {SCHEMA}. Run `pynchy db migrate`."
        )


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours, with a sentence that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(path, error) from error


def translate(path: Path, error: sqlite3.Error) -> PynchyError | sqlite3.Error:
    """Our error for one of SQLite's, or the same where it is a fault of the code."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseBusy(
            f"{path} is locked by another process for more than {BUSY_SECONDS:g} s. Try again."
        )
    if code == sqlite3.SQLITE_FULL:
        return DatabaseFull(f"The disk is full: {path} can't grow. Nothing was changed.")
    if code == sqlite3.SQLITE_IOERR:
        return DatabaseFull(
            f"{path} can't be used ({error}): is the disk full (`df -h`), or broken (`dmesg`)? "
            "Nothing was changed."
        )
    if code == sqlite3.SQLITE_READONLY:
        return DatabaseFull(f"{path} can't be written ({error}). Nothing was changed.")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return DatabaseForeign(
            f"{path} is damaged or not a database ({error}). "
            "Stop pynchy, then `pynchy restore --force FILE` with the last backup, or move it away."
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return DatabaseForeign(f"{path} can't be opened ({error}). Check the folder's rights.")
    return error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


class Store:
    """One process's way to the file. `db` is for reading; writing is inside `atomic()`."""

    def __init__(self, db: Connection, path: Path, bell: Bell) -> None:
        self.db = db
        self.path = path
        self.bell = bell
        self._file = _identity(path)

    @classmethod
    def open(cls, path: Path) -> Store:
        """The store of an existing, migrated database.

        Raises DatabaseMissing, DatabaseForeign, SchemaTooNew, SchemaTooOld.
        """
        db = connect(path)
        try:
            require_schema(db, path)
        except BaseException:
            db.close()
            raise
        return cls(db, path, Bell(path.with_name("bell")))

    @contextmanager
    def atomic(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its start; all of it or nothing.

        Never wait inside (no await, no child, no network). Not to be nested. Raises
        DatabaseBusy, DatabaseFull and DatabaseReplaced; then nothing was changed.
        """
        if bool(self.db.in_transaction):
            raise RuntimeError("atomic() inside atomic(): one change, one transaction")
        self.require_same_file()
        with translated(self.path):
            self.db.execute("BEGIN IMMEDIATE")
        before = self.db.total_changes
        number: int | None = None
        try:
            with translated(self.path):
                yield self.db
                if self.db.total_changes != before:
                    number = self._count()
                self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        if number is not None:
            self.bell.ring(number)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One state of the file, whatever others commit meanwhile; for reading, and briefly."""
        self.db.execute("BEGIN")
        try:
            yield self.db
        finally:
            self.db.execute("ROLLBACK")

    def require_same_file(self) -> None:
        """Raises DatabaseReplaced where another file is in the place of ours, or none: what we
        wrote into ours would be gone when it is closed."""
        if _identity(self.path) != self._file:
            raise DatabaseReplaced(f"{self.path} was replaced or moved away. Start again.")

    def _count(self) -> int:
        row = self.db.execute(
            "UPDATE counters SET value = value + 1 WHERE name = 'commits' RETURNING value"
        ).fetchone()
        return int(row[0])

    def version(self) -> int:
        """A number that changes when another connection has committed."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the file and the bell."""
        self.db.close()
        self.bell.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
