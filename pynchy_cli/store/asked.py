"""What `pynchy status` tells of agents' requests, and of what waits for people because of them. As
there, the standard library alone is loaded."""

from __future__ import annotations

import sqlite3

from pynchy_cli import clock
from pynchy_cli.store.running import Document, as_object

ERRORS = 5
"""Requests that are listed at most of those that failed."""


def asked(db: sqlite3.Connection, now: str) -> Document:
    """The parts `requests`, `approvals` and `questions` of the document. `unreadable` are files
    that were no request; those whose names gave an id were refused, too, and are in the total."""
    ended = dict(db.execute("SELECT name, value FROM counters WHERE name LIKE 'requests%'"))
    still: dict[str, int] = {
        state: _number(db, f"SELECT count(*) FROM requests WHERE state = '{state}'")
        for state in ("accepted", "waiting", "started")
    }
    counted = {name: ended.get(f"requests_{name}", 0) for name in ("done", "refused", "failed")}
    return {
        "requests": {
            "total": sum(counted.values()) + sum(still.values()),
            "refused": counted["refused"],
            "failed": counted["failed"],
            "unreadable": ended.get("requests_unreadable", 0),
            "waiting": still["waiting"],
            "errors": _errors(db),
        },
        "approvals": _pending(db, "approvals", now),
        "questions": _pending(db, "questions", now),
    }


def _pending(db: sqlite3.Connection, table: str, now: str) -> Document:
    count, oldest = db.execute(
        f"SELECT count(*), min(asked_at) FROM {table} WHERE state = 'pending'"
    ).fetchone()
    return {"pending": count, "oldest_asked_at": oldest, "oldest_seconds": clock.age(oldest, now)}


def _errors(db: sqlite3.Connection) -> list[Document]:
    """The requests that failed last, the newest first."""
    rows = db.execute(
        "SELECT id, group_folder, type, answer, finished_at FROM requests"
        " WHERE state IN ('failed', 'unknown') ORDER BY id DESC LIMIT ?",
        (ERRORS,),
    )
    return [
        {"id": id, "group": group, "type": kind, "error": _error(db, answer), "at": at}
        for id, group, kind, answer, at in rows
    ]


def _error(db: sqlite3.Connection, answer: str | None) -> str | None:
    """What the agent was answered."""
    error = as_object(db, answer).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return None if message is None else str(message)


def _number(db: sqlite3.Connection, sql: str) -> int:
    return int(db.execute(sql).fetchone()[0])
