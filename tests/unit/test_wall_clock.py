"""A wall clock that jumps: nothing fires twice, and nothing waits until the clock is back where it
was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.pipeline.schedule import Schedule
from tests.clocks import START, Clocks, clocks, task


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clocks]:
    with clocks(tmp_path) as one:
        yield one


def test_set_back_by_an_hour_what_has_fired_stays_fired(made: Clocks) -> None:
    made.add(
        task(START, "interval", "10m", id="task-often"),
        task(START, "cron", "0 9 * * *", id="task-daily"),
    )
    for _ in range(6):
        made.later(600)
        made.end_runs()
    assert len(made.fired("task-often")) == 6
    assert made.fired("task-daily") == [("2026-01-31T09:00:00.000Z", "fired")]
    made.at(START)
    for _ in range(6):
        made.later(600)
        made.end_runs()
    assert len(made.fired("task-often")) == 6
    assert len(made.fired("task-daily")) == 1
    made.later(600)
    assert made.fired("task-often")[-1][0] == clock.after(START, 4200)


@pytest.mark.parametrize("restarted", [False, True])
def test_set_right_after_it_was_years_ahead_everything_is_due_as_it_should_be(
    made: Clocks, restarted: bool
) -> None:
    made.add(
        task(START, "interval", "10m", id="task-often"),
        task(START, "cron", "0 9 * * *", "Europe/Berlin", id="task-daily"),
        task(START, "cron", "0 9 * * *", "Asia/Tokyo", id="task-japan"),
    )
    made.at("2031-06-01T00:03:00.000Z")
    made.end_runs()
    assert made.task("task-daily").next_run == "2031-06-01T07:00:00.000Z"
    if restarted:
        made.stage = Schedule(made.stage.work.context)
    made.at(clock.after(START, 30))
    assert made.task("task-often").next_run == clock.after(START, 600)
    assert made.task("task-daily").next_run == "2026-02-01T08:00:00.000Z"
    assert made.task("task-japan").next_run == "2026-02-01T00:00:00.000Z"
    assert made.later(600) == 1


def test_set_forward_by_a_day_each_makes_up_once(made: Clocks) -> None:
    made.add(
        task(START, "interval", "10m", id="task-often"),
        task(START, "cron", "@hourly", id="task-hourly"),
        task(START, "cron", "0 9 * * *", id="task-daily"),
    )
    assert made.later(86_400 + 7200) == 3
    assert made.later(1) == 0


def test_what_a_clock_is_adjusted_by_is_no_jump(made: Clocks) -> None:
    made.add(task(START, "interval", "10m"))
    made.later(600)
    made.end_runs()
    made.later(-30)
    assert made.task().next_run == clock.after(START, 1200)
    assert made.later(60) == 0


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("ahead", [7200, 86_400 * 365 * 5])
def test_what_was_made_while_it_was_ahead_waits_for_nothing_once_it_is_set_right(
    made: Clocks, restarted: bool, ahead: int
) -> None:
    made.at(START)
    wrong = clock.after(START, ahead)
    made.add(
        task(wrong, "interval", "10m", id="task-often"),
        task(wrong, "cron", "5 * * * *", id="task-hourly"),
    )
    if restarted:
        made.stage = Schedule(made.stage.work.context)
    else:
        made.at(wrong)
    made.at(clock.after(START, 1))
    assert made.task("task-hourly").next_run == clock.after(START, 300)
    due = made.task("task-often").next_run
    assert due is not None
    assert due <= clock.after(START, 601)
    assert made.later(610) == 2


def test_one_that_was_made_after_it_was_set_right_hides_nothing(made: Clocks) -> None:
    wrong = clock.after(START, 86_400)
    made.add(task(wrong, "cron", "5 * * * *"))
    made.add(task(START, "interval", "60", id="task-later"))
    made.stage = Schedule(made.stage.work.context)
    made.at(START)
    assert made.task().next_run == clock.after(START, 300)
