"""Host jobs, and their firings: each a process that is started once. What was begun by a process
that died since is unknown, and not begun again."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from pynchy_cli.errors import TaskUnknown
from pynchy_cli.model import Firing, HostJob
from pynchy_cli.store import timetable
from pynchy_cli.store.connection import Connection, Row
from pynchy_cli.store.timetable import TIMED

COLUMNS = f"{TIMED}, command, cwd"
_OPEN = "status IN ('active', 'paused')"
_UNFINISHED = "status IN ('waiting', 'running')"
_LOG = "id, job_id, due_at, run_at, missed_since, by_hand, status, reason"


@dataclass(frozen=True)
class Outcome:
    """A firing as a process: when it ran, its exit code, and the end of what it printed."""

    firing: Firing
    owner: int | None
    pid: int | None
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    output: str | None


def add(db: Connection, job: HostJob) -> None:
    """A new host job, all of it as given; its id must be new."""
    timetable.see_clock(db, job.created_at)
    db.execute(
        f"INSERT INTO host_jobs({COLUMNS}) VALUES"
        " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(job.id, job.name, job.schedule_type, job.schedule_value, job.timezone, job.anchor),
            *(job.catch_up, job.status, job.paused_by, job.source, job.created_by),
            *(job.created_at, job.ended_at, job.next_run, job.last_run, job.timeout_seconds),
            *(job.command, job.cwd),
        ),
    )


def change(db: Connection, job: HostJob) -> None:
    """Write what a job does and how it is called; neither its schedule nor how it stands."""
    db.execute(
        "UPDATE host_jobs SET name = ?, catch_up = ?, timeout_seconds = ?, command = ?, cwd = ?,"
        " created_by = ? WHERE id = ?",
        (
            *(job.name, job.catch_up, job.timeout_seconds, job.command, job.cwd),
            *(job.created_by, job.id),
        ),
    )


def get(db: Connection, id: str) -> HostJob:
    """The host job of this id. Raises TaskUnknown, naming the nearest there is."""
    found = find(db, id)
    if found is None:
        known = [row[0] for row in db.execute(f"SELECT id FROM host_jobs WHERE {_OPEN}")]
        near = get_close_matches(id, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "`pynchy jobs list` shows them."
        raise TaskUnknown(f"There is no host job {id!r}. {hint}")
    return found


def find(db: Connection, id: str) -> HostJob | None:
    """The host job of this id, if there is one."""
    row = db.execute(f"SELECT {COLUMNS} FROM host_jobs WHERE id = ?", (id,)).fetchone()
    return _job(row) if row else None


def all(db: Connection, *, ended: bool = False, limit: int | None = None) -> list[HostJob]:
    """The host jobs that are not over, or with `ended` all of them; the next due one first, and at
    most `limit`."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM host_jobs WHERE ? OR {_OPEN}"
        " ORDER BY status, next_run IS NULL, next_run, id LIMIT coalesce(?, -1)",
        (ended, limit),
    ).fetchall()
    return [_job(row) for row in rows]


def of_source(db: Connection, source: str) -> list[HostJob]:
    """All host jobs that somebody of this kind has made."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM host_jobs WHERE source = ? ORDER BY id", (source,)
    ).fetchall()
    return [_job(row) for row in rows]


def is_unfinished(db: Connection, id: str) -> bool:
    """Whether a firing of a job waits to be started, or is at work."""
    row = db.execute(
        f"SELECT 1 FROM host_job_logs WHERE {_UNFINISHED} AND job_id = ?", (id,)
    ).fetchone()
    return row is not None


def waiting(db: Connection, limit: int) -> list[tuple[Firing, HostJob]]:
    """The firings to be started, the oldest first."""
    rows = db.execute(
        f"SELECT {_LOG} FROM host_job_logs AS log WHERE {_UNFINISHED} AND status = 'waiting'"
        " AND EXISTS (SELECT 1 FROM host_jobs WHERE id = log.job_id)"
        " ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()
    return [(timetable.as_firing(row), get(db, row[1])) for row in rows]


def begun(db: Connection) -> list[Outcome]:
    """The firings that somebody has begun, and nobody has ended."""
    rows = db.execute(
        f"SELECT {_LOG}, owner, pid, started_at, finished_at, exit_code, output"
        f" FROM host_job_logs WHERE {_UNFINISHED} AND status = 'running' ORDER BY id"
    ).fetchall()
    return [Outcome(timetable.as_firing(row), *tuple(row)[8:]) for row in rows]


def begin(db: Connection, firing: int, owner: int, now: str) -> bool:
    """Take a firing to start it; False where it is taken, or gone."""
    row = db.execute(
        "UPDATE host_job_logs SET status = 'running', owner = ?, started_at = ?"
        " WHERE id = ? AND status = 'waiting' RETURNING id",
        (owner, now, firing),
    ).fetchone()
    return row is not None


def started(db: Connection, firing: int, pid: int) -> None:
    """Note the process that a firing has become."""
    db.execute("UPDATE host_job_logs SET pid = ? WHERE id = ?", (pid, firing))


def end(
    db: Connection,
    firing: int,
    status: str,
    now: str,
    *,
    exit_code: int | None = None,
    output: str | None = None,
    reason: str | None = None,
) -> None:
    """Note how a firing ended; only once."""
    row = db.execute(
        "UPDATE host_job_logs SET status = ?, finished_at = ?, exit_code = ?, output = ?,"
        f" reason = ?, owner = NULL WHERE id = ? AND {_UNFINISHED} RETURNING job_id",
        (status, now, exit_code, output, reason, firing),
    ).fetchone()
    if row is not None and status in timetable.FAILED:
        db.execute(
            "UPDATE host_jobs SET failing = 1 WHERE id = ? AND last_log = ?", (row[0], firing)
        )


def outcome(db: Connection, firing: int) -> Outcome | None:
    """A firing with what became of it; None where it is gone, with its job."""
    row = db.execute(
        f"SELECT {_LOG}, owner, pid, started_at, finished_at, exit_code, output"
        " FROM host_job_logs WHERE id = ?",
        (firing,),
    ).fetchone()
    return Outcome(timetable.as_firing(row), *tuple(row)[8:]) if row else None


def status_before(db: Connection, id: str, firing: int) -> str | None:
    """How the last firing of a job ended that was begun before this one; None where none was."""
    row = db.execute(
        "SELECT status FROM host_job_logs WHERE job_id = ? AND id < ?"
        " AND status IN ('done', 'failed', 'timeout', 'stopped', 'unknown')"
        " ORDER BY id DESC LIMIT 1",
        (id, firing),
    ).fetchone()
    return str(row[0]) if row else None


def outcomes(db: Connection, id: str, limit: int) -> list[Outcome]:
    """The last firings of a job with what became of them, the newest first."""
    rows = db.execute(
        f"SELECT {_LOG}, owner, pid, started_at, finished_at, exit_code, output"
        " FROM host_job_logs WHERE job_id = ? ORDER BY id DESC LIMIT ?",
        (id, limit),
    ).fetchall()
    return [Outcome(timetable.as_firing(row), *tuple(row)[8:]) for row in rows]


def last_results(db: Connection) -> dict[str, str]:
    """What came of the last firing of each job that has fired."""
    rows = db.execute(
        "SELECT job.id, log.status FROM host_jobs AS job"
        " JOIN host_job_logs AS log ON log.id = job.last_log"
    )
    return {row[0]: row[1] for row in rows}


def _job(row: Row) -> HostJob:
    return HostJob(*tuple(row))
