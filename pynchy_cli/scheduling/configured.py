"""Brings the file in line with the tasks and host jobs of the configuration: those that are new,
have changed, have left, or are back. What people and agents made is never touched, and where
nothing differs nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

from pynchy_cli import recurrence
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.model import HostJob, Source, Task, Timed
from pynchy_cli.scheduling import wanted
from pynchy_cli.scheduling.firing import subject
from pynchy_cli.store import failures, groups, jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import JOBS, TASKS, Table
from pynchy_cli.timing import schedule_of

SOURCE: Source = "config"
LISTED = 5
"""Waiting tasks that are named at most in a line."""
STANDING = (
    *("schedule_type", "schedule_value", "timezone", "anchor", "status", "paused_by", "source"),
    *("created_at", "ended_at", "next_run", "last_run"),
)
"""What a row knows better than the configuration, or is compared apart."""


@dataclass(frozen=True)
class Change:
    """One difference between the configuration and the file, and what takes it away."""

    what: str
    of: Timed
    make: Callable[[Connection], None]


class Configured:
    """Keeps the file in line with the settings of one process, which never change."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._seen: tuple[int, ...] | None = None
        self._waiting: dict[str, str] = {}

    def drain(self, now: str) -> int:
        """Write what differs; how much it was. After the first time it only looks whether groups
        have come or gone since."""
        settings, store = self.context.settings, self.context.store
        if self._seen is not None and (not settings.tasks or groups.seen(store.db) == self._seen):
            return 0
        seen = groups.seen(store.db)
        found, waiting = differences(store.db, settings, now)
        if found:
            with store.atomic() as db:
                seen = groups.seen(db)
                found, waiting = differences(db, settings, now)
                for change in found:
                    change.make(db)
                    failures.clear(db, self.context.name, subject(_table(change.of), change.of.id))
        self._seen = seen
        self._tell(found, waiting)
        return len(found)

    def _tell(self, changes: Sequence[Change], waiting: dict[str, str]) -> None:
        for change in changes:
            told = {_table(change.of).noun: change.of.id}
            self.context.log.info("configured", **told, what=change.what)
        if waiting == self._waiting:
            return
        for name, awaited in waiting.items():
            if self._waiting.get(name) != awaited:
                self.context.log.warning("a configured task waits", task=name, awaited=awaited)
        self._waiting = waiting
        named = [f"{name} (for {awaited})" for name, awaited in waiting.items()]
        more = [f"and {len(named) - LISTED} more"] if len(named) > LISTED else []
        listed = ", ".join([*named[:LISTED], *more])
        self.context.report(f"Tasks of config.toml wait: {listed}." if named else "")


def differences(
    db: Connection, settings: Settings, now: str
) -> tuple[list[Change], dict[str, str]]:
    """What the configuration has and the file has not, or otherwise, or too much; and the tasks
    that can't be had yet, each with what it waits for."""
    found, waiting = wanted.tasks(db, settings, now)
    changes = [*_of_table(db, TASKS, found, tasks.of_source(db, SOURCE), now)]
    named = list(wanted.jobs(settings, now))
    changes += _of_table(db, JOBS, named, jobs.of_source(db, SOURCE), now)
    return changes, waiting


def _table(one: Timed) -> Table:
    return TASKS if isinstance(one, Task) else JOBS


def _of_table(
    db: Connection, table: Table, named: Sequence[Timed], rows: Sequence[Timed], now: str
) -> Iterator[Change]:
    known = {row.id: row for row in rows}
    for one in named:
        row = known.pop(one.id, None)
        if row is not None:
            yield from _of_row(table, one, row, now)
        elif not timetable.has(db, table, one.id):
            yield Change("added", one, partial(_add, table=table, one=one, now=now))
    for row in known.values():
        if row.ended_at is None:
            yield Change("left", row, partial(timetable.cancel, table=table, one=row, now=now))


def _of_row(table: Table, one: Timed, row: Timed, now: str) -> Iterator[Change]:
    """What makes a row as it is wanted. One that has ended comes back with another schedule, or if
    it had left the configuration."""
    if _content(row) != _content(one):
        yield Change("changed", one, partial(_change, one=one))
    if row.status == "cancelled" or not _is_same_clock(one, row):
        yield Change("scheduled", one, partial(_schedule, table=table, one=one, row=row, now=now))
        return
    if row.ended_at is not None:
        return
    if row.timezone != one.timezone:
        moved = replace(row, timezone=one.timezone)
        move = partial(timetable.reschedule, table=table, one=moved, now=now)
        yield Change("moved", one, partial(move, next_run=row.next_run))
    if one.status == "paused" and row.status == "active":
        yield Change("disabled", one, partial(timetable.pause, table=table, one=row, by=SOURCE))
    if one.status == "active" and row.paused_by == SOURCE:
        due = recurrence.following(schedule_of(row), row.anchor, now)
        resume = partial(timetable.resume, table=table, one=row, next_run=due, now=now)
        yield Change("enabled", one, resume)


def _add(db: Connection, table: Table, one: Timed, now: str) -> None:
    """A new row. A single time that is past is not made up for: nobody knows whether it was."""
    made = _due(one, None, now)
    if made.next_run is None:
        made = replace(made, status="completed", paused_by=None, ended_at=now)
    if isinstance(made, Task):
        tasks.add(db, made)
    if isinstance(made, HostJob):
        jobs.add(db, made)


def _change(db: Connection, one: Timed) -> None:
    if isinstance(one, Task):
        tasks.change(db, one)
    if isinstance(one, HostJob):
        jobs.change(db, one)


def _schedule(db: Connection, table: Table, one: Timed, row: Timed, now: str) -> None:
    """Give a row the schedule that is wanted, from now on. Whoever else paused it did so for as
    long as they don't resume it."""
    made = _due(one, row.anchor if _is_same_clock(one, row) else None, now)
    timetable.reschedule(db, table, made, made.next_run, now)
    if made.next_run is None:
        timetable.advance(db, table, one.id, None, now)
        return
    by = one.paused_by if row.paused_by in (None, SOURCE) else row.paused_by
    if by is not None:
        timetable.pause(db, table, made, by)
    elif row.status == "paused":
        timetable.resume(db, table, row, made.next_run, now)


def _due(one: Timed, anchor: str | None, now: str) -> Timed:
    """The same, due next after now; an interval begins now where it has no anchor."""
    due = recurrence.following(schedule_of(one), anchor, now)
    is_interval = one.schedule_type == "interval"
    return replace(one, next_run=due, anchor=(anchor or due) if is_interval else None)


def _is_same_clock(one: Timed, row: Timed) -> bool:
    """Whether both are due at the same times: only for local times the time zone matters."""
    same = (one.schedule_type, one.schedule_value) == (row.schedule_type, row.schedule_value)
    return same and (one.schedule_type != "cron" or one.timezone == row.timezone)


def _content(one: Timed) -> list[object]:
    """What `change` writes."""
    return [getattr(one, field.name) for field in fields(one) if field.name not in STANDING]
