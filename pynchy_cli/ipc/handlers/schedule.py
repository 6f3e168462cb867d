"""`schedule_task`: a prompt for a group's agent, or a command for the host, for later. The answer
says when, and is written with the rows: what an agent is told is scheduled is."""

from __future__ import annotations

import os
from typing import Any

from agent_runner.protocol.requests import ScheduleTask
from pynchy_cli import clock
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import GroupUnknown, RequestRefused, ScheduleInvalid
from pynchy_cli.ipc.effects import Asked, Effect, Result
from pynchy_cli.model import HostJob, Task
from pynchy_cli.store import groups, jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.timing import Timing, default_zone, next_times, timing

MOST = 100
"""Tasks that are not over which agents may have made for one group."""
CONDITION = 60.0
"""Seconds that a task's condition would have; agents give none."""


def _check(asked: Asked[ScheduleTask]) -> None:
    """Raises RequestRefused for what can't be scheduled."""
    _require_possible(asked.context.store.db, asked)
    due(asked.request, asked.context.settings, clock.now())


def _schedule(db: Connection, asked: Asked[ScheduleTask], now: str, prepared: Any) -> Result:
    _require_possible(db, asked)
    found = due(asked.request, asked.context.settings, now)
    made: Task | HostJob
    if asked.request.task_type == "host":
        made = _job(db, asked, found, now)
        jobs.add(db, made)
    else:
        made = _task(db, asked, found, now)
        tasks.add(db, made)
    return {"id": made.id, "next": next_times(made, now), "timezone": made.timezone}


def require_whole(request: ScheduleTask) -> None:
    """Raises RequestRefused for what can't be scheduled, whoever asks; when it is due is checked
    apart."""
    what = request.command if request.task_type == "host" else request.prompt
    if not (what or "").strip():
        raise RequestRefused("invalid", "What is to be done is missing.")
    if request.task_type == "host":
        if request.target_group is not None:
            raise RequestRefused("invalid", "A command of the host has no target_group.")
        if request.cwd is not None and not request.cwd.startswith("/"):
            raise RequestRefused("invalid", "cwd is a folder of the host from its root on: /…")


def due(request: ScheduleTask, settings: Settings, now: str) -> Timing:
    """When it is due. Raises RequestRefused where that can't be."""
    try:
        zone = request.timezone or default_zone(settings, os.environ)
        return timing(request.schedule_type, request.schedule_value, zone, now)
    except ScheduleInvalid as error:
        raise RequestRefused("schedule_invalid", str(error)) from error


def _require_possible(db: Connection, asked: Asked[ScheduleTask]) -> None:
    require_whole(asked.request)
    if asked.request.task_type == "host":
        return
    folder = _group(asked)
    try:
        groups.get(db, folder)
    except GroupUnknown as error:
        raise RequestRefused("group_unknown", str(error)) from error
    if tasks.count_of(db, folder, "agent") >= MOST:
        why = f"There are {MOST} tasks already that agents have made; cancel some first."
        raise RequestRefused("too_many", why)


def _group(asked: Asked[ScheduleTask]) -> str:
    return asked.request.target_group or asked.group.folder


def _task(db: Connection, asked: Asked[ScheduleTask], found: Timing, now: str) -> Task:
    request, folder = asked.request, _group(asked)
    assert request.prompt is not None, "what was checked"
    return Task(
        id=timetable.new_id(db, timetable.TASKS),
        **_timed(asked, found, now),
        timeout_seconds=CONDITION,
        group_folder=folder,
        # Another group's task is answered in that group's own chat.
        chat_jid=asked.row.chat_jid if folder == asked.group.folder else None,
        prompt=request.prompt,
        context_mode=request.context_mode,
        overlap="skip",
        condition=None,
    )


def _job(db: Connection, asked: Asked[ScheduleTask], found: Timing, now: str) -> HostJob:
    request = asked.request
    assert request.command is not None, "what was checked"
    return HostJob(
        id=timetable.new_id(db, timetable.JOBS),
        **_timed(asked, found, now),
        timeout_seconds=float(request.timeout_seconds),
        command=request.command,
        cwd=request.cwd,
    )


def _timed(asked: Asked[ScheduleTask], found: Timing, now: str) -> dict[str, Any]:
    """What is alike in both, but the id and the limit."""
    return {
        "name": asked.request.name,
        "schedule_type": found.schedule.type,
        "schedule_value": found.schedule.value,
        "timezone": found.schedule.timezone,
        "anchor": found.anchor,
        "catch_up": "once",
        "status": "active",
        "paused_by": None,
        "source": "agent",
        "created_by": _maker(asked),
        "created_at": now,
        "ended_at": None,
        "next_run": found.next_run,
        "last_run": None,
    }


def _maker(asked: Asked[ScheduleTask]) -> str:
    return f"agent of {asked.group.folder}"


def _summary(request: ScheduleTask) -> str:
    """What is to be done stands last, so that no line of it passes for one of ours."""
    named = [f"name: {request.name}"] if request.name is not None else []
    if request.task_type == "host":
        return "\n".join(
            [
                "Have this machine run a shell command, with all that pynchy may do:",
                f"when: {_when(request)}",
                f"folder: {request.cwd or 'the home of pynchy'}",
                f"time limit: {request.timeout_seconds} s",
                *named,
                f"command: {request.command}",
            ]
        )
    own = request.context_mode == "isolated"
    return "\n".join(
        [
            "Have an agent do something later:",
            f"when: {_when(request)}",
            f"group: {request.target_group or 'the asking one'}",
            f"conversation: {'one of its own' if own else 'the one of the group'}",
            *named,
            f"prompt: {request.prompt}",
        ]
    )


def _when(request: ScheduleTask) -> str:
    value, zone = request.schedule_value, request.timezone or "the host's"
    unit = " s" if value.strip().isdigit() else ""
    words = {
        "cron": f"again and again, by the cron expression {value}",
        "interval": f"again and again, every {value}{unit}",
        "once": f"once, at {value}",
    }
    return f"{words[request.schedule_type]}; time zone: {zone}"


EFFECTS: dict[str, Effect[Any]] = {
    "schedule_task": Effect(check=_check, rows=_schedule, summary=_summary),
}
