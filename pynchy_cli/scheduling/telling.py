"""Tasks and host jobs as documents: what of each is told in a list, what of one that is shown, and
what came of its firings."""

from __future__ import annotations

from typing import Any

from pynchy_cli import clock, recurrence
from pynchy_cli.model import Firing, HostJob, Task
from pynchy_cli.store import jobs, tasks
from pynchy_cli.store.connection import Connection
from pynchy_cli.timing import next_times

SHORT = 200
"""Characters of a prompt or a command, in a list."""


def row(one: Task | HostJob, last_result: str | None) -> dict[str, Any]:
    """One in a list."""
    return {**_head(one, last_result), "summary": _short(text_of(one))}


def document(db: Connection, one: Task | HostJob, now: str) -> dict[str, Any]:
    """All that is known of one, with its next due times: none where this machine doesn't know its
    time zone any more."""
    head = _head(one, _last_result(db, one))
    head |= {"anchor": one.anchor, "paused_by": one.paused_by, "catch_up": one.catch_up}
    head |= {"created_by": one.created_by, "created_at": one.created_at, "ended_at": one.ended_at}
    return {**head, **_own(one), "next": next_times(one, now)}


def log(db: Connection, one: Task | HostJob, limit: int) -> list[dict[str, Any]]:
    """What came of its last firings, the oldest of them first."""
    if isinstance(one, Task):
        found = [_task_firing(each, one) for each in tasks.outcomes(db, one.id, limit)]
    else:
        found = [_job_firing(each, one) for each in jobs.outcomes(db, one.id, limit)]
    return found[::-1]


def text_of(one: Task | HostJob) -> str:
    """What it is about: a prompt or a command."""
    return one.prompt if isinstance(one, Task) else one.command


def local(moment: str | None, timezone: str) -> str | None:
    """A moment as people in a time zone read it, if there is one."""
    return None if moment is None else recurrence.in_words(moment, timezone)


def _head(one: Task | HostJob, last_result: str | None) -> dict[str, Any]:
    due = one.next_run if one.status == "active" else None
    group = {"group": one.group_folder} if isinstance(one, Task) else {}
    return {
        "id": one.id,
        "name": one.name,
        **group,
        "status": one.status,
        "source": one.source,
        "schedule_type": one.schedule_type,
        "schedule_value": one.schedule_value,
        "timezone": one.timezone,
        "next_run": due,
        "next_local": local(due, one.timezone),
        "last_run": one.last_run,
        "last_result": last_result,
    }


def _own(one: Task | HostJob) -> dict[str, Any]:
    if isinstance(one, HostJob):
        return {"timeout_seconds": one.timeout_seconds, "cwd": one.cwd, "command": one.command}
    return {
        "chat": one.chat_jid,
        "context_mode": one.context_mode,
        "overlap": one.overlap,
        "condition": one.condition,
        "condition_timeout": one.timeout_seconds,
        "prompt": one.prompt,
    }


def _last_result(db: Connection, one: Task | HostJob) -> str | None:
    last = log(db, one, 1)
    return str(last[0]["result"]) if last else None


def _task_firing(outcome: tasks.Outcome, task: Task) -> dict[str, Any]:
    return {
        **_firing(outcome.firing, task.timezone),
        "result": outcome.state or outcome.firing.status,
        "run": outcome.run_id,
        **_times(outcome.started_at, outcome.finished_at),
        "error": outcome.error,
        "answer": outcome.result,
    }


def _job_firing(outcome: jobs.Outcome, job: HostJob) -> dict[str, Any]:
    return {
        **_firing(outcome.firing, job.timezone),
        "result": outcome.firing.status,
        "exit_code": outcome.exit_code,
        **_times(outcome.started_at, outcome.finished_at),
        "output": outcome.output,
    }


def _firing(firing: Firing, timezone: str) -> dict[str, Any]:
    return {
        "id": firing.id,
        "due_at": firing.due_at,
        "due_local": local(firing.due_at, timezone),
        "fired_at": firing.run_at,
        "missed_since": firing.missed_since,
        "by_hand": firing.by_hand,
        "status": firing.status,
        "reason": firing.reason,
    }


def _times(started: str | None, finished: str | None) -> dict[str, Any]:
    seconds = None
    if started is not None and finished is not None:
        seconds = round(max(0.0, clock.seconds_between(started, finished)), 3)
    return {"started_at": started, "finished_at": finished, "seconds": seconds}


def _short(text: str) -> str:
    line = " ".join(text[: 4 * SHORT].split())
    return line if len(line) <= SHORT else f"{line[:SHORT]}…"
