"""Runs at work that more is asked of: they take over what was said meanwhile, give several
answers, and may be stopped. Only the run's own worker carries it out."""

from __future__ import annotations

from pynchy_cli.model import Run
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.runs import COLUMNS, as_run


def is_waiting(db: Connection, run: Run) -> bool:
    """Whether more was said since a run at work began, and waits for its end."""
    row = db.execute(
        "SELECT 1 FROM runs WHERE group_folder = ? AND lane = ? AND state = 'queued'"
        " AND kind = 'chat'",
        (run.group_folder, run.lane),
    ).fetchone()
    return row is not None


def absorb(db: Connection, run: Run, now: str) -> Run | None:
    """Let a run at work take over what came after it and waits in its lane; the run as it is
    then, or None where nothing was taken. What waits to be tried again stays."""
    taken = db.execute(
        "UPDATE runs SET state = 'superseded', superseded_by = ?, finished_at = ?"
        " WHERE group_folder = ? AND lane = ? AND state = 'queued' AND kind = 'chat'"
        " AND attempts = 0 AND takeovers = 0 AND first_seq > ? RETURNING last_seq",
        (run.id, now, run.group_folder, run.lane, run.last_seq),
    ).fetchone()
    if taken is None:
        return None
    row = db.execute(
        f"UPDATE runs SET last_seq = ? WHERE id = ? RETURNING {COLUMNS}", (taken[0], run.id)
    ).fetchone()
    return as_run(row)


def replied(db: Connection, run: Run, through: int) -> Run:
    """A run that is ours has answered everything up to `through`, and goes on with the rest."""
    row = db.execute(
        "UPDATE runs SET replies = replies + 1, told_seq = max(told_seq, ?),"
        f" answered_seq = max(answered_seq, ?) WHERE id = ? RETURNING {COLUMNS}",
        (through, through, run.id),
    ).fetchone()
    return as_run(row)


def ask(db: Connection, run_id: int, what: str) -> bool:
    """Ask a run's worker to `stop` or `interrupt` it; whether it is at work. Whoever was asked
    to stop it isn't asked for less."""
    row = db.execute(
        "UPDATE runs SET asked = iif(asked = 'stop', asked, ?)"
        " WHERE id = ? AND state = 'running' RETURNING id",
        (what, run_id),
    ).fetchone()
    return row is not None


def asked(db: Connection, owner: int) -> list[Run]:
    """The owner's runs that somebody wants to end."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE state = 'running' AND owner = ? AND asked IS NOT NULL",
        (owner,),
    ).fetchall()
    return [as_run(row) for row in rows]
