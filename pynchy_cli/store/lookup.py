"""What `pynchy doctor` asks the file: it reads only, and works on a disk that can't be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pynchy_cli.errors import DatabaseForeign, DatabaseFull, PynchyError
from pynchy_cli.store.connection import Connection, connect, require_schema, translated
from pynchy_cli.store.timetable import FORM, TABLES


@contextmanager
def reading(path: Path, *, any_schema: bool = False) -> Iterator[Connection]:
    """A connection that can only read; where the disk is read-only and there is no WAL, to the file
    as it lies there.

    Raises DatabaseMissing, DatabaseForeign, DatabaseBusy, DatabaseFull, and unless `any_schema`
    SchemaTooNew and SchemaTooOld.
    """
    db = _opened(path)
    try:
        if not any_schema:
            require_schema(db, path)
        yield db
    finally:
        db.close()


def _opened(path: Path) -> Connection:
    try:
        db = connect(path, read_only=True)
        try:
            with translated(path):
                db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except PynchyError:
            db.close()
            raise
    except (DatabaseForeign, DatabaseFull) as error:
        if not _is_of_disk(error.__cause__) or _has_wal(path):
            raise
        return _frozen(path)
    return db


def _is_of_disk(error: BaseException | None) -> bool:
    """Whether it comes from not being able to write beside the file."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    return code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR)


def _has_wal(path: Path) -> bool:
    wal = path.with_name(f"{path.name}-wal")
    return wal.exists() and wal.stat().st_size > 0


def _frozen(path: Path) -> Connection:
    with translated(path):
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?immutable=1", uri=True, isolation_level=None
        )
        db.row_factory = sqlite3.Row
        return db


def is_locked(path: Path, patience: float) -> bool:
    """Whether nobody can begin a change for so many seconds. Raises sqlite3.Error where the file
    can't be written at all."""
    address = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=patience)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_BUSY:
                return True
            raise
    return False


def newest(db: Connection) -> str | None:
    """The latest moment of which the file knows that it was."""
    row = db.execute(
        "SELECT max(at) FROM (SELECT max(at) AS at FROM counters"
        " UNION ALL SELECT started_at FROM processes WHERE id = (SELECT max(id) FROM processes))"
    ).fetchone()
    moment: str | None = row[0]
    return moment


def overdue(db: Connection, before: str) -> list[tuple[str, str]]:
    """Active tasks and host jobs that were due before a moment, each with its due time."""
    return [
        (str(row[0]), str(row[1]))
        for table in TABLES
        for row in db.execute(
            f"SELECT id, next_run FROM {table.name} WHERE status = 'active' AND next_run < ?"
            " AND next_run GLOB ? ORDER BY next_run LIMIT 20",
            (before, FORM),
        )
    ]


def unreadable(db: Connection) -> list[str]:
    """Active tasks and host jobs whose due time is none: they are never started."""
    return [
        str(row[0])
        for table in TABLES
        for row in db.execute(
            f"SELECT id FROM {table.name} WHERE status = 'active'"
            " AND (next_run IS NULL OR next_run NOT GLOB ?) LIMIT 20",
            (FORM,),
        )
    ]


def died(db: Connection, since: str) -> dict[str, int]:
    """Stage -> how many of its processes ended without a word since a moment."""
    rows = db.execute(
        "SELECT stage, count(*) FROM processes WHERE died = 1 AND ended_at >= ? GROUP BY stage",
        (since,),
    )
    return {str(row[0]): int(row[1]) for row in rows}


def zones(db: Connection) -> list[str]:
    """The time zones that active tasks and host jobs name."""
    return sorted(
        {
            str(row[0])
            for table in TABLES
            for row in db.execute(
                f"SELECT DISTINCT timezone FROM {table.name} WHERE status='active'"
            )
        }
    )


def unended(db: Connection) -> list[tuple[int, str, str]]:
    """Number, stage and lock of the processes of which no end is noted."""
    rows = db.execute("SELECT id, stage, lock FROM processes WHERE ended_at IS NULL ORDER BY id")
    return [(int(row[0]), str(row[1]), str(row[2])) for row in rows]


def waiting(db: Connection, before: str) -> dict[str, int]:
    """What should have been taken up before a moment, and wasn't: stage -> how much of it."""
    held = "EXISTS (SELECT 1 FROM holds WHERE group_folder IN ('', {}))"
    runs = (
        "SELECT count(*) FROM runs WHERE state = 'queued' AND created_at < ?1"
        f" AND coalesce(not_before, '') < ?1 AND NOT {held.format('runs.group_folder')}"
    )
    requests = "SELECT count(*) FROM requests WHERE state = 'accepted' AND created_at < ?1"
    found = {"run-agent": runs, "ipc-watch": requests}
    counts = {stage: int(db.execute(sql, (before,)).fetchone()[0]) for stage, sql in found.items()}
    return {stage: count for stage, count in counts.items() if count}
