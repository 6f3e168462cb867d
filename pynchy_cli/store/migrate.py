"""Brings the file to the schema of this code. Whoever comes first does it, under an
exclusive lock, in one transaction for each change; the others wait and find it done."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from pynchy_cli import locks
from pynchy_cli.errors import DatabaseBusy, DatabaseForeign, HomeUnusable, SchemaTooNew
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import APPLICATION_ID, SCHEMA, connect, schema_of, translated

if TYPE_CHECKING:
    from sqlite_utils import Database

Change = tuple[str, Callable[["Database"], None]]
NAMES = (
    "m001_pipeline",
    "m002_follow_ups",
    "m003_apart",
    "m004_runtime",
    "m005_requests",
    "m006_schedule",
    "m007_channels",
    "m008_operating",
)
WAIT_SECONDS = 60.0


def changes() -> list[Change]:
    """All changes in order, as (name, function)."""
    return [(name, import_module(f"{__package__}.migrations.{name}").apply) for name in NAMES]


def migrate(path: Path, steps: Sequence[Change] | None = None) -> list[str]:
    """Apply what is pending; the names of what was applied. Makes the file if it is missing.

    Raises SchemaTooNew, DatabaseForeign, DatabaseBusy, HomeUnusable.
    """
    todo = list(steps) if steps is not None else changes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HomeUnusable(f"{path.parent} can't be made: {error.strerror}.") from error
    lock = _exclusive(path.with_name("migrate.lock"))
    try:
        db = connect(path, create=True)
        try:
            number = schema_of(db, path)
            if number > len(todo):
                raise SchemaTooNew(
                    f"{path} has schema {number}; this pynchy knows {len(todo)}. "
                    "Install the newer pynchy."
                )
            return _apply(db, path, todo, number)
        finally:
            db.close()
    finally:
        lock.release()


def _apply(db: sqlite3.Connection, path: Path, todo: list[Change], number: int) -> list[str]:
    """Apply the changes after the `number` that were applied; their names."""
    if number == len(todo):
        return []
    import sqlite_utils  # heavy, and only needed where a change is pending

    bell = Bell(path.with_name("bell"))
    wrapped = sqlite_utils.Database(db, execute_plugins=False)
    try:
        for upto in range(number + 1, len(todo) + 1):
            bell.ring(_apply_one(wrapped, path, todo[:upto]))
    finally:
        bell.close()
    return [name for name, _ in todo[number:]]


def _apply_one(wrapped: Database, path: Path, steps: list[Change]) -> int:
    """Apply the last of the steps, and note that in the same transaction; its commit's number."""
    db = wrapped.conn
    with translated(path):
        # A rebuilt parent table would otherwise empty its children.
        db.execute("PRAGMA foreign_keys=OFF")
        try:
            db.execute("BEGIN IMMEDIATE")
            _record(wrapped, steps)
            _require_references(db, path, steps[-1][0])
            db.execute(f"PRAGMA user_version={len(steps)}")
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            row = db.execute(
                "UPDATE counters SET value = value + 1 WHERE name = 'commits' RETURNING value"
            ).fetchone()
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
            db.execute("PRAGMA foreign_keys=ON")
    return int(row[0])


def _record(wrapped: Database, steps: list[Change]) -> None:
    """Have sqlite-utils apply what it has no record of; our transaction is around it."""
    from sqlite_utils.migrations import Migrations

    known = Migrations("pynchy")
    for name, change in steps:
        known(name=name)(change)
    known.apply(wrapped)


def _require_references(db: sqlite3.Connection, path: Path, name: str) -> None:
    broken = db.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise DatabaseForeign(
            f"{path}: change {name} would break {len(broken)} references, the first "
            f"in {broken[0][0]}. Nothing was changed; please report this."
        )


def _exclusive(path: Path) -> locks.Lock:
    """The migration lock; waits for another migration to end."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            lock = locks.take(path)
        except OSError as error:
            raise HomeUnusable(f"{path.parent} can't be written: {error.strerror}.") from error
        if lock is not None:
            return lock
        if time.monotonic() > until:
            raise DatabaseBusy(f"Another migration of {path.parent} takes too long. Try again.")
        time.sleep(0.02)


assert len(NAMES) == SCHEMA
