"""Makes the tasks and host jobs that people ask for at the shell, and changes them: what isn't
given stays as it is. Nothing here runs a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from pynchy_cli import recurrence
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import TaskFixed, UsageWrong
from pynchy_cli.model import HostJob, Task, Timed
from pynchy_cli.recurrence import Kind
from pynchy_cli.scheduling import asking, changing
from pynchy_cli.scheduling.changing import STAGE, configured
from pynchy_cli.scheduling.firing import subject
from pynchy_cli.security import senders
from pynchy_cli.store import failures, jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import JOBS, TASKS, Table
from pynchy_cli.timing import schedule_of, timed_by, timing

SHELL = f"{senders.OWNER} (shell)"
"""Who makes them here, as the rows tell it."""
CONDITION_SECONDS = 60.0
JOB_SECONDS = 600.0
One = TypeVar("One", bound=Timed)


@dataclass(frozen=True)
class Wish:
    """What was given of that which both have; None is what wasn't."""

    schedule: tuple[Kind, str] | None
    timezone: str | None
    name: str | None
    catch_up: Literal["once", "skip"] | None
    timeout_seconds: float | None


@dataclass(frozen=True)
class TaskWish(Wish):
    """What was given of a task, its prompt as `asking.prompt` gives it. Of `chat`, `condition` and
    `name` an empty text takes it away."""

    prompt: str | None
    group: str | None
    chat: str | None
    context: Literal["isolated", "group"] | None
    overlap: Literal["skip", "queue"] | None
    condition: str | None


@dataclass(frozen=True)
class JobWish(Wish):
    """What was given of a host job, its command as `asking.command` gives it. Of `cwd` and `name`
    an empty text takes it away."""

    command: str | None
    cwd: str | None


