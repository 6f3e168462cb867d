"""Settles in a database that comes out of a backup what may have been done since: it is not known
here, so none of it is done again by itself. Replies are not among it: one that is sent twice does
no harm, one that is never sent may."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli import recurrence
from pynchy_cli.errors import ScheduleInvalid
from pynchy_cli.recurrence import Schedule
from pynchy_cli.store import requests, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import TABLES, Table

REASON = "It comes out of a backup: whether it was done since is not known."
_ANSWER = '{"ok": false, "error": {"code": "unknown", "message": "%s"}}'
_SCHEDULE = "schedule_type, schedule_value, timezone, anchor, next_run"


@dataclass(frozen=True)
class Settled:
    """How many of what was begun, or due, is left as unknown: requests that a person had approved,
    firings of host jobs, due times of tasks and jobs."""

    requests: int
    jobs: int
    due: int


def settle(db: Connection, now: str) -> Settled:
    """Leave as unknown what may have been done since the backup, inside a transaction."""
    rows = db.execute(
        "SELECT id FROM requests WHERE answer IS NULL AND (state = 'started' OR (gated = 1"
        " AND state = 'accepted'))"
    ).fetchall()
    for row in rows:
        requests.answer(db, row[0], "unknown", _ANSWER % REASON, now)
    jobs = db.execute(
        "UPDATE host_job_logs SET status = 'unknown', finished_at = ?, owner = NULL, reason = ?"
        " WHERE status IN ('waiting', 'running')",
        (now, REASON),
    ).rowcount
    db.execute(
        "UPDATE task_run_logs SET status = 'skipped', reason = ?, owner = NULL"
        " WHERE status = 'checking'",
        (REASON,),
    )
    return Settled(len(rows), jobs, sum(_pass_over(db, table, now) for table in TABLES))


def _pass_over(db: Connection, table: Table, now: str) -> int:
    """What was due since the backup counts as missed; it is due again as its schedule says."""
    rows = db.execute(
        f"SELECT id, {_SCHEDULE} FROM {table.name} WHERE status = 'active' AND next_run <= ?",
        (now,),
    ).fetchall()
    for id, kind, value, timezone, anchor, due in rows:
        timetable.fired(db, table, id, due_at=due, status="missed", now=now, reason=REASON)
        try:
            following = recurrence.following(Schedule(kind, value, timezone), anchor, now)
        except ScheduleInvalid:
            continue  # `schedule` tells what is wrong with it
        timetable.advance(db, table, id, following, now)
    return len(rows)
