"""Runs at work that more is asked of: they take over what was said meanwhile, give several
answers, and may be stopped. Only the run's own worker carries it out."""

from __future__ import annotations

from pynchy_cli.model import Run
from pynchy_cli.store import holds
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.runs import COLUMNS, as_run

_MORE = (
    "group_folder = :group AND lane = :lane AND thread = :thread AND state = 'queued'"
    " AND kind = 'chat'"
    " AND attempts = 0 AND takeovers = 0 AND first_seq > :last AND apart = 0"
    f" AND :may_grow AND NOT {holds.RUNS.format(group=':group')}"
)
"""What was said after a run at work began. What waits to be tried again is none of it; and a run
that is asked again, or that somebody wants to end, takes over nothing. Of a held group nothing more
is begun, in a turn at work neither."""


def is_more(db: Connection, run: Run) -> bool:
    """Whether more was said since a run at work began; asked without the write lock."""
    row = db.execute(f"SELECT 1 FROM runs WHERE {_MORE}", _after(run)).fetchone()
    return row is not None


def absorb(db: Connection, run: Run, now: str) -> Run | None:
    """Let a run at work take over what was said since it began; the run as it is then, or None
    where nothing was."""
    taken = db.execute(
        "UPDATE runs SET state = 'superseded', superseded_by = :id, finished_at = :now"
        f" WHERE {_MORE} RETURNING last_seq",
        {**_after(run), "id": run.id, "now": now},
    ).fetchone()
    if taken is None:
        return None
    row = db.execute(
        f"UPDATE runs SET last_seq = ? WHERE id = ? RETURNING {COLUMNS}", (taken[0], run.id)
    ).fetchone()
    return as_run(row)


def _after(run: Run) -> dict[str, str | int]:
    return {
        "group": run.group_folder,
        "lane": run.lane,
        "thread": run.thread,
        "last": run.last_seq,
        "may_grow": not run.apart and run.asked is None,
    }


def replied(db: Connection, run: Run, through: int) -> Run:
    """A run that is ours has answered everything up to `through`, and goes on with the rest."""
    row = db.execute(
        "UPDATE runs SET replies = replies + 1, told_seq = max(told_seq, ?),"
        f" answered_seq = max(answered_seq, ?) WHERE id = ? RETURNING {COLUMNS}",
        (through, through, run.id),
    ).fetchone()
    return as_run(row)


def at_work(db: Connection, group_folder: str, lane: str) -> Run | None:
    """The lane's run at work, where there is one."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE group_folder = ? AND lane = ? AND state = 'running'",
        (group_folder, lane),
    ).fetchone()
    return as_run(row) if row else None


def all_at_work(db: Connection, group_folder: str | None) -> list[Run]:
    """All that a group is at work on, or that all are (None), in every lane."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE state = 'running'"
        " AND (:group IS NULL OR group_folder = :group) ORDER BY id",
        {"group": group_folder},
    ).fetchall()
    return [as_run(row) for row in rows]


def talking(db: Connection, group_folder: str, thread: str) -> Run | None:
    """The run at work on what was said in a thread, or outside of any, where there is one."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE group_folder = ? AND thread = ? AND kind = 'chat'"
        " AND state = 'running'",
        (group_folder, thread),
    ).fetchone()
    return as_run(row) if row else None


def waiting(db: Connection, group_folder: str, lane: str) -> Run | None:
    """The lane's run that waits to be taken up first, where there is one."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE group_folder = ? AND lane = ? AND state = 'queued'"
        " ORDER BY kind = 'task', id LIMIT 1",
        (group_folder, lane),
    ).fetchone()
    return as_run(row) if row else None


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
