"""What `pynchy status` tells, in one reading of the file. It writes nothing, needs nothing to
run, and loads the standard library alone, because people ask often."""

from __future__ import annotations

import os
import sqlite3

from pynchy_cli import clock
from pynchy_cli.errors import DatabaseMissing
from pynchy_cli.store import asked, planned, running
from pynchy_cli.store.queue import queue
from pynchy_cli.store.running import Document

# As in `connection`, which isn't loaded unless something is wrong; a test compares them.
SCHEMA = 8
APPLICATION_ID = 0x70796E63
FAILURES = 100
"""Failures that are listed at most; all are counted."""
GIVEN_UP = 5
"""Runs that are listed at most of those that failed for good and were not tried again."""
DEPLOY = (
    *("head_sha", "head_commit", "dirty", "unpushed_commits"),
    *("last_deploy_at", "last_deploy_sha"),
)
REQUESTS = ("total", "refused", "failed", "unreadable", "waiting")
QUEUE = ("active_containers", "max_concurrent", "groups_waiting", "per_group")


def read(path: str, lock_folder: str, now: str) -> Document:
    """The whole document, of a database that is there.

    Raises DatabaseMissing, DatabaseForeign, SchemaTooNew, SchemaTooOld, DatabaseBusy.
    """
    if not os.path.exists(path):  # noqa: PTH110 - pathlib costs a quarter of the whole command
        raise DatabaseMissing(f"{path} does not exist. `pynchy init` makes it.")
    try:
        db = _open(path)
        try:
            db.execute("BEGIN")
            schema = _checked(db, path)
            return _document(db, path, schema, lock_folder, now)
        finally:
            db.close()
    except sqlite3.Error as error:
        from pathlib import Path

        from pynchy_cli.store.connection import translate

        raise translate(Path(path), error) from error


def empty(path: str) -> Document:
    """The document where nothing can be read: every key is there, nothing runs."""
    return {
        "service": {"status": "down", "started_at": None, "uptime_seconds": 0},
        "deploy": dict.fromkeys(DEPLOY),
        "stages": {},
        "channels": {},
        "gateway": {"mode": None, "connected": False},
        "queue": dict.fromkeys(QUEUE, 0) | {"max_concurrent": None, "per_group": {}},
        "repos": {},
        "messages": {"total_inbound": 0, "total_outbound": 0, "last_received_at": None}
        | {"last_sent_at": None, "pending_deliveries": 0}
        | {"unknown_deliveries": 0, "held_deliveries": 0, "dead_deliveries": 0},
        "requests": dict.fromkeys(REQUESTS, 0),
        "approvals": {"pending": 0, "oldest_asked_at": None},
        "questions": {"pending": 0},
        "tasks": [],
        "host_jobs": [],
        "groups": {"total": 0, "active_sessions": 0},
        "failures": {"set_aside": 0, "retrying": 0, "rows": [], "given_up": 0, "runs": []},
        "sandbox": {"runtime": None, "missing": [], "warning": None},
        "database": {"path": path, "schema": None, "size": 0},
        "problem": None,
    }


def _open(path: str) -> sqlite3.Connection:
    address = "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None, timeout=5)
    try:
        db.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        db.close()
        # Without a WAL, a folder that we may not write to can be read all the same.
        if os.path.exists(path + "-wal"):  # noqa: PTH110
            raise
        db = sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    return db


def _checked(db: sqlite3.Connection, path: str) -> int:
    """The schema number of a database that is ours and of this code."""
    number = int(db.execute("PRAGMA user_version").fetchone()[0])
    owner = int(db.execute("PRAGMA application_id").fetchone()[0])
    if owner != APPLICATION_ID or number != SCHEMA:
        from pathlib import Path

        from pynchy_cli.store.connection import require_schema

        require_schema(db, Path(path))
    return number


