"""Everything that can be wrong with the file and be seen from it: damage, broken references,
commits that SQLite lost silently, and work that nobody does. It changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli import locks as held
from pynchy_cli.errors import DatabaseForeign, DatabaseMissing
from pynchy_cli.store import counters
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import (
    SCHEMA,
    Connection,
    connect,
    require_schema,
    schema_of,
    translated,
)
from pynchy_cli.store.processes import owner_lock

LOST = "commits_lost"
"""The counter of commits that were rung for and then weren't in the file."""
SHOWN = 20
NAMED = 3
"""So many damages are named; the others are counted."""
SPOILED = frozenset({"quick_check", "schema", "foreign_keys"})
"""The checks that a file which is to be relied on must pass."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and in which check it showed."""

    check: str
    message: str


def check(path: Path, locks: Path) -> list[Finding]:
    """All that is wrong with a database; nothing where it is well.

    Raises DatabaseMissing, DatabaseForeign (another program's file), SchemaTooNew.
    """
    if not path.exists():
        raise DatabaseMissing(f"{path} does not exist. `pynchy init` makes it.")
    if path.stat().st_size == 0 and not path.with_name(f"{path.name}-wal").exists():
        return [Finding("schema", f"{path} is empty. `pynchy db migrate` makes its tables.")]
    rung = Bell(path.with_name("bell")).last()  # first: commits go on while we look
    db = connect(path)
    try:
        number = schema_of(db, path)
        if number < SCHEMA:
            text = f"The schema is {number}, not {SCHEMA}. `pynchy db migrate` brings it up."
            return [*damage(db, path), Finding("schema", text)]
        require_schema(db, path)
        found = list(damage(db, path))
        # What a damaged file says further isn't worth much.
        return found or [*references(db), *lost(db, rung), *abandoned(db, locks)]
    finally:
        db.close()


def check_copy(path: Path, rung: int | None) -> tuple[int, int, list[Finding]]:
    """The schema of a copy that nobody uses, the number of its last commit, and all that is wrong
    with what it holds. Not a byte of it is changed.

    `rung` is the number of a commit that must be in it, where that is known. Raises
    DatabaseForeign (another program's file, or none at all), SchemaTooNew.
    """
    with translated(path):
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        number = schema_of(db, path)
        if not 0 < number <= SCHEMA:
            require_schema(db, path)
        found = list(damage(db, path))
        if found:
            return number, 0, found
        with translated(path):
            last = counters.read(db)["commits"][0]
            return number, last, [*references(db), *lost(db, rung)]
    finally:
        db.close()


def commits(path: Path) -> int:
    """The number of the last commit in the file."""
    db = connect(path)
    try:
        with translated(path):
            return counters.read(db)["commits"][0]
    finally:
        db.close()


def note_lost(db: Connection, bell: Bell, now: str) -> int:
    """Count the commits that were rung for and aren't there, and go on after them, inside a
    transaction; how many. Without it the next commit's ring would hide the loss."""
    last = counters.read(db)["commits"][0]
    lost = (bell.last() or 0) - last
    if lost <= 0:
        return 0
    counters.bump(db, LOST, now, by=lost)
    db.execute("UPDATE counters SET value = value + ? WHERE name = 'commits'", (lost,))
    return lost


def forget_lost(db: Connection) -> None:
    """Stop reporting lost commits, because a person knows of them."""
    db.execute("DELETE FROM counters WHERE name = ?", (LOST,))


def damage(db: Connection, path: Path) -> Iterator[Finding]:
    """What of the file can't be read."""
    try:
        with translated(path):
            rows = [row[0] for row in db.execute(f"PRAGMA quick_check({SHOWN})")]
    except DatabaseForeign as error:
        yield Finding("quick_check", str(error))
        return
    lines = [one for text in rows if text != "ok" for one in text.splitlines()]
    found = [one.strip() for one in lines if not one.startswith("***")] or lines
    if found:
        more = f"; {len(found) - NAMED} more" if len(found) > NAMED else ""
        yield Finding("quick_check", f"The file is damaged: {'; '.join(found[:NAMED])}{more}.")


def references(db: Connection) -> Iterator[Finding]:
    """Rows that refer to what isn't there."""
    for table, row, parent, _ in db.execute("PRAGMA foreign_key_check").fetchmany(SHOWN):
        where = "a row" if row is None else f"row {row}"
        yield Finding("foreign_keys", f"{table}: {where} refers to what {parent} doesn't have.")


def lost(db: Connection, rung: int | None) -> Iterator[Finding]:
    """Commits that were made and aren't in the file; `rung` is the last that the bell tells, asked
    before the file."""
    totals = counters.read(db)
    last = totals["commits"][0]
    if rung is not None and rung > last:
        yield Finding(
            "commits",
            f"Commit {rung} was made, but the file ends with {last}: the last {rung - last} are "
            "missing. Its WAL was damaged or left behind, or this is an older copy.",
        )
    gone, at = totals.get(LOST, (0, None))
    if gone:
        yield Finding(
            "commits",
            f"{gone} commits were found missing at {at}. What they held is gone; "
            "`pynchy db check --forget` ends this notice.",
        )


def abandoned(db: Connection, locks: Path) -> Iterator[Finding]:
    """Runs at work whose process has gone."""
    rows = db.execute("SELECT id, group_folder, owner FROM runs WHERE state = 'running'")
    for run, group, owner in rows:
        if owner is None or not held.is_held(owner_lock(locks, owner)):
            yield Finding(
                "runs",
                f"Run {run} of {group} is at work, but its process has gone. "
                "`pynchy run-agent` takes it over.",
            )
