"""Fires what is due. One firing, the next due time and the run that the firing queues are written
in one transaction, and a unique index knows what has fired: a kill at any moment leaves all of it
or nothing, and no clock makes it happen twice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pynchy_cli import clock, recurrence
from pynchy_cli.model import Firing, HostJob, Task, Timed
from pynchy_cli.scheduling.prompt import LATE, prompt
from pynchy_cli.store import jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import TABLES, TASKS, Table
from pynchy_cli.timing import schedule_of

if TYPE_CHECKING:  # it brings asyncio along, which people's commands don't need
    from pynchy_cli.context import Context

SLICE = 100
"""Firings at most before others are seen to."""
BUSY = "the one before was not over yet"
MISSED = "nothing ran at that time"
FIRED = "it has fired before"


class Firings:
    """Fires for one process, which must be the only one."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def drain(self, now: str) -> int:
        """Fire what is due by now; how much it was, or more than none where there is more."""
        found, done = self.context.blocked(), 0
        for table in TABLES:
            blocked = _ids(table, found)
            for id in timetable.due(self.context.store.db, table, now, SLICE, blocked):
                step = partial(self._fire, table, id, now)
                done += bool(self.context.attempt(subject(table, id), step))
        return done

    def deadline(self, now: str) -> float | None:
        """Seconds until something is due; None where nothing ever is."""
        db, found = self.context.store.db, self.context.blocked()
        times = [timetable.next_due(db, table, _ids(table, found)) for table in TABLES]
        due = min((one for one in times if one is not None), default=None)
        return None if due is None else max(0.0, clock.seconds_between(now, due))

    def _fire(self, table: Table, id: str, now: str) -> bool:
        """Fire one, if it is still due; whether it was."""
        with self.context.store.atomic() as db:
            one = tasks.find(db, id) if table is TASKS else jobs.find(db, id)
            if one is None or one.status != "active" or one.next_run is None or one.next_run > now:
                return False
            schedule = schedule_of(one)
            slot = recurrence.latest(schedule, one.anchor, one.next_run, now)
            status, reason = _note(db, table, one, slot, now)
            following = recurrence.following(schedule, one.anchor, now)
            timetable.see_clock(db, now)
            timetable.advance(db, table, one.id, following, now)
        told = {table.noun: one.id, "due": slot, "status": status}
        self.context.log.info("due", **told, **({"reason": reason} if reason else {}))
        return True


def subject(table: Table, id: str) -> str:
    """What a task or job is called among the failures, such as `task:task-k2m4p6`."""
    return f"{'task' if table is TASKS else 'job'}:{id}"


def fire_by_hand(db: Connection, table: Table, one: Timed, now: str) -> int | None:
    """A firing that somebody wants now; its number, or None where the one before isn't over. What
    is due, and when, stays as it is; no condition is asked for."""
    if isinstance(one, HostJob):
        if jobs.is_unfinished(db, one.id):
            return None
        return timetable.fired(
            db, table, one.id, due_at=now, status="waiting", now=now, by_hand=True
        )
    assert isinstance(one, Task)
    if any(tasks.unfinished(db, one.id)):
        return None
    number = timetable.fired(db, table, one.id, due_at=now, status="fired", now=now, by_hand=True)
    if number is not None:
        firing = Firing(number, one.id, now, now, None, True, "fired", None)
        tasks.start(db, one, number, prompt(one, firing), now)
    return number


def _note(db: Connection, table: Table, one: Timed, slot: str, now: str) -> tuple[str, str | None]:
    """Write the firing of a due time, with what comes of it: that, and why if it is nothing."""
    status, reason = _status(db, one, slot, now)
    since = one.next_run if one.next_run != slot else None
    number = timetable.fired(
        db,
        table,
        one.id,
        due_at=slot,
        status=status,
        now=now,
        missed_since=since,
        reason=reason,
    )
    if number is None:
        return "left", FIRED
    if isinstance(one, Task) and status == "fired":
        firing = Firing(number, one.id, slot, now, since, False, status, None)
        tasks.start(db, one, number, prompt(one, firing), now)
    return status, reason


def _status(db: Connection, one: Timed, slot: str, now: str) -> tuple[str, str | None]:
    """What comes of a due time, and why where it comes to nothing."""
    if one.catch_up == "skip" and clock.seconds_between(slot, now) > LATE:
        return "missed", MISSED
    if isinstance(one, HostJob):
        return ("skipped", BUSY) if jobs.is_unfinished(db, one.id) else ("waiting", None)
    assert isinstance(one, Task)
    queued, running = tasks.unfinished(db, one.id)
    if queued or (running and one.overlap == "skip"):
        return "skipped", BUSY
    return ("checking" if one.condition is not None else "fired"), None


def _ids(table: Table, subjects: set[str]) -> set[str]:
    """Those of the subjects that are of a table, by their ids."""
    prefix = subject(table, "")
    return {one.removeprefix(prefix) for one in subjects if one.startswith(prefix)}
