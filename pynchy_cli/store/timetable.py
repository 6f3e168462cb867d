"""What tasks and host jobs have in common as rows: when they are due, who paused them, and a log of
their firings. A firing and the next due time are written together by whoever fires."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pynchy_cli import clock
from pynchy_cli.errors import TaskFixed
from pynchy_cli.model import Firing, Source, Timed
from pynchy_cli.store.connection import Connection, Row

KEPT_FIRINGS = 200
"""Firings of each one that are kept, however old they are."""
KEPT_SECONDS = 7 * 86_400.0
"""Younger ones are kept as well: a clock that is set back meets what it has fired. Neither what
they printed is, nor those that came to nothing."""
KEPT_ENDED = 30 * 86_400.0
"""Seconds for which what has ended stays to be seen."""
CLOCK = "schedule_clock"
"""The counter that holds the wall clock's time."""
FAILED = ("failed", "timeout", "unknown")
"""What a firing came to that a person should see."""
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"

TIMED = (
    "id, name, schedule_type, schedule_value, timezone, anchor, catch_up, status, paused_by,"
    " source, created_by, created_at, ended_at, next_run, last_run, timeout_seconds"
)
"""Columns in the order of `model.Timed`."""
FORM = "NNNN-NN-NNTNN:NN:NN.NNNZ".replace("N", "[0-9]")
"""How a due time that can be compared with others looks."""
_OPEN = "status IN ('waiting', 'running', 'checking')"


@dataclass(frozen=True)
class Table:
    """A table of what is timed, and that of its firings."""

    name: str
    logs: str
    key: str
    prefix: str
    noun: str


TASKS = Table("scheduled_tasks", "task_run_logs", "task_id", "task-", "task")
JOBS = Table("host_jobs", "host_job_logs", "job_id", "job-", "host job")
TABLES = (TASKS, JOBS)


def new_id(db: Connection, table: Table) -> str:
    """An id that nothing of the table has."""
    while True:
        id = table.prefix + "".join(secrets.choice(_LETTERS) for _ in range(6))
        if not has(db, table, id):
            return id


def has(db: Connection, table: Table, id: str) -> bool:
    """Whether something has this id."""
    row = db.execute(f"SELECT 1 FROM {table.name} WHERE id = ?", (id,)).fetchone()
    return row is not None


def due(
    db: Connection, table: Table, now: str, limit: int, besides: Collection[str] = ()
) -> list[str]:
    """The ids of what is due by now, the longest due first; `besides` those."""
    rows = db.execute(
        f"SELECT id FROM {table.name} WHERE status = 'active' AND next_run <= ?"
        " ORDER BY next_run LIMIT ?",
        (now, limit + len(besides)),
    ).fetchall()
    return [str(row[0]) for row in rows if row[0] not in besides][:limit]


def next_due(db: Connection, table: Table, besides: Collection[str] = ()) -> str | None:
    """When something is due next, or was; `besides` those. None where nothing ever is. A time in
    another form is passed over: it can't be waited for."""
    rows = db.execute(
        f"SELECT id, next_run FROM {table.name} WHERE status = 'active' AND next_run IS NOT NULL"
        " AND next_run GLOB ? ORDER BY next_run LIMIT ?",
        (FORM, 1 + len(besides)),
    ).fetchall()
    return next((str(row[1]) for row in rows if row[0] not in besides), None)


def fired(
    db: Connection,
    table: Table,
    id: str,
    *,
    due_at: str,
    status: str,
    now: str,
    missed_since: str | None = None,
    reason: str | None = None,
    by_hand: bool = False,
) -> int | None:
    """Note one firing; its number. None where this due time has fired before."""
    row = db.execute(
        f"INSERT INTO {table.logs}({table.key}, due_at, run_at, missed_since, by_hand, status,"
        " reason) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
        (id, due_at, now, missed_since, by_hand, status, reason),
    ).fetchone()
    if row is None:
        return None
    db.execute(
        f"UPDATE {table.name} SET last_run = ?, last_log = ?, failing = ? WHERE id = ?",
        (now, row[0], int(status in FAILED), id),
    )
    _prune(db, table, id, now)
    return int(row[0])


def task_failed(db: Connection, task: str, run_id: int) -> None:
    """Note that a run of a task failed; unless the task has fired again since."""
    db.execute(
        "UPDATE scheduled_tasks SET failing = 1 WHERE id = ?"
        " AND (SELECT run_id FROM task_run_logs WHERE id = last_log) = ?",
        (task, run_id),
    )


def advance(db: Connection, table: Table, id: str, next_run: str | None, now: str) -> None:
    """Set when it is due next; without any further time it is completed."""
    if next_run is not None:
        db.execute(f"UPDATE {table.name} SET next_run = ? WHERE id = ?", (next_run, id))
        return
    db.execute(
        f"UPDATE {table.name} SET next_run = NULL, status = 'completed', ended_at = ? WHERE id = ?",
        (now, id),
    )
    forget_ended(db, table, now)


def reschedule(db: Connection, table: Table, one: Timed, next_run: str | None, now: str) -> None:
    """Give it the schedule of `one`, from its next due time on; completed ones come back."""
    see_clock(db, now)
    db.execute(
        f"UPDATE {table.name} SET schedule_type = ?, schedule_value = ?, timezone = ?, anchor = ?,"
        " next_run = ?, ended_at = NULL, status = iif(status = 'paused', status, 'active'),"
        " paused_by = iif(status = 'paused', paused_by, NULL)"
        " WHERE id = ?",
        (
            *(one.schedule_type, one.schedule_value, one.timezone, one.anchor),
            *(next_run, one.id),
        ),
    )


