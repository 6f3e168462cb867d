"""What `pynchy status` tells of agents' requests, and of what waits for people because of them. As
there, the standard library alone is loaded."""

from __future__ import annotations

import sqlite3

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from typing import Any


def asked(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The parts `requests`, `approvals` and `questions` of the document. `unreadable` are files
    that were no request; those whose names gave an id were refused, too, and are in the total."""
    ended = dict(db.execute("SELECT name, value FROM counters WHERE name LIKE 'requests%'"))
    still: dict[str, int] = {
        state: _number(db, f"SELECT count(*) FROM requests WHERE state = '{state}'")
        for state in ("accepted", "waiting", "started")
    }
    counted = {name: ended.get(f"requests_{name}", 0) for name in ("done", "refused", "failed")}
    pending = db.execute(
        "SELECT count(*), min(asked_at) FROM approvals WHERE state = 'pending'"
    ).fetchone()
    questions = _number(db, "SELECT count(*) FROM questions WHERE state = 'pending'")
    return {
        "requests": {
            "total": sum(counted.values()) + sum(still.values()),
            "refused": counted["refused"],
            "failed": counted["failed"],
            "unreadable": ended.get("requests_unreadable", 0),
            "waiting": still["waiting"],
        },
        "approvals": {"pending": pending[0], "oldest_asked_at": pending[1]},
        "questions": {"pending": questions},
    }


def _number(db: sqlite3.Connection, sql: str) -> int:
    return int(db.execute(sql).fetchone()[0])
