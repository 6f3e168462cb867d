"""What people ask for as tasks and host jobs, at a moment that the test names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import ScheduleInvalid, UsageWrong
from pynchy_cli.scheduling import changing
from pynchy_cli.scheduling.making import JobWish, Maker, TaskWish
from pynchy_cli.store.timetable import TASKS
from pynchy_cli.timing import next_times, timing
from tests.clocks import Clocks, clocks

BEFORE_SPRING = "2027-03-13T12:00:00.000Z"
"""A day before clocks go forward in New York, a fortnight before they do in Berlin."""
NOTHING: dict[str, Any] = dict.fromkeys(TaskWish.__dataclass_fields__)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clocks]:
    with clocks(tmp_path) as one:
        yield one


@contextmanager
def maker(made: Clocks, now: str) -> Iterator[Maker]:
    """Makes them in one transaction at a moment, in a shell whose TZ is Berlin."""
    with made.store.atomic() as db:
        yield Maker(db, Settings(), {"TZ": "Europe/Berlin"}, now)


def wish(**given: Any) -> TaskWish:
    return TaskWish(**{**NOTHING, **given})


def due(made: Clocks, now: str, id: str) -> list[str]:
    """When a task is due next, as people there read it."""
    return [time["local"] for time in next_times(made.task(id), now)]


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("America/New_York", ["03-13 09:00 EST", "03-14 09:00 EDT", "03-15 09:00 EDT"]),
        ("Europe/Berlin", ["03-14 09:00 CET", "03-15 09:00 CET", "03-16 09:00 CET"]),
    ],
)
def test_a_time_of_day_is_that_of_its_zone(made: Clocks, zone: str, expected: list[str]) -> None:
    with maker(made, BEFORE_SPRING) as one:
        asked = wish(schedule=("cron", "0 9 * * *"), timezone=zone, prompt="x")
        id = one.add_task(asked, paused=False).id
    assert [text[9:] for text in due(made, BEFORE_SPRING, id)] == expected


def test_a_zone_alone_moves_a_time_of_day_and_nothing_else(made: Clocks) -> None:
    with maker(made, BEFORE_SPRING) as one:
        cron = one.add_task(wish(schedule=("cron", "0 9 * * *"), prompt="x"), paused=False)
        interval = one.add_task(wish(schedule=("interval", "1h"), prompt="x"), paused=False)
        once = one.add_task(wish(schedule=("once", "2027-05-01 09:00"), prompt="x"), paused=False)
    assert cron.timezone == "Europe/Berlin"
    assert once.next_run == "2027-05-01T07:00:00.000Z"
    with maker(made, "2027-03-13T13:30:00.000Z") as one:
        for task in (cron, interval, once):
            one.edit_task(task.id, wish(timezone="Asia/Tokyo"))
    assert made.task(cron.id).next_run == "2027-03-14T00:00:00.000Z"
    for task in (interval, once):
        now = made.task(task.id)
        assert (now.timezone, now.anchor, now.next_run) == (
            "Asia/Tokyo",
            task.anchor,
            task.next_run,
        )
    with pytest.raises(ScheduleInvalid), maker(made, BEFORE_SPRING) as one:
        one.edit_task(once.id, wish(timezone="Asia/Tokio"))


def test_a_new_schedule_counts_from_now(made: Clocks) -> None:
    with maker(made, BEFORE_SPRING) as one:
        task = one.add_task(wish(schedule=("interval", "1h"), prompt="x"), paused=True)
    with maker(made, "2027-03-13T12:10:00.000Z") as one:
        task = one.edit_task(task.id, wish(schedule=("interval", "2h")))
    assert (task.anchor, task.next_run) == ("2027-03-13T14:10:00.000Z",) * 2
    assert (task.status, task.paused_by, task.timezone) == ("paused", "person", "Europe/Berlin")


def test_an_interval_keeps_its_anchor_when_it_is_resumed(made: Clocks) -> None:
    with maker(made, BEFORE_SPRING) as one:
        task = one.add_task(wish(schedule=("interval", "1h"), prompt="x"), paused=True)
    later = "2027-03-14T20:10:00.000Z"
    assert [time["utc"] for time in next_times(task, later, 1)] == ["2027-03-14T21:00:00.000Z"]
    with made.store.atomic() as db:
        changing.each(db, TASKS, [task.id], changing.resume, later)
    now = made.task(task.id)
    assert (now.anchor, now.next_run) == ("2027-03-13T13:00:00.000Z", "2027-03-14T21:00:00.000Z")


def test_what_is_over_has_no_due_times(made: Clocks) -> None:
    with maker(made, BEFORE_SPRING) as one:
        id = one.add_task(wish(schedule=("once", "2027-03-13 14:00"), prompt="x"), paused=False).id
    made.at("2027-03-13T13:00:00.000Z")
    assert made.task(id).status == "completed"
    assert due(made, BEFORE_SPRING, id) == []


def test_an_overdue_time_is_still_the_next(made: Clocks) -> None:
    with maker(made, BEFORE_SPRING) as one:
        task = one.add_task(wish(schedule=("interval", "1h"), prompt="x"), paused=False)
    told = next_times(task, "2027-03-13T13:30:00.000Z", 2)
    assert [one["utc"][11:16] for one in told] == ["13:00", "14:00"]


def test_only_a_schedule_that_is_due_some_time_is_taken() -> None:
    assert timing("interval", "90", "UTC", BEFORE_SPRING).anchor == "2027-03-13T12:01:30.000Z"
    assert timing("cron", "@daily", "UTC", BEFORE_SPRING).anchor is None
    for type, value in (("cron", "0 0 31 2 *"), ("once", "2027-03-13 11:59"), ("interval", "9")):
        with pytest.raises(ScheduleInvalid):
            timing(type, value, "UTC", BEFORE_SPRING)


def test_a_host_job_needs_a_command(made: Clocks) -> None:
    empty: dict[str, Any] = dict.fromkeys(JobWish.__dataclass_fields__)
    with pytest.raises(UsageWrong), maker(made, BEFORE_SPRING) as one:
        one.add_job(JobWish(**{**empty, "schedule": ("interval", "1h")}), paused=False)
    assert made.rows("SELECT count(*) FROM host_jobs") == [0]
