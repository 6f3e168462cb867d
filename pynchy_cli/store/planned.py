"""What `pynchy status` tells of tasks and host jobs: how many there are, those whose last firing
failed, and those that are due next. It loads the standard library alone; of thousands it reads a
few, by the indexes of what fails and of what is due."""

from __future__ import annotations

import sqlite3

from pynchy_cli.store.running import Document

SHOWN = 20
"""Tasks that are listed at most, and as many host jobs."""
TIMED = (
    "one.id, one.name, schedule_type, schedule_value, timezone, one.status,"
    " iif(one.status = 'active', next_run, NULL), last_run, one.failing"
)
NAMES = (
    *("id", "name", "schedule_type", "schedule_value", "timezone", "status"),
    *("next_run", "last_run", "failing"),
)
OPEN = ("active", "paused")
LONGEST = 200
"""Characters of an error."""
_TASKS = f"""
SELECT {TIMED}, one.group_folder, log.status, log.reason, run.state, run.error
FROM scheduled_tasks AS one INDEXED BY scheduled_tasks_{{index}}
LEFT JOIN task_run_logs AS log ON log.id = one.last_log
LEFT JOIN runs AS run ON run.id = log.run_id
"""
_JOBS = f"""
SELECT {TIMED}, log.status, log.reason, log.exit_code
FROM host_jobs AS one INDEXED BY host_jobs_{{index}}
LEFT JOIN host_job_logs AS log ON log.id = one.last_log
"""
_OPEN = "one.status IN ('active', 'paused')"
_TURNS = (
    ("failing", f"failing = 1 AND {_OPEN} ORDER BY one.last_run DESC"),
    ("due", "failing = 0 AND one.status = 'active' AND next_run IS NOT NULL ORDER BY next_run"),
    ("by_status", f"failing = 0 AND {_OPEN} AND one.status = 'active' AND next_run IS NULL"),
    ("by_status", f"failing = 0 AND {_OPEN} AND one.status = 'paused'"),
)
"""What is listed first: the failing, the latest before the others; then what is due next, and then
what else is open. With each the index that it is read off."""


def tasks(db: sqlite3.Connection) -> list[Document]:
    """Tasks that are not over, each with the run of its last firing: first the failing."""
    return [_task(row) for row in _shown(db, _TASKS)]


def host_jobs(db: sqlite3.Connection) -> list[Document]:
    """Host jobs that are not over, each with how its last firing ended: first the failing."""
    return [_job(row) for row in _shown(db, _JOBS)]


def counts(db: sqlite3.Connection, table: str) -> Document:
    """How many of a table's tasks or host jobs are open, and how many of these fail."""
    found = dict(
        db.execute(
            f"SELECT status, count(*) FROM {table} WHERE status IN ('active', 'paused')"
            " GROUP BY status"
        ).fetchall()
    )
    failing = db.execute(
        f"SELECT count(*) FROM {table} INDEXED BY {table}_failing"
        " WHERE failing = 1 AND status IN ('active', 'paused')"
    ).fetchone()
    each = {status: found.get(status, 0) for status in OPEN}
    return {"total": sum(each.values()), **each, "failing": failing[0]}


def _shown(db: sqlite3.Connection, asked: str) -> list[tuple[object, ...]]:
    """The rows to be shown, as far as there is room."""
    rows: list[tuple[object, ...]] = []
    for index, turn in _TURNS:
        if len(rows) < SHOWN:
            query = f"{asked.format(index=index)} WHERE {turn} LIMIT ?"
            rows += db.execute(query, (SHOWN - len(rows),)).fetchall()
    return rows


def _task(row: tuple[object, ...]) -> Document:
    *timed, group, status, reason, state, error = row
    result = _said(status, reason)
    if status == "checking":
        result = "its condition is checked"
    if status == "fired":
        result = _said(state or "fired", error if state in ("failed", "queued") else None)
    return _timed(timed) | {"group": group, "last_result": result}


def _job(row: tuple[object, ...]) -> Document:
    *timed, status, reason, code = row
    if status == "failed" and reason is None and code is not None:
        reason = f"exit code {code}"
    facts = _timed(timed)
    return facts | {"enabled": facts["status"] == "active", "last_result": _said(status, reason)}


def _timed(values: list[object]) -> Document:
    facts: Document = dict(zip(NAMES, values, strict=True))
    return facts | {"failing": bool(facts["failing"])}


def _said(word: object, more: object) -> str | None:
    """A word, and in a line what there is to say of it; None where there is no word."""
    if word is None or more is None:
        return None if word is None else str(word)
    line = " ".join(str(more).split())
    return f"{word}: {line if len(line) <= LONGEST else line[:LONGEST] + '…'}"
