"""What each stage has still to do that is due now, and since when the oldest of it waits. It only
reads, and loads the standard library alone."""

from __future__ import annotations

import sqlite3

from pynchy_cli import clock
from pynchy_cli.store import queue
from pynchy_cli.store.running import Document

# As in `runs`: where the clock was set back since, a run would wait for as long.
_RUNS = """
SELECT count(*), min(created_at) FROM runs INDEXED BY runs_claim
WHERE state = 'queued'
  AND (not_before IS NULL OR not_before <= ?1 OR coalesce(started_at, created_at) > ?1)
  AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.group_folder IN ('', runs.group_folder))
"""
_REQUESTS = """
SELECT count(*), min(created_at) FROM (
  SELECT created_at FROM requests WHERE state = 'accepted'
  UNION ALL SELECT created_at FROM requests WHERE state = 'started')
"""
_DUE = """
SELECT count(*), min(next_run) FROM (
  SELECT next_run FROM scheduled_tasks WHERE status = 'active' AND next_run <= ?1
  UNION ALL SELECT next_run FROM host_jobs WHERE status = 'active' AND next_run <= ?1)
"""
_DELIVERIES = """
SELECT due.channel, due.number, ledger.created_at FROM (
  SELECT channel, count(*) AS number, min(ledger_id) AS first FROM outbound_deliveries
  WHERE state IN ('pending', 'sending', 'unknown') AND held = 0
    AND (next_attempt_at IS NULL OR next_attempt_at <= ?)
  GROUP BY channel) AS due
LEFT JOIN outbound_ledger AS ledger ON ledger.id = due.first
"""


def backlog(
    db: sqlite3.Connection, unrouted: dict[str, int], channels: list[str], now: str
) -> Document:
    """Stage -> how much of its work is due, and since when; runs of held groups are not. For each
    of the channels there is a stage `listen@…`."""
    found = {
        "route": _row(queue.unrouted_count(db, unrouted), _received(db, unrouted), now),
        "run-agent": _counted(db.execute(_RUNS, (now,)), now),
        "ipc-watch": _counted(db.execute(_REQUESTS), now),
        "schedule": _counted(db.execute(_DUE, (now,)), now),
    }
    found |= {f"listen@{channel}": _row(0, None, now) for channel in channels}
    for channel, count, oldest in db.execute(_DELIVERIES, (now,)):
        found[f"listen@{channel}"] = _row(count, oldest, now)
    return found


def _received(db: sqlite3.Connection, unrouted: dict[str, int]) -> str | None:
    if not unrouted:
        return None
    first = min(unrouted.values())
    row = db.execute("SELECT received_at FROM messages WHERE seq = ?", (first,)).fetchone()
    return str(row[0]) if row else None


def _counted(found: sqlite3.Cursor, now: str) -> Document:
    count, oldest = found.fetchone()
    return _row(count, oldest, now)


def _row(count: int, oldest: str | None, now: str) -> Document:
    return {"count": count, "oldest_at": oldest, "oldest_seconds": clock.age(oldest, now)}
