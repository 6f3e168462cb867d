"""What `pynchy status` tells of tasks and host jobs: when each is due, and what its last firing has
come to. It loads the standard library alone."""

from __future__ import annotations

import sqlite3

from pynchy_cli.store.running import Document

TIMED = (
    "one.id, one.name, schedule_type, schedule_value, timezone, one.status,"
    " iif(one.status = 'active', next_run, NULL), last_run"
)
NAMES = (
    *("id", "name", "schedule_type", "schedule_value", "timezone", "status"),
    *("next_run", "last_run"),
)
OPEN = "one.status IN ('active', 'paused') ORDER BY +one.id"
"""By the index of those that are open, where there is one: of the others not a page is read."""
LONGEST = 200
"""Characters of an error."""
FAILING = ("failed", "timeout", "unknown")
"""How the result of what needs a person begins."""


def tasks(db: sqlite3.Connection) -> list[Document]:
    """The tasks that are not over, each with the run of its last firing."""
    rows = db.execute(
        f"SELECT {TIMED}, one.group_folder, log.status, log.reason, run.state, run.error"
        " FROM scheduled_tasks AS one LEFT JOIN task_run_logs AS log ON log.id = one.last_log"
        f" LEFT JOIN runs AS run ON run.id = log.run_id WHERE {OPEN}"
    )
    return [_task(row) for row in rows]


def host_jobs(db: sqlite3.Connection) -> list[Document]:
    """The host jobs that are not over, each with how its last firing ended."""
    rows = db.execute(
        f"SELECT {TIMED}, log.status, log.reason, log.exit_code"
        " FROM host_jobs AS one LEFT JOIN host_job_logs AS log ON log.id = one.last_log"
        f" WHERE {OPEN}"
    )
    return [_job(row) for row in rows]


def is_failing(one: Document) -> bool:
    """Whether the last firing came to something that a person should see."""
    return bool(one["last_result"]) and one["last_result"].startswith(FAILING)


def _task(row: tuple[object, ...]) -> Document:
    *timed, group, status, reason, state, error = row
    result = _said(status, reason)
    if status == "checking":
        result = "its condition is checked"
    if status == "fired":
        result = _said(state or "fired", error if state in ("failed", "queued") else None)
    return dict(zip(NAMES, timed, strict=True)) | {"group": group, "last_result": result}


def _job(row: tuple[object, ...]) -> Document:
    *timed, status, reason, code = row
    if status == "failed" and reason is None and code is not None:
        reason = f"exit code {code}"
    facts = dict(zip(NAMES, timed, strict=True))
    return facts | {"enabled": facts["status"] == "active", "last_result": _said(status, reason)}


def _said(word: object, more: object) -> str | None:
    """A word, and in a line what there is to say of it; None where there is no word."""
    if word is None or more is None:
        return None if word is None else str(word)
    line = " ".join(str(more).split())
    return f"{word}: {line if len(line) <= LONGEST else line[:LONGEST] + '…'}"
