"""The stage that fires what is due, over a real database, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pynchy_cli import clock, recurrence
from pynchy_cli.model import HostJob, Task
from pynchy_cli.pipeline.schedule import Schedule
from pynchy_cli.store import jobs, tasks
from pynchy_cli.store.connection import Connection, Store
from tests.asking import asking

START = "2026-01-31T08:00:00.000Z"


def task(now: str, type: str, value: str, timezone: str = "UTC", **more: Any) -> Task:
    """A task of the group `team`, due first after now. `next_run` may say otherwise."""
    schedule = recurrence.read(type, value, timezone, now)
    first = recurrence.first(schedule, now)
    made = Task(
        id="task-aaaaaa",
        name=None,
        schedule_type=schedule.type,
        schedule_value=schedule.value,
        timezone=timezone,
        anchor=first if type == "interval" else None,
        catch_up="once",
        status="active",
        paused_by=None,
        source="person",
        created_by="owner (shell)",
        created_at=now,
        ended_at=None,
        next_run=first,
        last_run=None,
        timeout_seconds=60.0,
        group_folder="team",
        chat_jid=None,
        prompt="Look at the weather.",
        context_mode="isolated",
        overlap="skip",
        condition=None,
    )
    return replace(made, **more)


def job(now: str, type: str, value: str, timezone: str = "UTC", **more: Any) -> HostJob:
    """A host job, due first after now."""
    like = task(now, type, value, timezone)
    names = {one for one in HostJob.__dataclass_fields__ if one not in ("command", "cwd")}
    facts = {name: getattr(like, name) for name in names}
    return HostJob(**{**facts, "id": "job-aaaaaa", "command": "true", "cwd": None, **more})


@dataclass
class Clocks:
    """A group `team`, the stage, and the time."""

    store: Store
    stage: Schedule
    now: str = START

    def add(self, *made: Task | HostJob) -> None:
        """Have these tasks and host jobs."""
        with self.store.atomic() as db:
            for one in made:
                _add(db, one)

    def at(self, now: str) -> int:
        """What the stage does when the clock shows this time, until there is nothing more."""
        self.now, done = now, 0
        self.stage.clock.mind(now)
        for _ in range(10_000):
            if not (more := self.stage.firings.drain(now)):
                return done
            done += more
        raise AssertionError("it never ends")

    def later(self, seconds: float) -> int:
        """The same, so much later."""
        return self.at(clock.after(self.now, seconds))

    def fired(self, id: str = "task-aaaaaa") -> list[tuple[str, str]]:
        """Due time and status of each firing, the oldest first."""
        store = tasks if id.startswith("task") else jobs
        found = [one.firing for one in store.outcomes(self.store.db, id, 1_000_000)]
        return [(one.due_at, one.status) for one in reversed(found)]

    def task(self, id: str = "task-aaaaaa") -> Task:
        """The task as it is now."""
        return tasks.get(self.store.db, id)

    def rows(self, query: str, *values: object) -> list[Any]:
        """What the database says; a column's values where only one is asked for."""
        found = [tuple(row) for row in self.store.db.execute(query, values)]
        return [row[0] if len(row) == 1 else row for row in found]

    def end_runs(self) -> None:
        """Have all runs be over."""
        with self.store.atomic() as db:
            db.execute("UPDATE runs SET state = 'done', finished_at = ?", (self.now,))


def _add(db: Connection, one: Task | HostJob) -> None:
    if isinstance(one, Task):
        tasks.add(db, one)
    else:
        jobs.add(db, one)


@contextmanager
def clocks(root: Path) -> Iterator[Clocks]:
    """A new home below `root`."""
    with asking(root, stage="schedule") as made:
        made.group("team")
        yield Clocks(made.store, Schedule(made.context))
