"""Scheduled tasks, and what became of their firings. Whose a task is says its row, whatever
somebody calls it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from pynchy_cli.errors import TaskUnknown
from pynchy_cli.model import CHAT_LANE, TASK_LANE, Firing, Task
from pynchy_cli.store import groups, runs, timetable
from pynchy_cli.store.connection import Connection, Row
from pynchy_cli.store.timetable import TIMED

COLUMNS = f"{TIMED}, group_folder, chat_jid, prompt, context_mode, overlap, condition"
_OPEN = "status IN ('active', 'paused')"
_LOG = "id, task_id, due_at, run_at, missed_since, by_hand, status, reason"


@dataclass(frozen=True)
class Outcome:
    """A firing, and its run where it has one: `state` as of runs, `error` where it failed, `result`
    what its agent answered."""

    firing: Firing
    run_id: int | None
    state: str | None
    error: str | None
    result: str | None
    started_at: str | None
    finished_at: str | None


def add(db: Connection, task: Task) -> None:
    """A new task, all of it as given; its id must be new."""
    timetable.see_clock(db, task.created_at)
    db.execute(
        f"INSERT INTO scheduled_tasks({COLUMNS}) VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(task.id, task.name, task.schedule_type, task.schedule_value, task.timezone),
            *(task.anchor, task.catch_up, task.status, task.paused_by, task.source),
            *(task.created_by, task.created_at, task.ended_at, task.next_run, task.last_run),
            *(task.timeout_seconds, task.group_folder, task.chat_jid, task.prompt),
            *(task.context_mode, task.overlap, task.condition),
        ),
    )


def change(db: Connection, task: Task) -> None:
    """Write what a task does, how it is called, and for whom; neither its schedule nor how it
    stands."""
    db.execute(
        "UPDATE scheduled_tasks SET name = ?, catch_up = ?, timeout_seconds = ?, group_folder = ?,"
        " chat_jid = ?, prompt = ?, context_mode = ?, overlap = ?, condition = ?, created_by = ?"
        " WHERE id = ?",
        (
            *(task.name, task.catch_up, task.timeout_seconds, task.group_folder, task.chat_jid),
            *(task.prompt, task.context_mode, task.overlap, task.condition, task.created_by),
            task.id,
        ),
    )


def get(db: Connection, id: str) -> Task:
    """The task of this id. Raises TaskUnknown, naming the nearest there is."""
    found = find(db, id)
    if found is None:
        known = [row[0] for row in db.execute(f"SELECT id FROM scheduled_tasks WHERE {_OPEN}")]
        near = get_close_matches(id, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`pynchy tasks list` shows them."
        raise TaskUnknown(f"There is no task {id!r}. {hint}")
    return found


def find(db: Connection, id: str) -> Task | None:
    """The task of this id, if there is one."""
    row = db.execute(f"SELECT {COLUMNS} FROM scheduled_tasks WHERE id = ?", (id,)).fetchone()
    return _task(row) if row else None


def all(
    db: Connection,
    group_folder: str | None = None,
    *,
    ended: bool = False,
    limit: int | None = None,
) -> list[Task]:
    """The tasks, or a group's, that are not over, or with `ended` all of them; the next due one
    first, and at most `limit`."""
    # Without a condition on `ended`, so that of those that are over not a page is read.
    rows = db.execute(
        f"SELECT {COLUMNS} FROM scheduled_tasks WHERE (?1 IS NULL OR group_folder = ?1)"
        + ("" if ended else f" AND {_OPEN}")
        + " ORDER BY status, next_run IS NULL, next_run, id LIMIT coalesce(?2, -1)",
        (group_folder, limit),
    ).fetchall()
    return [_task(row) for row in rows]


def of_source(db: Connection, source: str) -> list[Task]:
    """All tasks that somebody of this kind has made."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM scheduled_tasks WHERE source = ? ORDER BY id", (source,)
    ).fetchall()
    return [_task(row) for row in rows]


def count_of(db: Connection, group_folder: str, source: str) -> int:
    """How many tasks a group has that are not over, of one source; and of those that are over,
    whoever made them, how many have runs that are not."""
    row = db.execute(
        "SELECT (SELECT count(*) FROM scheduled_tasks"
        f" WHERE group_folder = :group AND source = :source AND {_OPEN})"
        " + (SELECT count(*) FROM runs WHERE group_folder = :group AND task IS NOT NULL"
        " AND state IN ('queued', 'running')"
        f" AND NOT EXISTS (SELECT 1 FROM scheduled_tasks WHERE id = runs.task AND {_OPEN}))",
        {"group": group_folder, "source": source},
    ).fetchone()
    return int(row[0])


def group_of(db: Connection, id: str) -> str | None:
    """The group that a task is of; None where there is no such task."""
    row = db.execute("SELECT group_folder FROM scheduled_tasks WHERE id = ?", (id,)).fetchone()
    return str(row[0]) if row else None


def called(db: Connection, id: str) -> str:
    """What people call a task: its name and its id, or its id alone."""
    row = db.execute("SELECT name FROM scheduled_tasks WHERE id = ?", (id,)).fetchone()
    return f"{row[0]} ({id})" if row is not None and row[0] else id


