"""The database: that it is there, ours, whole, of this schema, and can be written."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.errors import DatabaseForeign, PynchyError
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, unknown, warning
from pynchy_cli.store import audit, check, lookup
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import SCHEMA, schema_of
from pynchy_cli.store.migrate import migrate
from pynchy_cli.store.processes import owner_lock

WAL = 64 * 1024**2
"""Bytes of a WAL that somebody keeps from being taken into the file; it is cut at 16 MiB else."""
RESTORE = (
    "Stop pynchy, then `pynchy restore --force FILE` with the last backup, or move the file away."
)


def schema(facts: Facts) -> Iterator[Seen]:
    """The database is there, and its schema is that of this code."""
    path = facts.home.database
    if not path.exists():
        yield failed(f"There is no {path}.", "`pynchy init` makes it.")
        return
    if not stat.S_ISREG(path.stat().st_mode):
        yield failed(f"{path} is no plain file.", "Move it away; `pynchy init` makes a new one.")
        return
    if _size(path) == 0 and not _size(_beside(path, "-wal")):
        yield failed(f"{path} is empty.", "`pynchy db migrate`.", partial(_migrate, facts))
        return
    try:
        with lookup.reading(path, any_schema=True) as db:
            number = schema_of(db, path)
    except DatabaseForeign as error:
        yield failed(str(error), RESTORE)
        return
    said = f"The schema is {number}"
    if number > SCHEMA:
        yield failed(f"{said}; this pynchy knows {SCHEMA}.", "Install the newer pynchy.")
    elif number < SCHEMA:
        todo = "`pynchy db migrate` brings it up, once nothing older runs."
        yield failed(f"{said}; this pynchy needs {SCHEMA}.", todo, partial(_migrate, facts))
    else:
        yield ok(f"{said}.")


def _migrate(facts: Facts) -> str:
    """Raises PynchyError."""
    if any(locks.is_held(lock) for lock in facts.home.locks.glob("owner-*.lock")):
        raise PynchyError("Stages run, of another version perhaps. Stop pynchy first.")
    return f"Applied: {', '.join(migrate(facts.home.database)) or 'nothing'}."


def integrity(facts: Facts) -> Iterator[Seen]:
    """The file isn't damaged."""
    try:
        with lookup.reading(facts.home.database, any_schema=True) as db:
            found = [failed(one.message, RESTORE) for one in check.damage(db, facts.home.database)]
    except DatabaseForeign as error:
        found = [failed(str(error), RESTORE)]
    yield from found or [ok("SQLite finds no damage.")]


def references(facts: Facts) -> Iterator[Seen]:
    """No row refers to one that there isn't."""
    with facts.reading() as db:
        found = [failed(one.message, RESTORE) for one in check.references(db)]
    yield from found or [ok("All rows refer to what is there.")]


def lost(facts: Facts) -> Iterator[Seen]:
    """No commit was lost, which SQLite itself doesn't tell."""
    rung = Bell(facts.home.bell).last()  # first: commits go on while we look
    with facts.reading() as db:
        found = list(check.lost(db, rung))
    todo = (
        "Look at the disk (`dmesg`) and at how the file was copied; what they held is gone unless a"
        " backup has it. `pynchy db check --forget` ends this."
    )
    yield from [failed(one.message, todo) for one in found] or [
        ok(f"{rung or 0} commits, all there.")
    ]


def wal(facts: Facts) -> Iterator[Seen]:
    """The database has a WAL, which is there where it must be, and short."""
    path = _beside(facts.home.database, "-wal")
    size = _size(path)
    if _is_of_another_mode(facts.home.database):
        yield warning(
            f"{facts.home.database} has no WAL, so that readers hold up writers.",
            "Another program changed it. The next stage that starts sets it right: `pynchy up`.",
        )
        return
    if size and not facts.home.database.exists():
        todo = "Put the file back that belongs to it; without that it is worth nothing."
        yield failed(f"{path} is there, and {facts.home.database} isn't.", todo)
    elif size > WAL:
        yield warning(
            f"{path} has {size // 1024**2} MiB: a process reads for long, or its disk is slow.",
            f"`fuser -v {facts.home.database}` tells who; start that one again.",
        )
    else:
        yield ok(f"The WAL has {size // 1024} KiB.")


def locked(facts: Facts) -> Iterator[Seen]:
    """Nobody holds the database for long."""
    path = facts.home.database
    if not path.exists():
        yield unknown(f"There is no {path}.")
    elif lookup.is_locked(path, facts.patience / 2):
        yield failed(
            f"Somebody has held {path} for {facts.patience / 2:g} s: nothing can be stored.",
            f"`fuser -v {path}` tells who: an open sqlite3 shell, a backup program? End it.",
        )
    else:
        yield ok("It can be written.")


def chain(facts: Facts) -> Iterator[Seen]:
    """The audit's chain is whole."""
    with facts.reading() as db:
        found = audit.check(db)
    todo = "Somebody, or another program, changed the file. A backup shows what was there."
    yield from [failed(fault, todo) for fault in found.faults] or [
        ok(f"{found.rows} decisions, in one chain.")
    ]


def abandoned(facts: Facts) -> Iterator[Seen]:
    """No run is at work without a process that drives it."""
    with facts.reading() as db:
        found = list(check.abandoned(db, facts.home.locks))
    yield from [warning(one.message, "`pynchy up`.") for one in found] or [
        ok("Every run at work has a process that drives it.")
    ]


def processes(facts: Facts) -> Iterator[Seen]:
    """Each process whose end isn't noted lives."""
    with facts.reading() as db:
        rows = lookup.unended(db)
    dead = [f"{stage} ({id})" for id, stage, lock in rows if not _lives(facts, id)]
    if not dead:
        yield ok(f"{len(rows)} processes, all alive.")
        return
    said = f"Ended without a word (killed, or out of memory?): {', '.join(dead)}."
    yield warning(said, "`pynchy up` starts them; `dmesg` tells of memory.")


def _lives(facts: Facts, id: int) -> bool:
    return locks.is_held(owner_lock(facts.home.locks, id))


def _is_of_another_mode(path: Path) -> bool:
    """Whether the file's own header says that it has no WAL."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except OSError:
        return False
    return header.startswith(b"SQLite format 3") and header[18:20] != b"\x02\x02"


def _size(path: Path) -> int:
    """Bytes of a file that others may take away just now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
