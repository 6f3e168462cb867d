"""What is due fires once: into a run, a job that waits, or a note of why it comes to nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.scheduling.firing import fire_by_hand
from pynchy_cli.store import chats, failures, jobs, runs, tasks, timetable
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.clocks import START, Clocks, clocks, job, task

HALF_AN_HOUR = 1800


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clocks]:
    with clocks(tmp_path) as one:
        yield one


def after(seconds: float) -> str:
    return clock.after(START, seconds)


def with_further_chat(made: Clocks, jid: str) -> None:
    with made.store.atomic() as db:
        chats.seen(db, jid, None, START)
        db.execute("INSERT INTO group_chats(jid, group_folder) VALUES (?, 'team')", (jid,))


def test_a_due_task_becomes_a_run_and_is_due_again_later(made: Clocks) -> None:
    made.add(task(START, "interval", "30m"))
    assert made.at(after(1799.999)) == 0
    assert made.at(after(1800.01)) == 1
    assert made.rows("SELECT group_folder, lane, kind, state, chat_jid FROM runs") == [
        ("team", "task:task-aaaaaa", "task", "queued", "local:team")
    ]
    assert made.task().next_run == after(3600)
    assert made.task().last_run == after(1800.01)
    assert made.at(after(1800.02)) == 0


def test_an_interval_keeps_to_its_first_due_time_however_late_each_firing_is(made: Clocks) -> None:
    made.add(task(START, "interval", "1800"))
    for number in range(1, 6):
        made.at(after(1800 * number + 7 * number))
        made.end_runs()
    assert [due for due, _ in made.fired()] == [after(1800 * n) for n in range(1, 6)]


def test_the_agent_is_told_which_task_it_is_and_when_it_was_due(made: Clocks) -> None:
    made.add(task(START, "cron", "30 9 * * *", "Europe/Berlin", name="Weather"))
    made.at("2026-01-31T08:30:00.000Z")
    (prompt,) = made.rows("SELECT prompt FROM runs")
    assert prompt.startswith("[SCHEDULED TASK]\n")
    assert "task-aaaaaa (Weather); cron 30 9 * * *, time zone Europe/Berlin" in prompt
    assert "Due: Sat 2026-01-31 09:30 CET" in prompt
    assert "finished_work" in prompt
    assert prompt.endswith("The task:\nLook at the weather.")
    assert "late" not in prompt
    assert "missed" not in prompt


def test_one_that_is_late_is_told_so_and_what_it_stands_for(made: Clocks) -> None:
    made.add(task(START, "cron", "0 * * * *"))
    made.at("2026-01-31T12:20:00.000Z")
    assert made.fired() == [("2026-01-31T12:00:00.000Z", "fired")]
    (prompt,) = made.rows("SELECT prompt FROM runs")
    assert "Started late: Sat 2026-01-31 12:20 UTC" in prompt
    assert "since Sat 2026-01-31 09:00 UTC, were missed" in prompt
    assert made.rows("SELECT missed_since FROM task_run_logs") == ["2026-01-31T09:00:00.000Z"]
    assert made.task().next_run == "2026-01-31T13:00:00.000Z"


def test_one_that_was_missed_is_left_out_where_that_is_wanted(made: Clocks) -> None:
    made.add(task(START, "cron", "0 * * * *", catch_up="skip"))
    made.at("2026-01-31T12:20:00.000Z")
    assert made.fired() == [("2026-01-31T12:00:00.000Z", "missed")]
    assert made.rows("SELECT count(*) FROM runs") == [0]
    made.at("2026-01-31T15:00:00.200Z")
    assert made.fired()[1:] == [("2026-01-31T15:00:00.000Z", "fired")]
    assert made.rows("SELECT count(*) FROM runs") == [1]


def test_a_task_for_once_fires_late_rather_than_never_and_is_over(made: Clocks) -> None:
    made.add(task(START, "once", "2026-02-01 09:00", "America/New_York"))
    assert made.at("2026-02-01T13:59:59.999Z") == 0
    assert made.at("2026-02-04T00:00:00.000Z") == 1
    assert made.fired() == [("2026-02-01T14:00:00.000Z", "fired")]
    assert (made.task().status, made.task().next_run) == ("completed", None)
    assert made.at("2026-02-05T00:00:00.000Z") == 0


def test_nothing_is_queued_while_the_one_before_is_queued_or_at_work(made: Clocks) -> None:
    made.add(task(START, "interval", "60"))
    made.later(60)
    made.later(60)
    (run,) = made.rows("SELECT id FROM runs")
    with made.store.atomic() as db:
        runs.claim(db, 1, 5, made.now)
    made.later(60)
    assert [status for _, status in made.fired()] == ["fired", "skipped", "skipped"]
    assert made.rows("SELECT DISTINCT reason FROM task_run_logs WHERE status = 'skipped'") == [
        "the one before was not over yet"
    ]
    made.end_runs()
    made.later(60)
    assert made.fired()[-1][1] == "fired"
    assert made.rows("SELECT id FROM runs WHERE state = 'queued'") == [run + 1]


def test_where_it_may_wait_for_the_one_before_only_one_does(made: Clocks) -> None:
    made.add(task(START, "interval", "60", overlap="queue"))
    made.later(60)
    with made.store.atomic() as db:
        runs.claim(db, 1, 5, made.now)
    made.later(60)
    made.later(60)
    assert [status for _, status in made.fired()] == ["fired", "fired", "skipped"]


def test_a_condition_is_checked_first(made: Clocks) -> None:
    made.add(task(START, "interval", "60", condition="test -e work"))
    made.later(60)
    assert [status for _, status in made.fired()] == ["checking"]
    assert made.rows("SELECT count(*) FROM runs") == [0]
    made.later(60)
    assert [status for _, status in made.fired()] == ["checking", "skipped"]


def test_a_task_that_goes_on_in_the_conversation_is_in_its_lane(made: Clocks) -> None:
    with_further_chat(made, "local:elsewhere")
    made.add(task(START, "interval", "60", context_mode="group", chat_jid="local:elsewhere"))
    made.later(60)
    assert made.rows("SELECT lane, kind, chat_jid FROM runs") == [
        ("chat", "task", "local:elsewhere")
    ]


def test_a_host_job_waits_to_be_started_and_does_not_wait_twice(made: Clocks) -> None:
    made.add(job(START, "interval", "60"))
    made.later(60)
    made.later(60)
    assert [status for _, status in made.fired("job-aaaaaa")] == ["waiting", "skipped"]
    (firing, of) = jobs.waiting(made.store.db, 1)[0]
    assert (firing.of, of.command) == ("job-aaaaaa", "true")


def test_paused_and_cancelled_ones_do_not_fire(made: Clocks) -> None:
    made.add(
        task(START, "interval", "60", id="task-paused", status="paused", paused_by="person"),
        task(START, "interval", "60", id="task-gone"),
        task(START, "interval", "60", id="task-alive"),
    )
    with made.store.atomic() as db:
        timetable.cancel(db, TASKS, tasks.get(db, "task-gone"), START)
    made.later(60)
    assert made.rows("SELECT task_id FROM task_run_logs") == ["task-alive"]


def test_the_next_due_time_decides_how_long_the_stage_sleeps(made: Clocks) -> None:
    assert made.stage.firings.deadline(START) is None
    made.add(task(START, "interval", "1h"), job(START, "interval", "30m"))
    assert made.stage.firings.deadline(START) == HALF_AN_HOUR
    assert made.stage.firings.deadline(after(1900)) == 0


def test_one_that_cannot_be_read_keeps_nobody_from_theirs(made: Clocks) -> None:
    made.add(
        task(START, "interval", "60", id="task-broken"), task(START, "interval", "60", id="task-ok")
    )
    with made.store.atomic() as db:
        db.execute("UPDATE scheduled_tasks SET timezone = 'Mars/Olympus' WHERE id = 'task-broken'")
        db.execute(
            "UPDATE scheduled_tasks SET schedule_type = 'cron', schedule_value = 'x'"
            " WHERE id = 'task-broken'"
        )
    made.later(60)
    assert made.rows("SELECT task_id FROM task_run_logs") == ["task-ok"]
    assert made.rows("SELECT stage, subject FROM failures") == [("schedule", "task:task-broken")]
    assert made.stage.firings.deadline(made.now) == pytest.approx(60)


def test_a_due_time_that_has_fired_does_not_fire_again(made: Clocks) -> None:
    made.add(task(START, "interval", "60"))
    made.later(60)
    made.end_runs()
    with made.store.atomic() as db:
        db.execute("UPDATE scheduled_tasks SET next_run = ?", (after(60),))
    made.later(1)
    assert made.fired() == [(after(60), "fired")]
    assert made.task().next_run == after(120)


def test_a_firing_is_written_with_the_next_due_time_and_the_run_or_not_at_all(
    made: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made.add(task(START, "interval", "60"))
    made.store.db.execute(
        "CREATE TRIGGER broken BEFORE UPDATE OF next_run ON scheduled_tasks"
        " BEGIN SELECT RAISE(ABORT, 'planted'); END"
    )
    assert made.later(60) == 0
    assert made.rows("SELECT count(*) FROM runs") == [0]
    assert made.fired() == []
    assert "'event': 'due'" not in caplog.text
    made.store.db.execute("DROP TRIGGER broken")
    with made.store.atomic() as db:
        failures.retry(db, "task:task-aaaaaa")
    assert made.later(1) == 1
    assert made.rows("SELECT count(*) FROM failures") == [0]
    assert made.rows("SELECT count(*) FROM runs") == [1]
    assert caplog.text.count("'event': 'due'") == 1


def test_by_hand_it_fires_now_and_stays_due_as_it_was(made: Clocks) -> None:
    made.add(task(START, "interval", "60", condition="false"), job(START, "interval", "60"))
    now = after(7.5)
    with made.store.atomic() as db:
        assert fire_by_hand(db, TASKS, tasks.get(db, "task-aaaaaa"), now) is not None
        assert fire_by_hand(db, TASKS, tasks.get(db, "task-aaaaaa"), now) is None
        assert fire_by_hand(db, JOBS, jobs.get(db, "job-aaaaaa"), now) is not None
        assert fire_by_hand(db, JOBS, jobs.get(db, "job-aaaaaa"), now) is None
    assert made.fired() == [(now, "fired")]
    assert made.fired("job-aaaaaa") == [(now, "waiting")]
    assert made.task().next_run == after(60)
    assert "by hand" in made.rows("SELECT prompt FROM runs")[0]


def test_old_firings_are_forgotten_and_the_young_or_last_ones_kept(made: Clocks) -> None:
    made.add(task(START, "interval", "1h"))
    for _ in range(600):
        made.later(3600)
        made.end_runs()
    found = made.fired()
    assert len(found) == timetable.KEPT_FIRINGS
    assert found[-1][0] == after(600 * 3600)


def test_what_was_left_out_is_forgotten_sooner(made: Clocks) -> None:
    """Of the young ones, only those that began something need to be known."""
    made.add(task(START, "interval", "10"))
    for _ in range(timetable.KEPT_FIRINGS + 50):
        made.later(10)
    found = made.fired()
    assert len(found) == timetable.KEPT_FIRINGS + 1
    assert found[0] == (after(10), "fired")
    assert found[-1] == (made.now, "skipped")


def test_of_many_young_firings_only_the_last_outputs_are_kept(made: Clocks) -> None:
    made.add(job(START, "interval", "10"))
    for _ in range(timetable.KEPT_FIRINGS + 50):
        made.later(10)
        with made.store.atomic() as db:
            (firing,) = made.rows("SELECT id FROM host_job_logs WHERE status = 'waiting'")
            jobs.end(db, firing, "done", made.now, exit_code=0, output="much")
    assert made.rows("SELECT count(*), count(output) FROM host_job_logs") == [
        (timetable.KEPT_FIRINGS + 50, timetable.KEPT_FIRINGS)
    ]
    assert [one.output for one in jobs.outcomes(made.store.db, "job-aaaaaa", 1)] == ["much"]


def test_a_chat_that_is_another_group_s_by_now_is_left_alone(made: Clocks) -> None:
    with_further_chat(made, "local:club")
    made.add(task(START, "interval", "1h", chat_jid="local:club"))
    made.later(3600)
    made.end_runs()
    with made.store.atomic() as db:
        db.execute("DELETE FROM group_chats")
    made.later(3600)
    made.end_runs()
    with made.store.atomic() as db:
        assert fire_by_hand(db, TASKS, made.task(), after(7300)) is not None
    found = made.rows("SELECT chat_jid FROM runs ORDER BY id")
    assert found == ["local:club", "local:team", "local:team"]


def test_what_has_ended_long_ago_is_forgotten(made: Clocks) -> None:
    made.add(
        task(START, "once", "2026-02-01 09:00", id="task-first"),
        task(START, "once", "2026-04-01 09:00", id="task-second"),
    )
    made.at("2026-02-01T09:00:00.000Z")
    assert made.task("task-first").status == "completed"
    made.at("2026-04-01T09:00:00.000Z")
    assert made.rows("SELECT id FROM scheduled_tasks") == ["task-second"]
    assert made.rows("SELECT task_id FROM task_run_logs") == ["task-second"]


def test_a_group_that_goes_takes_its_tasks_along(made: Clocks) -> None:
    made.add(task(START, "interval", "60"))
    made.later(60)
    with made.store.atomic() as db:
        db.execute("DELETE FROM registered_groups")
    assert made.rows("SELECT count(*) FROM scheduled_tasks") == [0]
    assert made.rows("SELECT count(*) FROM task_run_logs") == [0]


def test_the_database_itself_refuses_the_same_due_time_twice(made: Clocks) -> None:
    made.add(task(START, "interval", "60"))
    made.later(60)
    with pytest.raises(sqlite3.IntegrityError), made.store.atomic() as db:
        db.execute(
            "INSERT INTO task_run_logs(task_id, due_at, run_at, status)"
            " SELECT task_id, due_at, run_at, status FROM task_run_logs"
        )
