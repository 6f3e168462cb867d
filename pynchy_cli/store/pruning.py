"""Removes rows that are only a trace, once they are old: at most a page in one transaction, so that
no writer waits for it. What may go is found without any lock, from each table's beginning on; what
something else still needs stays, however old it is. Totals don't change by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from pynchy_cli import clock
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import HOST
from pynchy_cli.store.timetable import KEPT_SECONDS

PAGE = 1000
"""Rows that are looked at, or removed, at once."""
RUNS_AT_LEAST = 7 * 86_400.0
"""Seconds for which runs and requests are kept whatever is configured: limits count them."""
FIRINGS_AT_LEAST = KEPT_SECONDS


@dataclass(frozen=True)
class Kind:
    """Rows of one kind: the query says of each, from a number on, whether it was written before
    :before (`old`), and whether it may go then (`goes`); `remove` removes some."""

    name: str
    query: str
    remove: str
    at_least: float = 0.0


EVENTS = Kind(
    "events",
    "SELECT id, timestamp < :before AS old, timestamp < :before AS goes FROM events"
    " WHERE id > :after ORDER BY id LIMIT :page",
    "DELETE FROM events WHERE id IN (SELECT value FROM json_each(:ids))",
)
TASK_LOGS = Kind(
    "task_run_logs",
    "SELECT id, run_at < :before AS old, run_at < :before AND status <> 'checking' AND NOT EXISTS ("
    " SELECT 1 FROM scheduled_tasks WHERE id = log.task_id AND last_log = log.id) AS goes"
    " FROM task_run_logs AS log WHERE id > :after ORDER BY id LIMIT :page",
    "DELETE FROM task_run_logs WHERE id IN (SELECT value FROM json_each(:ids))"
    " AND status <> 'checking'",
    FIRINGS_AT_LEAST,
)
JOB_LOGS = Kind(
    "host_job_logs",
    "SELECT id, run_at < :before AS old, run_at < :before AND status NOT IN ('waiting', 'running')"
    " AND NOT EXISTS (SELECT 1 FROM host_jobs WHERE id = log.job_id AND last_log = log.id) AS goes"
    " FROM host_job_logs AS log WHERE id > :after ORDER BY id LIMIT :page",
    "DELETE FROM host_job_logs WHERE id IN (SELECT value FROM json_each(:ids))"
    " AND status NOT IN ('waiting', 'running')",
    FIRINGS_AT_LEAST,
)
# An answer that was given, to somebody who is gone; with it go what was asked of people about it
# and is decided. The host's own proposals are made once for each chat, ever.
REQUESTS = Kind(
    "requests",
    f"""
    SELECT id, created_at < :before AS old, state IN ('done', 'refused')
      AND coalesce(finished_at, created_at) < :before AND answer IS NOT NULL AND delivered = 1
      AND session <> '{HOST}'
      AND NOT EXISTS (SELECT 1 FROM sessions WHERE group_folder = r.group_folder
        AND folder = r.session)
      AND NOT EXISTS (SELECT 1 FROM runs WHERE id IN (r.run_id, r.child_run)
        AND state NOT IN ('done', 'cancelled', 'superseded'))
      AND NOT EXISTS (SELECT 1 FROM approvals WHERE request = r.id AND state = 'pending')
      AND NOT EXISTS (SELECT 1 FROM questions WHERE request = r.id AND state = 'pending') AS goes
    FROM requests AS r WHERE id > :after ORDER BY id LIMIT :page""",
    "DELETE FROM requests WHERE id IN (SELECT value FROM json_each(:ids)) AND answer IS NOT NULL"
    " AND delivered = 1",
    RUNS_AT_LEAST,
)
# Of a run that is over: none that a reply which isn't settled, a request, another run, a task or a
# group's cursor goes back to.
RUNS = Kind(
    "runs",
    """
    SELECT id, created_at < :before AS old, state IN ('done', 'cancelled', 'superseded')
      AND coalesce(finished_at, created_at) < :before
      AND NOT EXISTS (SELECT 1 FROM outbound_ledger AS l WHERE l.run_id = r.id AND (l.is_final = 0
        OR EXISTS (SELECT 1 FROM outbound_deliveries AS d WHERE d.ledger_id = l.id
          AND d.state NOT IN ('sent', 'dropped'))))
      AND NOT EXISTS (SELECT 1 FROM requests WHERE child_run = r.id)
      AND NOT EXISTS (SELECT 1 FROM runs AS child WHERE child.parent = r.id)
      AND NOT EXISTS (SELECT 1 FROM scheduled_tasks AS t JOIN task_run_logs AS g
        ON g.id = t.last_log WHERE t.id = r.task AND g.run_id = r.id)
      AND (kind <> 'chat' OR last_seq <= (
        SELECT answered_seq FROM registered_groups WHERE folder = r.group_folder)) AS goes
    FROM runs AS r WHERE id > :after ORDER BY id LIMIT :page""",
    "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(:ids))"
    " AND state IN ('done', 'cancelled', 'superseded')",
    RUNS_AT_LEAST,
)
PROCESSES = Kind(
    "processes",
    """
    SELECT id, started_at < :before AS old, ended_at IS NOT NULL AND ended_at < :before
      AND EXISTS (SELECT 1 FROM processes AS later WHERE later.stage = p.stage AND later.id > p.id)
      AND NOT EXISTS (SELECT 1 FROM runs WHERE owner = p.id AND state = 'running')
      AND NOT EXISTS (SELECT 1 FROM sessions WHERE owner = p.id)
      AND NOT EXISTS (SELECT 1 FROM requests WHERE owner = p.id AND state = 'started') AS goes
    FROM processes AS p WHERE id > :after ORDER BY id LIMIT :page""",
    "DELETE FROM processes WHERE id IN (SELECT value FROM json_each(:ids))"
    " AND ended_at IS NOT NULL",
)


def pages(db: Connection, kind: Kind, before: str) -> Iterator[list[int]]:
    """The numbers of rows that may go, some at a time; it reads, and may be left at any point. It
    ends where a page holds nothing that is old: numbers and times grow together."""
    after = 0
    kept = _needed(db) if kind is RUNS else frozenset[int]()
    while True:
        rows = db.execute(kind.query, {"before": before, "after": after, "page": PAGE}).fetchall()
        yield [int(row[0]) for row in rows if row[2] and row[0] not in kept]
        if len(rows) < PAGE or not any(row[1] for row in rows):
            return
        after = int(rows[-1][0])


def remove(db: Connection, kind: Kind, ids: list[int]) -> int:
    """Remove rows that may go, inside a transaction; how many."""
    return db.execute(kind.remove, {"ids": json.dumps(ids)}).rowcount


def moment(kind: Kind, seconds: float, now: str) -> str:
    """Before when rows of a kind are old, where they are to be kept for so long."""
    return clock.after(now, -max(seconds, kind.at_least))


def leave_outputs(db: Connection, before: str, after: int) -> int | None:
    """Forget what a page of old firings of jobs have printed, inside a transaction; the number up
    to which that is done, or None where there are no more."""
    rows = db.execute(
        "SELECT id, run_at < ?, output IS NOT NULL FROM host_job_logs WHERE id > ?"
        " AND status NOT IN ('waiting', 'running') ORDER BY id LIMIT ?",
        (before, after, PAGE),
    ).fetchall()
    ids = [row[0] for row in rows if row[1] and row[2]]
    if ids:
        db.execute(
            "UPDATE host_job_logs SET output = NULL WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(ids),),
        )
    return int(rows[-1][0]) if len(rows) == PAGE and any(row[1] for row in rows) else None


def _needed(db: Connection) -> frozenset[int]:
    """The runs by which it is known how far each thread was answered, those that took over one that
    had failed, and those of requests that aren't settled."""
    rows = db.execute(
        "SELECT id, max(last_seq) FROM runs WHERE kind = 'chat' GROUP BY group_folder, thread"
        " UNION ALL SELECT max(id), 0 FROM runs WHERE kind = 'chat'"
        " AND state IN ('done', 'cancelled') GROUP BY group_folder, thread"
        " UNION ALL SELECT superseded_by, 0 FROM runs WHERE state = 'failed'"
        " AND superseded_by IS NOT NULL"
        " UNION ALL SELECT run_id, 0 FROM requests WHERE run_id IS NOT NULL"
        " AND (answer IS NULL OR delivered = 0)"
    ).fetchall()
    return frozenset(int(row[0]) for row in rows)
