"""How groups are, in numbers, for whoever asks in a chat. Nothing is changed here."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.store.connection import Connection


@dataclass(frozen=True)
class Overview:
    """`working` is what is at work: the kind of each run, its lane and when it began. `tasks` are
    the active ones, and `next_task` that of them which is due next: its id, when, and its time
    zone."""

    working: tuple[tuple[str, str, str], ...]
    waiting: int
    approvals: int
    questions: int
    tasks: int
    next_task: tuple[str, str, str] | None


def of_group(db: Connection, folder: str) -> Overview:
    """How one group is."""
    return _read(db, folder)


def of_all(db: Connection) -> Overview:
    """How all groups are together."""
    return _read(db, None)


def _read(db: Connection, folder: str | None) -> Overview:
    facts = {"group": folder}
    mine = "(:group IS NULL OR group_folder = :group)"
    working = db.execute(
        "SELECT kind, lane, coalesce(started_at, created_at) FROM runs"
        f" WHERE state = 'running' AND {mine} ORDER BY id",
        facts,
    ).fetchall()
    counts = [
        f"SELECT count(*) FROM runs WHERE state = 'queued' AND {mine}",
        f"SELECT count(*) FROM approvals WHERE state = 'pending' AND {mine}",
        f"SELECT count(*) FROM questions WHERE state = 'pending' AND {mine}",
        f"SELECT count(*) FROM scheduled_tasks WHERE status = 'active' AND {mine}",
    ]
    waiting, approvals, questions, tasks = (
        int(db.execute(one, facts).fetchone()[0]) for one in counts
    )
    task = db.execute(
        "SELECT id, next_run, timezone FROM scheduled_tasks"
        f" WHERE status = 'active' AND next_run IS NOT NULL AND {mine} ORDER BY next_run LIMIT 1",
        facts,
    ).fetchone()
    at_work = tuple(tuple(row) for row in working)
    next_task = (task[0], task[1], task[2]) if task else None
    return Overview(at_work, waiting, approvals, questions, tasks, next_task)
