"""The wall clock as this file's schedules have seen it. Set back, it must not make anybody wait
until it is where it was: what is due next is found anew, and what has fired stays fired."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pynchy_cli import clock, recurrence
from pynchy_cli.context import Context
from pynchy_cli.scheduling.firing import subject
from pynchy_cli.store import jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import TABLES, TASKS, Table
from pynchy_cli.timing import schedule_of

BACK = 60.0
"""Seconds by which a clock is merely adjusted."""


class WallClock:
    """Sees to it that the due times in the file are those of the present time."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._is_first = True

    def mind(self, now: str) -> bool:
        """Look at the clock; whether it was set back, and everything was found anew. At first what
        has no due time gets one: others than this program write into the file, too."""
        db = self.context.store.db
        if self._is_first:
            for table in TABLES:
                self._find_anew(table, timetable.undated(db, table), now)
            self._is_first = False
        seen = timetable.clock_seen(db)
        if seen is None or (seconds := clock.seconds_between(now, seen)) <= BACK:
            return False
        self.context.log.warning("the clock was set back", seconds=round(seconds))
        for table in TABLES:
            self._find_anew(table, timetable.active(db, table), now)
        with self.context.store.atomic() as db:
            timetable.set_clock(db, now)
        return True

    def _find_anew(self, table: Table, ids: Sequence[str], now: str) -> None:
        for id in ids:
            self.context.attempt(subject(table, id), partial(self._of_one, table, id, now))
            self.context.notifier.alive()

    def _of_one(self, table: Table, id: str, now: str) -> None:
        with self.context.store.atomic() as db:
            _find_anew(db, table, id, now)


def _find_anew(db: Connection, table: Table, id: str, now: str) -> None:
    """Set the next due time to the first one after now that has not fired, unless there is one
    that is sooner."""
    one = tasks.find(db, id) if table is TASKS else jobs.find(db, id)
    if one is None or one.status != "active":
        return
    until = timetable.moment(one.next_run)
    if until is not None and until <= now:
        return
    has_fired = timetable.fired_after(db, table, id, now)
    due = recurrence.following(schedule_of(one), one.anchor, now)
    while due is not None and due in has_fired and (until is None or due < until):
        due = recurrence.following(schedule_of(one), one.anchor, due)
    if until is None or (due is not None and due < until):
        timetable.see_clock(db, now)
        timetable.advance(db, table, id, due, now)
