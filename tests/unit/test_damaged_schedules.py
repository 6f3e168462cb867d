"""Rows that somebody wrote who isn't this program, or wrote long ago: what can't be read is noted
and set aside, and keeps nobody else from being due."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock, timing
from pynchy_cli.pipeline.schedule import Schedule
from pynchy_cli.scheduling import changing, telling
from pynchy_cli.store import failures, jobs, tasks, timetable
from pynchy_cli.store.timetable import TASKS
from tests.clocks import START, Clocks, clocks, job, task

BROKEN = "task-broken"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clocks]:
    with clocks(tmp_path) as one:
        one.add(task(START, "interval", "60", id=BROKEN), task(START, "interval", "1h"))
        yield one


def damage(made: Clocks, column: str, value: str | None, id: str = BROKEN) -> None:
    """Write something into a column, as a person at the sqlite3 shell does."""
    made.store.db.execute(f"UPDATE scheduled_tasks SET {column} = ? WHERE id = ?", (value, id))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("schedule_type", "weekly"),
        ("schedule_value", "-5"),
        ("schedule_value", "0"),
        ("schedule_value", "often"),
        ("anchor", "2026-01-31"),
        ("next_run", "2026-01-31 08:01:00"),
        ("next_run", ""),
    ],
)
def test_what_can_not_be_read_is_set_aside(made: Clocks, column: str, value: str) -> None:
    made.at(START)
    damage(made, column, value)
    made.later(3600)
    assert made.fired() == [(clock.after(START, 3600), "fired")]
    assert made.rows("SELECT subject FROM failures") == [f"task:{BROKEN}"]


@pytest.mark.parametrize(
    "value", ["tomorrow", "2026-01-31", "2026-01-31T08:30:00.000+02:00", "2026-01-31T08:00:30Z"]
)
def test_a_due_time_in_no_form_of_ours_keeps_nobody_waiting(made: Clocks, value: str) -> None:
    made.at(START)
    damage(made, "next_run", value)
    assert made.stage.firings.deadline(clock.after(START, 1)) == pytest.approx(3599)
    made.stage = Schedule(made.stage.work.context)
    made.at(clock.after(START, 1))
    assert made.task(BROKEN).next_run == clock.after(START, 60)


def test_one_that_can_not_be_read_keeps_no_clock_from_being_set_back(made: Clocks) -> None:
    made.later(7200)
    made.end_runs()
    damage(made, "timezone", "Mars/Olympus")
    damage(made, "schedule_type", "cron")
    made.at(START)
    made.at(clock.after(START, 10_800))
    assert made.fired()[-1] == (clock.after(START, 10_800), "fired")


def test_an_active_one_without_a_due_time_gets_one(made: Clocks) -> None:
    damage(made, "next_run", None)
    made.stage = Schedule(made.stage.work.context)
    made.at(clock.after(START, 1))
    assert made.task(BROKEN).next_run == clock.after(START, 60)


def test_firings_whose_task_or_job_is_gone_keep_no_others_waiting(made: Clocks) -> None:
    made.add(
        job(START, "interval", "60", id="job-gone"),
        job(START, "interval", "120"),
        task(START, "interval", "60", id="task-gone", condition="true"),
        task(START, "interval", "120", id="task-left", condition="true"),
    )
    made.later(120)
    db = made.store.db
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("DELETE FROM host_jobs WHERE id = 'job-gone'")
    db.execute("DELETE FROM scheduled_tasks WHERE id = 'task-gone'")
    assert [one.id for _, one in jobs.waiting(db, 1)] == ["job-aaaaaa"]
    assert [one.id for _, one in tasks.checking(db, 1)] == ["task-left"]


def test_what_is_still_open_is_not_forgotten_however_old_it_is(made: Clocks) -> None:
    made.add(job(START, "interval", "1h"))
    made.later(3600)
    for _ in range(timetable.KEPT_FIRINGS + 200):
        made.later(3600)
    assert made.fired("job-aaaaaa")[0] == (clock.after(START, 3600), "waiting")
    assert {status for _, status in made.fired("job-aaaaaa")[1:]} == {"skipped"}


def test_what_was_set_aside_is_made_up_for_once_it_is_brought_back(made: Clocks) -> None:
    damage(made, "schedule_type", "cron")
    for _ in range(3):
        with made.store.atomic() as db:
            failures.note(db, "schedule", f"task:{BROKEN}", "planted", START)
    made.later(600)
    assert tasks.outcomes(made.store.db, BROKEN, 9) == []
    damage(made, "schedule_type", "interval")
    with made.store.atomic() as db:
        failures.retry(db, f"task:{BROKEN}")
    made.later(30)
    assert made.fired(BROKEN) == [(clock.after(START, 600), "fired")]
    assert made.rows("SELECT count(*) FROM failures") == [0]


def test_what_was_set_aside_is_due_again_once_a_person_has_resumed_it(made: Clocks) -> None:
    with made.store.atomic() as db:
        for _ in range(failures.ATTEMPTS):
            failures.note(db, "schedule", f"task:{BROKEN}", "planted", START)
        changing.each(db, TASKS, [BROKEN], changing.pause, START)
        changing.each(db, TASKS, [BROKEN], changing.resume, START)
    made.later(60)
    assert made.fired(BROKEN) == [(clock.after(START, 60), "fired")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timezone", "Mars/Olympus"),
        ("schedule_type", "weekly"),
        ("anchor", "tomorrow"),
        ("next_run", "tomorrow"),
    ],
)
def test_it_is_listed_and_shown_all_the_same(made: Clocks, column: str, value: str) -> None:
    damage(made, column, value)
    found = made.task(BROKEN)
    assert telling.row(found, None)["id"] == BROKEN
    assert isinstance(timing.next_times(found, START), list)


def test_a_time_zone_that_is_gone_keeps_no_interval_from_being_due(made: Clocks) -> None:
    damage(made, "timezone", "Mars/Olympus")
    made.later(60)
    assert made.fired(BROKEN) == [(clock.after(START, 60), "fired")]
