"""What `pynchy status` tells, in one reading of the file. It writes nothing, needs nothing to
run, and loads the standard library alone, because people ask often."""

from __future__ import annotations

import os
import sqlite3

from pynchy_cli import clock
from pynchy_cli.errors import DatabaseForeign, DatabaseFull, DatabaseMissing, PynchyError
from pynchy_cli.store import asked, glance, machine, noted, planned, queue, running, totals
from pynchy_cli.store.backlog import backlog
from pynchy_cli.store.glance import APPLICATION_ID, SCHEMA
from pynchy_cli.store.running import Document
from pynchy_cli.store.troubles import troubles

__all__ = ["APPLICATION_ID", "SCHEMA", "empty", "read"]

REQUESTS = ("total", "refused", "failed", "unreadable", "waiting")
QUEUE = ("active_containers", "max_concurrent", "groups_waiting", "per_group")
NOBODY: Document = {"pending": 0, "oldest_asked_at": None, "oldest_seconds": None}
NONE: Document = {"total": 0, "active": 0, "paused": 0, "failing": 0}


def read(path: str, lock_folder: str, now: str) -> Document:
    """The whole document, of a database that is there.

    Raises DatabaseMissing, DatabaseForeign, SchemaTooNew, SchemaTooOld, DatabaseBusy.
    """
    if not os.path.exists(path):  # noqa: PTH110 - pathlib costs a quarter of the whole command
        raise DatabaseMissing(f"{path} does not exist. `pynchy init` makes it.")
    try:
        return glance.at(path, lambda db, stale: _document(db, path, stale, lock_folder, now))
    except sqlite3.Error as error:
        from pathlib import Path

        from pynchy_cli.store.connection import translate

        ours = translate(Path(path), error)
        if isinstance(ours, PynchyError) and not isinstance(ours, DatabaseFull):
            raise ours from error
        text = f"{path} can't be read ({error}). `pynchy db check` tells more."
        raise DatabaseForeign(text) from error


def empty(path: str, lock_folder: str | None = None) -> Document:
    """The document where nothing can be read: every key is there. What the file isn't needed for
    is told all the same; the folder of locks lies beside it where none is named."""
    locks = lock_folder or os.path.join(os.path.dirname(path), "run")  # noqa: PTH118, PTH120
    return {
        "service": {"status": "down", "started_at": None, "uptime_seconds": 0},
        "problem": None,
        "troubles": [],
        "deploy": noted.deploy({}),
        "supervisor": machine.supervisor(locks),
        "stages": {},
        "backlog": {},
        "channels": {},
        "gateway": {"mode": None, "connected": False},
        "queue": dict.fromkeys(QUEUE, 0) | {"max_concurrent": None, "per_group": {}},
        "repos": {},
        "messages": totals.NO_MESSAGES,
        "requests": dict.fromkeys(REQUESTS, 0) | {"errors": []},
        "approvals": NOBODY,
        "questions": NOBODY,
        "holds": [],
        "hold_count": 0,
        "tasks": [],
        "task_counts": NONE,
        "host_jobs": [],
        "host_job_counts": NONE,
        "groups": {"total": 0, "active_sessions": 0},
        "failures": {
            "set_aside": 0,
            "retrying": 0,
            "rows": [],
            "given_up": 0,
            "runs": [],
            "runs_again": [],
        },
        "sandbox": {"runtime": None, "missing": [], "warning": None},
        "disk": machine.disk(path),
        "database": _database(path, None, stale=False, findings={}),
        "findings": {},
        "configuration": noted.configuration({}, []),
        "versions": machine.versions(),
    }


def unreadable(path: str, error: PynchyError, message: str = "") -> Document:
    """The document where the file can't be read, and why: in the error's words or better ones."""
    problem = {"code": error.name, "message": message or str(error)}
    found = {"level": "wrong", "about": "database", "message": problem["message"]}
    command = "pynchy init" if isinstance(error, DatabaseMissing) else "pynchy db check"
    return empty(path) | {"problem": problem, "troubles": [{**found, "command": command}]}


def _document(
    db: sqlite3.Connection, path: str, stale: bool, lock_folder: str, now: str
) -> Document:
    told = empty(path, lock_folder)
    schema = glance.checked(db, path)
    open_rows = running.processes(db, lock_folder)
    alive = [row for row in open_rows if row["running"]]
    settings = running.as_object(db, alive[-1]["settings"]) if alive else {}
    findings = noted.findings(db, now)
    told |= _running(db, open_rows, alive, settings, now)
    told |= _work(db, told, alive, settings, now)
    told |= {
        "deploy": noted.deploy(findings),
        "holds": noted.holds(db),
        "hold_count": totals.number(db, "SELECT count(*) FROM holds"),
        "disk": machine.disk(path, settings.get("sandbox", {}).get("min_free")),
        "database": _database(path, schema, stale=stale, findings=findings),
        "findings": findings,
        "configuration": noted.configuration(findings, alive),
    }
    told["troubles"] = troubles(told)
    told["service"] = _service(told, alive, now)
    return told


def _running(
    db: sqlite3.Connection,
    rows: list[Document],
    alive: list[Document],
    settings: Document,
    now: str,
) -> Document:
    """The parts of the document about what runs."""
    stages = running.stages(rows, settings)
    running.add_last_words(db, stages)
    if not alive:
        running.add_broken(db, stages)
    running.add_restarts(db, stages, now)
    return {
        "stages": stages,
        "channels": running.channels(db, alive, settings),
        "gateway": {
            "mode": running.gateway_mode(alive, settings),
            "connected": any(row["stage"] == "gateway" for row in alive),
        },
        "sandbox": running.sandbox(alive, settings),
    }


def _work(
    db: sqlite3.Connection, told: Document, alive: list[Document], settings: Document, now: str
) -> Document:
    """The parts of the document about what was done and is to be done."""
    unrouted = queue.unrouted(db)
    networks = [name for name in told["channels"] if name != "local"]
    limit = running.max_concurrent(alive, settings)
    return {
        "backlog": backlog(db, unrouted, networks, now),
        "queue": queue.queue(db, {row["id"] for row in alive}, limit, unrouted),
        "messages": totals.messages(db),
        **asked.asked(db, now),
        "tasks": planned.tasks(db),
        "task_counts": planned.counts(db, "scheduled_tasks"),
        "host_jobs": planned.host_jobs(db),
        "host_job_counts": planned.counts(db, "host_jobs"),
        "groups": totals.groups(db),
        "failures": totals.failures(db),
    }


def _service(told: Document, alive: list[Document], now: str) -> Document:
    """`healthy`, `degraded` (something is wrong) or `down`."""
    if not alive:
        return {"status": "down", "started_at": None, "uptime_seconds": 0}
    since = min(row["started_at"] for row in alive)
    is_wrong = any(one["level"] == "wrong" for one in told["troubles"])
    return {
        "status": "degraded" if is_wrong else "healthy",
        "started_at": since,
        "uptime_seconds": clock.age(since, now) or 0,
    }


def _database(path: str, schema: int | None, *, stale: bool, findings: Document) -> Document:
    return {
        "path": path,
        "schema": schema,
        "size": machine.size(path),
        "wal_size": machine.size(path + "-wal"),
        "stale": stale,
        "integrity": noted.integrity(findings),
    }