class Maker:
    """Makes and changes them in one transaction, at one moment."""

    def __init__(
        self, db: Connection, settings: Settings, environ: Mapping[str, str], now: str
    ) -> None:
        self.db, self.now = db, now
        self._settings, self._environ = settings, environ

    def add_task(self, wish: TaskWish, *, paused: bool) -> Task:
        """A new task. Raises UsageWrong, GroupUnknown and ScheduleInvalid."""
        if wish.prompt is None:
            raise UsageWrong('A task needs a prompt: --prompt "TEXT", or --prompt - to read it.')
        folder = asking.group(self.db, wish.group)
        task = Task(
            **self._new(TASKS, CONDITION_SECONDS, paused),
            group_folder=folder,
            chat_jid=None,
            prompt=wish.prompt,
            context_mode="isolated",
            overlap="skip",
            condition=None,
        )
        task = self._scheduled(_with_task(self.db, task, replace(wish, group=folder)), wish)
        tasks.add(self.db, task)
        return task

    def add_job(self, wish: JobWish, *, paused: bool) -> HostJob:
        """A new host job. Raises UsageWrong and ScheduleInvalid."""
        if wish.command is None:
            raise UsageWrong('A host job needs a command: --command "CMD", or words after --.')
        new = self._new(JOBS, JOB_SECONDS, paused)
        job = self._scheduled(_with_job(HostJob(**new, command="", cwd=None), wish), wish)
        jobs.add(self.db, job)
        return job

    def edit_task(self, id: str, wish: TaskWish) -> Task:
        """A task with what was given changed. Raises TaskUnknown, TaskFixed, UsageWrong,
        GroupUnknown and ScheduleInvalid."""
        task = changing.task(self.db, id)
        _require_editable(TASKS, task, wish)
        if wish.group is not None and wish.chat is None and task.chat_jid is not None:
            raise UsageWrong(
                f"{id} speaks in {task.chat_jid}, a chat of {task.group_folder}: give --chat as "
                "well, which may be empty."
            )
        tasks.change(self.db, _with_task(self.db, task, wish))
        self._changed(TASKS, task, wish)
        return changing.task(self.db, id)

    def edit_job(self, id: str, wish: JobWish) -> HostJob:
        """A host job with what was given changed. Raises TaskUnknown, TaskFixed, UsageWrong and
        ScheduleInvalid."""
        job = changing.job(self.db, id)
        _require_editable(JOBS, job, wish)
        jobs.change(self.db, _with_job(job, wish))
        self._changed(JOBS, job, wish)
        return changing.job(self.db, id)

    def _new(self, table: Table, timeout: float, paused: bool) -> dict[str, Any]:
        """The fields of `model.Timed` of a new row; its schedule comes later."""
        return {
            **dict.fromkeys(("name", "anchor", "ended_at", "next_run", "last_run")),
            **dict.fromkeys(("schedule_type", "schedule_value", "timezone"), ""),
            "id": timetable.new_id(self.db, table),
            "catch_up": "once",
            "status": "paused" if paused else "active",
            "paused_by": "person" if paused else None,
            "source": "person",
            "created_by": SHELL,
            "created_at": self.now,
            "timeout_seconds": timeout,
        }

    def _scheduled(self, one: One, wish: Wish) -> One:
        kind, value = asking.required(wish.schedule)
        zone = asking.zone(wish.timezone, self._settings, self._environ)
        return timed_by(one, timing(kind, value, zone, self.now))

    def _changed(self, table: Table, one: Timed, wish: Wish) -> None:
        failures.clear(self.db, STAGE, subject(table, one.id))
        self._reschedule(table, one, wish)

    def _reschedule(self, table: Table, one: Timed, wish: Wish) -> None:
        """Give a row the schedule that was given, if one was. A time zone alone moves what is due
        by a cron expression; intervals and single moments are only told in it."""
        if wish.schedule is None and wish.timezone is None:
            return
        zone = one.timezone if wish.timezone is None else wish.timezone
        if wish.schedule is not None or one.schedule_type == "cron":
            kind, value = wish.schedule or (schedule_of(one).type, one.schedule_value)
            one = timed_by(one, timing(kind, value, zone, self.now))
            timetable.reschedule(self.db, table, one, one.next_run, self.now)
        else:
            recurrence.zone(zone)
            timetable.tell_in(self.db, table, one.id, zone)


def _require_editable(table: Table, one: Timed, wish: Wish) -> None:
    """Raises where it can't be changed here, or is to stay as it is."""
    if one.source == "config":
        raise TaskFixed(configured(table, one))
    if one.status == "cancelled":
        raise timetable.ended(table, one)
    if all(value is None for value in vars(wish).values()):
        raise UsageWrong("Nothing is to be changed: say what, such as --every 1h.")


def _with_shared(one: One, wish: Wish, option: str) -> One:
    if wish.name is not None:
        one = replace(one, name=asking.name(wish.name))
    if wish.timeout_seconds is not None:
        one = replace(one, timeout_seconds=asking.seconds(wish.timeout_seconds, option))
    return replace(one, catch_up=wish.catch_up or one.catch_up)


def _with_task(db: Connection, task: Task, wish: TaskWish) -> Task:
    task = _with_shared(task, wish, "--condition-timeout")
    if wish.group is not None:
        task = replace(task, group_folder=asking.group(db, wish.group))
    if wish.chat is not None:
        task = replace(task, chat_jid=asking.chat(db, task.group_folder, wish.chat))
    if wish.prompt is not None:
        task = replace(task, prompt=wish.prompt)
    if wish.condition is not None:
        task = replace(task, condition=asking.condition(wish.condition))
    return replace(
        task,
        context_mode=wish.context or task.context_mode,
        overlap=wish.overlap or task.overlap,
    )


def _with_job(job: HostJob, wish: JobWish) -> HostJob:
    job = _with_shared(job, wish, "--timeout")
    if wish.command is not None:
        job = replace(job, command=wish.command)
    if wish.cwd is not None:
        job = replace(job, cwd=asking.folder(wish.cwd))
    return job