def tell_in(db: Connection, table: Table, id: str, timezone: str) -> None:
    """Tell its times in another time zone; they stay what they are."""
    db.execute(f"UPDATE {table.name} SET timezone = ? WHERE id = ?", (timezone, id))


def pause(db: Connection, table: Table, one: Timed, by: Source) -> None:
    """Leave it out until it is resumed. What others have paused is a person's pause once a person
    wants it so, and what an agent has, anybody's. Raises TaskFixed where it has ended."""
    _require_unended(table, one)
    db.execute(
        f"UPDATE {table.name} SET status = 'paused', paused_by = :by WHERE id = :id"
        " AND (status = 'active' OR :by = 'person' OR paused_by = 'agent')",
        {"by": by, "id": one.id},
    )


def resume(db: Connection, table: Table, one: Timed, next_run: str | None, now: str) -> None:
    """Take it up again: it is due next at `next_run`, and what was left out stays so. Raises
    TaskFixed where it has ended."""
    _require_unended(table, one)
    if one.status != "paused":
        return
    see_clock(db, now)
    db.execute(
        f"UPDATE {table.name} SET status = 'active', paused_by = NULL WHERE id = ?", (one.id,)
    )
    advance(db, table, one.id, next_run, now)


def cancel(db: Connection, table: Table, one: Timed, now: str) -> None:
    """End it for good; what it has begun goes on. Raises TaskFixed where it has ended."""
    _require_unended(table, one)
    db.execute(
        f"UPDATE {table.name} SET status = 'cancelled', next_run = NULL, ended_at = ? WHERE id = ?",
        (now, one.id),
    )
    forget_ended(db, table, now)


def forget_ended(db: Connection, table: Table, now: str) -> None:
    """Remove what has ended long ago, with its log."""
    db.execute(
        f"DELETE FROM {table.name} WHERE ended_at < ? AND ended_at IS NOT NULL",
        (clock.after(now, -KEPT_ENDED),),
    )


def as_firing(row: Row) -> Firing:
    """A row as a firing."""
    id, of, due_at, run_at, missed_since, by_hand, status, reason = tuple(row)[:8]
    return Firing(id, of, due_at, run_at, missed_since, bool(by_hand), status, reason)


def active(db: Connection, table: Table) -> list[str]:
    """The ids of all that will be due some time."""
    rows = db.execute(
        f"SELECT id FROM {table.name} WHERE status = 'active' AND next_run IS NOT NULL"
    ).fetchall()
    return [str(row[0]) for row in rows]


def moment(text: str | None) -> str | None:
    """A due time, if it is one that can be waited for."""
    return text if text is not None and fnmatchcase(text, FORM) else None


def undated(db: Connection, table: Table) -> list[str]:
    """The ids of what is active, and has no due time that can be waited for."""
    rows = db.execute(
        f"SELECT id FROM {table.name} WHERE status = 'active'"
        " AND (next_run IS NULL OR next_run NOT GLOB ?)",
        (FORM,),
    ).fetchall()
    return [str(row[0]) for row in rows]


def fired_after(db: Connection, table: Table, id: str, moment: str) -> set[str]:
    """The due times after a moment that have fired already."""
    rows = db.execute(
        f"SELECT due_at FROM {table.logs} WHERE {table.key} = ? AND due_at > ?", (id, moment)
    ).fetchall()
    return {str(row[0]) for row in rows}


def clock_seen(db: Connection) -> str | None:
    """The latest time by which something was found to be due."""
    row = db.execute("SELECT at FROM counters WHERE name = ?", (CLOCK,)).fetchone()
    return str(row[0]) if row else None


def see_clock(db: Connection, now: str) -> None:
    """Note by which time a due time was found, in the same transaction: were the clock ahead then,
    it is known once it is set back."""
    db.execute(
        "INSERT INTO counters(name, value, at) VALUES (?, 0, ?)"
        " ON CONFLICT(name) DO UPDATE SET at = max(at, excluded.at)",
        (CLOCK, now),
    )


def set_clock(db: Connection, now: str) -> None:
    """Note that by this time all due times were found anew."""
    db.execute("UPDATE counters SET at = ? WHERE name = ?", (now, CLOCK))


def ended(table: Table, one: Timed) -> TaskFixed:
    """What to tell of one that has ended."""
    better = "only config.toml can bring it back" if one.source == "config" else "add a new one"
    return TaskFixed(f"The {table.noun} {one.id} is {one.status}; {better}.")


def _require_unended(table: Table, one: Timed) -> None:
    if one.ended_at is not None:
        raise ended(table, one)


def _prune(db: Connection, table: Table, id: str, now: str) -> None:
    """Remove firings that are old and many, and over; and of the one that is too many now, if it is
    young, what no clock that is set back needs to meet."""
    past = f"(SELECT id FROM {table.logs} WHERE {table.key} = ? ORDER BY id DESC LIMIT 1 OFFSET ?)"
    db.execute(
        f"DELETE FROM {table.logs} WHERE id = {past} AND status IN ('skipped', 'missed')",
        (id, KEPT_FIRINGS),
    )
    if table is JOBS:
        db.execute(
            f"UPDATE {table.logs} SET output = NULL WHERE id = {past} AND output IS NOT NULL",
            (id, KEPT_FIRINGS),
        )
    db.execute(
        f"DELETE FROM {table.logs} WHERE {table.key} = :id AND due_at < :old AND due_at < ("
        f"SELECT due_at FROM {table.logs} WHERE {table.key} = :id"
        f" ORDER BY due_at DESC LIMIT 1 OFFSET :kept) AND NOT ({_OPEN})",
        {"id": id, "old": clock.after(now, -KEPT_SECONDS), "kept": KEPT_FIRINGS - 1},
    )
