"""How tasks and host jobs stand, changed by a person at the shell: paused, resumed, ended, fired by
hand. All of those that are named, in one transaction, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pynchy_cli import recurrence
from pynchy_cli.errors import TaskBusy, TaskFixed, TaskUnknown
from pynchy_cli.model import HostJob, Task, Timed
from pynchy_cli.routing.telling import held_now
from pynchy_cli.scheduling import asking
from pynchy_cli.scheduling.firing import fire_by_hand, subject
from pynchy_cli.store import failures, jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import TASKS, Table
from pynchy_cli.timing import schedule_of

STAGE = "schedule"
"""The stage that fires them."""


@dataclass(frozen=True)
class Changed:
    """One as it stands now, and what happened to it in words. `run` is the run of a task that was
    fired by hand."""

    one: Timed
    words: str
    run: int | None = None


Change = Callable[[Connection, Table, Timed, str], Changed]


def each(
    db: Connection, table: Table, ids: Sequence[str], change: Change, now: str
) -> list[Changed]:
    """Do the same to all that are named. Raises TaskUnknown and what the change raises."""
    found = [get(db, table, id) for id in dict.fromkeys(ids)]
    return [change(db, table, one, now) for one in found]


def get(db: Connection, table: Table, id: str) -> Task | HostJob:
    """The task, or the host job, of this id. Raises TaskUnknown, naming the nearest there is."""
    return task(db, id) if table is TASKS else job(db, id)


def task(db: Connection, id: str) -> Task:
    """The task of this id. Raises TaskUnknown, naming the nearest there is."""
    id = asking.storable(id)
    if tasks.find(db, id) is None and jobs.find(db, id) is not None:
        raise TaskUnknown(f"{id} is a host job, and no task: use `pynchy jobs`.")
    return tasks.get(db, id)


def job(db: Connection, id: str) -> HostJob:
    """The host job of this id. Raises TaskUnknown, naming the nearest there is."""
    id = asking.storable(id)
    if jobs.find(db, id) is None and tasks.find(db, id) is not None:
        raise TaskUnknown(f"{id} is a task, and no host job: use `pynchy tasks`.")
    return jobs.get(db, id)


def pause(db: Connection, table: Table, one: Timed, now: str) -> Changed:
    """Leave it out until somebody resumes it. Raises TaskFixed where it has ended."""
    timetable.pause(db, table, one, "person")
    was = "is paused already" if one.status == "paused" else "is paused"
    return Changed(get(db, table, one.id), f"The {table.noun} {one.id} {was}.")


def resume(db: Connection, table: Table, one: Timed, now: str) -> Changed:
    """Have it due again from now on. Raises TaskFixed where it has ended."""
    due = recurrence.following(schedule_of(one), one.anchor, now)
    timetable.resume(db, table, one, due, now)
    new = get(db, table, one.id)
    name = f"The {table.noun} {one.id}"
    if one.status != "paused":
        return Changed(new, f"{name} is not paused.")
    failures.clear(db, STAGE, subject(table, one.id))
    if new.next_run is None:
        return Changed(new, f"{name} is {new.status}: its time went by while it was paused.")
    words = f"{name} is due next {recurrence.in_words(new.next_run, new.timezone)}."
    if one.paused_by == "config":
        words += " While config.toml has it as not enabled, the next start of schedule pauses it."
    return Changed(new, words)


def cancel(db: Connection, table: Table, one: Timed, now: str) -> Changed:
    """End it for good. Raises TaskFixed where it has ended, or comes from the configuration."""
    if one.source == "config":
        raise TaskFixed(configured(table, one))
    timetable.cancel(db, table, one, now)
    failures.clear(db, STAGE, subject(table, one.id))
    rest = " What it has begun goes on." if _is_busy(db, table, one.id) else ""
    return Changed(get(db, table, one.id), f"The {table.noun} {one.id} is cancelled.{rest}")


def run(db: Connection, table: Table, one: Timed, now: str) -> Changed:
    """Fire it now, whatever is due. Raises TaskFixed where it is cancelled, TaskBusy while its last
    firing is not over."""
    if one.status == "cancelled":
        raise timetable.ended(table, one)
    if fire_by_hand(db, table, one, now) is None:
        raise TaskBusy(f"The last firing of {one.id} is not over yet. Try again when it is.")
    new = get(db, table, one.id)
    if table is not TASKS:
        return Changed(new, f"The host job {one.id} is to be started now.")
    number = tasks.outcomes(db, one.id, 1)[0].run_id
    held = held_now(db, one.group_folder) if isinstance(one, Task) else None
    words = f"The task {one.id} is queued as run {number}."
    return Changed(new, f"{words} That waits: {held}" if held else words, number)


def _is_busy(db: Connection, table: Table, id: str) -> bool:
    return any(tasks.unfinished(db, id)) if table is TASKS else jobs.is_unfinished(db, id)


def configured(table: Table, one: Timed) -> str:
    """What to tell of one that only the configuration can change."""
    section = "tasks" if table is TASKS else "jobs"
    return (
        f"The {table.noun} {one.id} comes from config.toml: change it there, in "
        f"[{section}.{one.id}]."
    )
