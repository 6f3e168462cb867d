"""What a stage couldn't do, row by row: tried again twice with growing pauses, then set aside
until a person brings it back, so that one bad row never stops a stage."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli import clock
from pynchy_cli.store.connection import Connection

ATTEMPTS = 3
FIRST_PAUSE = 1.0
"""Seconds before the second attempt; doubled for each further one."""

# It failed before its retry: if that lies ahead, the clock was set back since, and the retry
# would wait for as long.
_LATER = "(retry_at > :now AND last_at <= :now)"


@dataclass(frozen=True)
class Failure:
    """One subject (such as `message:17`) that a stage couldn't handle."""

    stage: str
    subject: str
    attempts: int
    state: str
    error: str
    first_at: str
    last_at: str
    retry_at: str | None


def note(db: Connection, stage: str, subject: str, error: str, now: str) -> str:
    """Count one more failed attempt; the new state, `retrying` or `set_aside`."""
    row = db.execute(
        "SELECT attempts FROM failures WHERE stage = ? AND subject = ?", (stage, subject)
    ).fetchone()
    attempts = (row[0] if row else 0) + 1
    state = "set_aside" if attempts >= ATTEMPTS else "retrying"
    pause = FIRST_PAUSE * 2 ** (attempts - 1)
    db.execute(
        "INSERT INTO failures VALUES (:stage, :subject, :attempts, :state, :error, :now, :now, "
        ":retry) ON CONFLICT(stage, subject) DO UPDATE SET attempts = excluded.attempts, "
        "state = excluded.state, error = excluded.error, last_at = excluded.last_at, "
        "retry_at = excluded.retry_at",
        {
            "stage": stage,
            "subject": subject,
            "attempts": attempts,
            "state": state,
            "error": error,
            "now": now,
            "retry": clock.after(now, pause) if state == "retrying" else None,
        },
    )
    return state


def has(db: Connection, stage: str, subject: str) -> bool:
    """Whether the subject failed before."""
    row = db.execute(
        "SELECT 1 FROM failures WHERE stage = ? AND subject = ?", (stage, subject)
    ).fetchone()
    return row is not None


def clear(db: Connection, stage: str, subject: str) -> None:
    """Forget the failures of a subject: it was handled."""
    db.execute("DELETE FROM failures WHERE stage = ? AND subject = ?", (stage, subject))


def retry(db: Connection, subject: str) -> list[str]:
    """Bring a subject back, with all its attempts; the stages that had failed at it. Its row
    stays until it was handled, so that a stage that has gone on finds it: see `due`."""
    rows = db.execute(
        "UPDATE failures SET attempts = 0, state = 'retrying', retry_at = NULL "
        "WHERE subject = ? RETURNING stage",
        (subject,),
    )
    return sorted(row[0] for row in rows.fetchall())


def blocked(db: Connection, stage: str, now: str) -> set[str]:
    """The subjects that a stage leaves alone now: set aside, or waiting for their retry."""
    rows = db.execute(
        f"SELECT subject FROM failures WHERE stage = :stage AND (state = 'set_aside' OR {_LATER})",
        {"stage": stage, "now": now},
    )
    return {row[0] for row in rows}


def due(db: Connection, stage: str, now: str) -> list[str]:
    """The subjects whose time has come to be tried once more, the oldest first."""
    rows = db.execute(
        "SELECT subject FROM failures WHERE stage = :stage AND state = 'retrying' "
        f"AND (retry_at IS NULL OR NOT {_LATER}) ORDER BY first_at, subject",
        {"stage": stage, "now": now},
    )
    return [row[0] for row in rows]


def next_retry(db: Connection, stage: str, now: str) -> str | None:
    """When the next subject is due again, after `now`; None where none waits."""
    row = db.execute(
        "SELECT min(retry_at) FROM failures "
        f"WHERE stage = :stage AND state = 'retrying' AND {_LATER}",
        {"stage": stage, "now": now},
    ).fetchone()
    moment: str | None = row[0]
    return moment


def all(db: Connection) -> list[Failure]:
    """Every subject that failed and wasn't handled since, the oldest first."""
    rows = db.execute(
        "SELECT stage, subject, attempts, state, error, first_at, last_at, retry_at "
        "FROM failures ORDER BY first_at, stage, subject"
    )
    return [Failure(*row) for row in rows]
