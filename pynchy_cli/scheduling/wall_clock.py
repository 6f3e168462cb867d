"""The wall clock as this file's schedules have seen it. Set back, it must not make anybody wait
until it is where it was: what is due next is found anew, and what has fired stays fired."""

from __future__ import annotations

from pynchy_cli import clock, recurrence
from pynchy_cli.context import Context
from pynchy_cli.store import jobs, tasks, timetable
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.timetable import TABLES, TASKS, Table
from pynchy_cli.timing import schedule_of

BACK = 60.0
"""Seconds by which a clock is merely adjusted."""


class WallClock:
    """Remembers the latest time that was seen."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._seen = timetable.clock_seen(context.store.db)

    def mind(self, now: str) -> bool:
        """Look at the clock; whether it was set back, and everything was found anew."""
        if self._seen is None or clock.seconds_between(now, self._seen) <= BACK:
            self._seen = max(self._seen or now, now)
            return False
        seconds = clock.seconds_between(now, self._seen)
        self.context.log.warning("the clock was set back", seconds=round(seconds))
        for table in TABLES:
            for id in timetable.active(self.context.store.db, table):
                with self.context.store.atomic() as db:
                    _find_anew(db, table, id, now)
        with self.context.store.atomic() as db:
            timetable.see_clock(db, now)
        self._seen = now
        return True


def _find_anew(db: Connection, table: Table, id: str, now: str) -> None:
    """Set the next due time to the first one after now that has not fired."""
    one = tasks.find(db, id) if table is TASKS else jobs.find(db, id)
    if one is None or one.next_run is None or one.next_run <= now:
        return
    has_fired = timetable.fired_after(db, table, id, now)
    due = recurrence.following(schedule_of(one), one.anchor, now)
    while due is not None and due in has_fired and due < one.next_run:
        due = recurrence.following(schedule_of(one), one.anchor, due)
    if due is not None and due < one.next_run:
        timetable.advance(db, table, id, due, now)