def unfinished(db: Connection, id: str) -> tuple[int, int]:
    """How many of a task's runs are queued, and how many at work. A condition that is being checked
    counts as queued."""
    row = db.execute(
        "SELECT coalesce(sum(state = 'queued'), 0), coalesce(sum(state = 'running'), 0)"
        " FROM runs WHERE task = ? AND state IN ('queued', 'running')",
        (id,),
    ).fetchone()
    checking = db.execute(
        "SELECT count(*) FROM task_run_logs WHERE status = 'checking' AND task_id = ?", (id,)
    ).fetchone()
    return int(row[0]) + int(checking[0]), int(row[1])


def lane_of(task: Task) -> str:
    """The lane in which a task's runs are at work."""
    return CHAT_LANE if task.context_mode == "group" else TASK_LANE + task.id


def start(db: Connection, task: Task, firing: int, prompt: str, now: str) -> int:
    """Queue the run of a firing; its number. It answers in the task's chat, for as long as that is
    one of the group's, else in its first."""
    own = groups.chats(db, task.group_folder)
    jid = task.chat_jid if task.chat_jid in own else own[0]
    run = runs.queue_task(db, task.group_folder, lane_of(task), task.id, prompt, jid, now)
    db.execute(
        "UPDATE task_run_logs SET status = 'fired', run_id = ?, owner = NULL WHERE id = ?",
        (run, firing),
    )
    return run


def leave_out(db: Connection, firing: int, reason: str, now: str) -> None:
    """A firing whose condition doesn't hold comes to nothing."""
    db.execute(
        "UPDATE task_run_logs SET status = 'skipped', reason = ?, finished_at = ?, owner = NULL"
        " WHERE id = ? AND status = 'checking'",
        (reason, now, firing),
    )


def checking(
    db: Connection, limit: int, besides: Collection[str] = ()
) -> list[tuple[Firing, Task]]:
    """The firings whose conditions wait to be checked, the oldest first; `besides` those of these
    tasks."""
    rows = db.execute(
        f"SELECT {_LOG} FROM task_run_logs AS log WHERE status = 'checking' AND owner IS NULL"
        " AND EXISTS (SELECT 1 FROM scheduled_tasks WHERE id = log.task_id)"
        " ORDER BY id LIMIT ?",
        (limit + len(besides),),
    ).fetchall()
    found = [row for row in rows if row[1] not in besides][:limit]
    return [(timetable.as_firing(row), get(db, row[1])) for row in found]


def begun(db: Connection) -> list[tuple[int, int]]:
    """The firings whose conditions somebody checks, with who that is."""
    rows = db.execute(
        "SELECT id, owner FROM task_run_logs WHERE status = 'checking' AND owner IS NOT NULL"
    ).fetchall()
    return [(int(row[0]), int(row[1])) for row in rows]


def begin(db: Connection, firing: int, owner: int) -> bool:
    """Take a firing to check its condition; False where it is taken, or gone."""
    row = db.execute(
        "UPDATE task_run_logs SET owner = ?"
        " WHERE id = ? AND status = 'checking' AND owner IS NULL RETURNING id",
        (owner, firing),
    ).fetchone()
    return row is not None


def put_back(db: Connection, firing: int) -> None:
    """Have the condition of a firing checked from the beginning."""
    db.execute(
        "UPDATE task_run_logs SET owner = NULL WHERE id = ? AND status = 'checking'", (firing,)
    )


def is_checked_by(db: Connection, firing: int, owner: int) -> bool:
    """Whether a firing's condition is still this owner's to check."""
    row = db.execute(
        "SELECT 1 FROM task_run_logs WHERE id = ? AND status = 'checking' AND owner = ?",
        (firing, owner),
    ).fetchone()
    return row is not None


def outcomes(db: Connection, id: str, limit: int) -> list[Outcome]:
    """The last firings of a task with what became of them, the newest first."""
    rows = db.execute(
        "SELECT log.id, task_id, due_at, run_at, missed_since, by_hand, status, reason, log.run_id,"
        " run.state, run.error, run.result, run.started_at,"
        " coalesce(run.finished_at, log.finished_at)"
        " FROM task_run_logs AS log LEFT JOIN runs AS run ON run.id = log.run_id"
        " WHERE task_id = ? ORDER BY log.id DESC LIMIT ?",
        (id, limit),
    ).fetchall()
    return [Outcome(timetable.as_firing(row), *tuple(row)[8:]) for row in rows]


def last_results(db: Connection) -> dict[str, str]:
    """What came of the last firing of each task that has fired: the state of its run, or else the
    status of the firing."""
    rows = db.execute(
        "SELECT task.id, coalesce(run.state, log.status) FROM scheduled_tasks AS task"
        " JOIN task_run_logs AS log ON log.id = task.last_log"
        " LEFT JOIN runs AS run ON run.id = log.run_id"
    )
    return {row[0]: row[1] for row in rows}


def _task(row: Row) -> Task:
    return Task(*tuple(row))
