"""The stages that started: who, with which code and configuration, and what they report.
Whether one lives is a question to its lock, never to its row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pynchy_cli import locks as held
from pynchy_cli.store.connection import Connection

FIELDS = (
    "id, stage, pid, lock, version, config_hash, started_at, report, error, error_at, connected,"
    " hashes"
)


@dataclass(frozen=True)
class Process:
    """A stage that runs, as its row tells."""

    id: int
    stage: str
    pid: int
    lock: str
    version: str
    config_hash: str
    started_at: str
    report: str | None
    error: str | None
    error_at: str | None
    connected: int | None
    """1 or 0 for a channel's process that has its connection, or hasn't; None for others."""
    hashes: str | None
    """JSON: section of the configuration -> a hash of what it said when the process started."""


def owner_lock(locks: Path, id: int) -> Path:
    """The lock of the process with this number, in the folder of locks."""
    return locks / f"owner-{id}.lock"


def start(
    db: Connection,
    *,
    stage: str,
    pid: int,
    version: str,
    config_hash: str,
    settings: str,
    hashes: str,
    now: str,
) -> int:
    """Note a process that starts; its number. Take its lock before this is committed, or
    others take it for dead. `settings` is JSON, and so is `hashes`: section -> a hash of it."""
    row = db.execute(
        "INSERT INTO processes(stage, pid, lock, version, config_hash, settings, hashes,"
        " started_at) VALUES (?, ?, '', ?, ?, ?, ?, ?) RETURNING id",
        (stage, pid, version, config_hash, settings, hashes, now),
    ).fetchone()
    db.execute("UPDATE processes SET lock = 'owner-' || id || '.lock' WHERE id = ?", (row[0],))
    return int(row[0])


def end(db: Connection, id: int, now: str, *, died: bool = False) -> None:
    """Note that a process ended; `died` says that it couldn't note that itself."""
    db.execute(
        "UPDATE processes SET ended_at = ?, died = ? WHERE id = ? AND ended_at IS NULL",
        (now, int(died), id),
    )


def reread(db: Connection, id: int, hashes: str) -> None:
    """Note that a process has taken another configuration without a new start: JSON, section -> a
    hash of it."""
    db.execute("UPDATE processes SET hashes = ? WHERE id = ?", (hashes, id))


def report(db: Connection, id: int, text: str, now: str) -> None:
    """Note what a process says that it does."""
    db.execute("UPDATE processes SET report = ? WHERE id = ?", (text, id))


def fail(db: Connection, id: int, error: str | None, now: str) -> None:
    """Note a process's last error, or with None that it does its work again."""
    db.execute(
        "UPDATE processes SET error = ?1, error_at = iif(?1 IS NULL, NULL, ?2) WHERE id = ?3",
        (error, now, id),
    )


def connected(db: Connection, id: int, connected: bool) -> None:
    """Note whether a channel's process has its connection."""
    db.execute("UPDATE processes SET connected = ? WHERE id = ?", (int(connected), id))


def alive(db: Connection, locks: Path) -> list[Process]:
    """The processes whose lock is held, in the order in which they started."""
    return [one for one in _open(db) if held.is_held(locks / one.lock)]


def sweep(db: Connection, locks: Path, now: str) -> list[int]:
    """End the rows of processes whose lock nobody holds; their numbers."""
    dead = [one for one in _open(db) if not held.is_held(locks / one.lock)]
    for one in dead:
        end(db, one.id, now, died=True)
        # Numbers are never used again, so nobody can be about to take this lock.
        (locks / one.lock).unlink(missing_ok=True)
    return [one.id for one in dead]


def _open(db: Connection) -> list[Process]:
    rows = db.execute(f"SELECT {FIELDS} FROM processes WHERE ended_at IS NULL ORDER BY id")
    return [Process(*row) for row in rows]
