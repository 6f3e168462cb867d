"""What is scheduled, for a group or, for an admin group, of all and of the host: listed, paused,
resumed, cancelled. And `finished_work`, by which the run of a task has nothing to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from agent_runner.protocol import requests
from pynchy_cli import recurrence
from pynchy_cli.errors import RequestRefused, ScheduleInvalid, TaskFixed
from pynchy_cli.ipc.effects import Asked, Effect, Result
from pynchy_cli.model import HostJob, Task, Timed
from pynchy_cli.store import jobs, runs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import JOBS, TASKS, Table
from pynchy_cli.timing import next_times, schedule_of

LISTED = 200
"""Tasks, and host jobs, that are listed at most."""
SHOWN = 500
"""Characters of a prompt or a command that are listed."""


def _list(db: Connection, asked: Asked[requests.ListTasks], now: str, prepared: Any) -> Result:
    if not _is_admin(asked):
        found = tasks.all(db, asked.group.folder, limit=LISTED + 1)
        return {"tasks": [_task(one) for one in found[:LISTED]], "more": len(found) > LISTED}
    found, also = tasks.all(db, limit=LISTED + 1), jobs.all(db, limit=LISTED + 1)
    return {
        "tasks": [{**_task(one), "group": one.group_folder} for one in found[:LISTED]],
        "jobs": [_job(one) for one in also[:LISTED]],
        "more": len(found) > LISTED or len(also) > LISTED,
    }


def _task(one: Task) -> dict[str, Any]:
    return {**_timed(one), "context_mode": one.context_mode, "prompt": _cut(one.prompt)}


def _job(one: HostJob) -> dict[str, Any]:
    limit = {"cwd": one.cwd, "timeout_seconds": one.timeout_seconds}
    return {**_timed(one), **limit, "command": _cut(one.command)}


def _timed(one: Timed) -> dict[str, Any]:
    due = one.next_run if one.status == "active" else None
    return {
        "id": one.id,
        "name": one.name,
        "schedule_type": one.schedule_type,
        "schedule_value": one.schedule_value,
        "timezone": one.timezone,
        "status": one.status,
        **({"paused_by": one.paused_by} if one.status == "paused" else {}),
        "next_run": due,
        "next_local": recurrence.in_words(due, one.timezone) if due is not None else None,
        "last_run": one.last_run,
        "source": one.source,
    }


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + " …"


def _pause(db: Connection, asked: Asked[requests.PauseTask], now: str, prepared: Any) -> Result:
    table, one = _found(db, asked, asked.request.task_id)
    with _refusing():
        timetable.pause(db, table, one, "agent")
    return {"id": one.id, "status": "paused"}


def _resume(db: Connection, asked: Asked[requests.ResumeTask], now: str, prepared: Any) -> Result:
    table, one = _found(db, asked, asked.request.task_id)
    if one.status == "paused":
        _require_may_resume(table, one)
    with _refusing():
        due = recurrence.following(schedule_of(one), one.anchor, now)
        if one.status == "paused" and due is None:
            raise ScheduleInvalid("It would never be due again; cancel it, and make a new one.")
        timetable.resume(db, table, one, due, now)
        if one.status == "paused":
            one = replace(one, status="active", next_run=due)
        return {"id": one.id, "status": one.status, "next": next_times(one, now)}


def _require_may_resume(table: Table, one: Timed) -> None:
    """Raises RequestRefused where somebody paused it whom an agent doesn't overrule."""
    if one.paused_by == "config":
        why = f"The configuration has switched {one.id!r} off; it is switched on there."
        raise RequestRefused("from_config", why)
    if table is JOBS and one.paused_by == "person":
        why = f"A person has paused the host job {one.id!r}, and a person resumes it."
        raise RequestRefused("paused_by_person", why)


def _cancel(db: Connection, asked: Asked[requests.CancelTask], now: str, prepared: Any) -> Result:
    table, one = _found(db, asked, asked.request.task_id)
    if one.source == "config":
        why = f"{one.id!r} is from the configuration, and ends there. It can be paused here."
        raise RequestRefused("from_config", why)
    with _refusing():
        timetable.cancel(db, table, one, now)
    return {"id": one.id, "status": "cancelled"}


def _found(db: Connection, asked: Asked[Any], id: str) -> tuple[Table, Timed]:
    """What has this id, among what the asker may change. Raises RequestRefused."""
    task = tasks.find(db, id)
    if not _is_admin(asked):
        if task is None or task.group_folder != asked.group.folder:
            raise RequestRefused("task_unknown", f"There is no task {id!r} of this group.")
        return TASKS, task
    job = jobs.find(db, id)
    if task is not None and job is not None:
        why = f"There are a task and a host job {id!r}; a person can say which is meant."
        raise RequestRefused("ambiguous", why)
    if job is not None:
        return JOBS, job
    if task is None:
        raise RequestRefused("task_unknown", f"There is no task and no host job {id!r}.")
    return TASKS, task


def _is_admin(asked: Asked[Any]) -> bool:
    """Whether the sandbox that asks is an admin group's own, and none that it has started."""
    return asked.row.role == "admin"


@contextmanager
def _refusing() -> Iterator[None]:
    """Says to the agent what the store says to people."""
    try:
        yield
    except TaskFixed as error:
        raise RequestRefused("task_ended", str(error)) from error
    except ScheduleInvalid as error:
        raise RequestRefused("schedule_invalid", str(error)) from error


def _finished(
    db: Connection, asked: Asked[requests.FinishedWork], now: str, prepared: Any
) -> Result:
    run = asked.row.run_id
    if run is None or not runs.hush(db, run):
        raise RequestRefused("not_a_task", "This is no scheduled task's run.")
    return {}


EFFECTS: dict[str, Effect[Any]] = {
    "list_tasks": Effect(rows=_list, summary=lambda request: "List what is scheduled."),
    "pause_task": Effect(
        rows=_pause, summary=lambda request: f"Pause what is scheduled as {request.task_id}."
    ),
    "resume_task": Effect(
        rows=_resume, summary=lambda request: f"Resume what is scheduled as {request.task_id}."
    ),
    "cancel_task": Effect(
        rows=_cancel, summary=lambda request: f"Cancel what is scheduled as {request.task_id}."
    ),
    "finished_work": Effect(
        rows=_finished, summary=lambda request: "Post nothing of what the run answers."
    ),
}