def _document(
    db: sqlite3.Connection, path: str, schema: int, lock_folder: str, now: str
) -> Document:
    told = empty(path)
    open_rows = running.processes(db, lock_folder)
    alive = [row for row in open_rows if row["running"]]
    settings = alive[-1]["settings"] if alive else {}
    told["stages"] = running.stages(open_rows, settings)
    running.add_last_words(db, told["stages"])
    if not alive:
        running.add_broken(db, told["stages"])
    told["channels"] = running.channels(db, alive, settings)
    told["gateway"] = {
        "mode": running.gateway_mode(alive, settings),
        "connected": any(row["stage"] == "gateway" for row in alive),
    }
    limit = running.max_concurrent(alive, settings)
    told["queue"] = queue(db, {row["id"] for row in alive}, limit)
    told["messages"] = _messages(db)
    told |= asked.asked(db)
    told["tasks"], told["host_jobs"] = planned.tasks(db), planned.host_jobs(db)
    told["groups"] = {
        "total": _number(db, "SELECT count(*) FROM registered_groups"),
        "active_sessions": _number(
            db, "SELECT count(*) FROM sessions WHERE session_id IS NOT NULL"
        ),
    }
    told["failures"] = _failures(db)
    told["sandbox"] = running.sandbox(alive, settings)
    told["database"] = {"path": path, "schema": schema, "size": _size(path)}
    told["service"] = _service(told, alive, now)
    return told


def _service(told: Document, alive: list[Document], now: str) -> Document:
    """`healthy`, `degraded` (something needs a person, or is not running) or `down`."""
    if not alive:
        return {"status": "down", "started_at": None, "uptime_seconds": 0}
    since = min(row["started_at"] for row in alive)
    troubled = (
        told["failures"]["set_aside"]
        or told["messages"]["dead_deliveries"]
        or told["messages"]["held_deliveries"]
        or any(stage["error"] or not stage["running"] for stage in told["stages"].values())
    )
    troubled = troubled or any(row["connected"] == 0 for row in alive)
    return {
        "status": "degraded" if troubled else "healthy",
        "started_at": since,
        "uptime_seconds": max(0, int(clock.seconds_between(since, now))),
    }


def _messages(db: sqlite3.Connection) -> Document:
    totals = {
        name: (value, at) for name, value, at in db.execute("SELECT name, value, at FROM counters")
    }
    inbound = totals.get("messages_inbound", (0, None))
    outbound = totals.get("messages_outbound", (0, None))
    return {
        "total_inbound": inbound[0],
        "total_outbound": outbound[0],
        "last_received_at": inbound[1],
        "last_sent_at": outbound[1],
        **undelivered(db),
    }


def undelivered(db: sqlite3.Connection) -> Document:
    """How many deliveries are on their way, of how many of those nobody knows whether they got
    there, how many of these are held for a person, and how many will never get there."""
    pending, unknown, held = db.execute(
        "SELECT count(*), coalesce(sum(state = 'unknown'), 0), coalesce(sum(held), 0)"
        " FROM outbound_deliveries WHERE state IN ('pending', 'sending', 'unknown')"
    ).fetchone()
    dead = "SELECT count(*) FROM outbound_deliveries WHERE state = 'dead'"
    return {
        "pending_deliveries": pending,
        "unknown_deliveries": unknown,
        "held_deliveries": held,
        "dead_deliveries": _number(db, dead),
    }


def _failures(db: sqlite3.Connection) -> Document:
    counts = dict(db.execute("SELECT state, count(*) FROM failures GROUP BY state").fetchall())
    names = ("stage", "subject", "state", "attempts", "error", "last_at", "retry_at")
    rows = db.execute(
        f"SELECT {', '.join(names)} FROM failures ORDER BY state DESC, last_at DESC LIMIT ?",
        (FAILURES,),
    )
    return {
        "set_aside": counts.get("set_aside", 0),
        "retrying": counts.get("retrying", 0),
        "rows": [dict(zip(names, row, strict=True)) for row in rows],
        **given_up(db),
    }


def given_up(db: sqlite3.Connection) -> Document:
    """The runs that ended without an answer, the newest first; a shell's were told there, and a
    task's fires again."""
    which = (
        "FROM runs WHERE state = 'failed' AND superseded_by IS NULL AND kind <> 'shell'"
        " AND kind <> 'task'"
    )
    names = ("id", "group", "attempts", "error", "finished_at")
    rows = db.execute(
        f"SELECT id, group_folder, attempts, error, finished_at {which} ORDER BY id DESC LIMIT ?",
        (GIVEN_UP,),
    )
    return {
        "given_up": _number(db, f"SELECT count(*) {which}"),
        "runs": [dict(zip(names, row, strict=True)) for row in rows],
    }


def _number(db: sqlite3.Connection, sql: str) -> int:
    return int(db.execute(sql).fetchone()[0])


def _size(path: str) -> int:
    """Bytes of the database with its WAL."""
    total = 0
    for name in (path, path + "-wal"):
        if os.path.exists(name):  # noqa: PTH110
            total += os.stat(name).st_size  # noqa: PTH116
    return total
