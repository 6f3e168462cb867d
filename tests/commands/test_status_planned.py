"""What `pynchy status` tells of tasks and host jobs: when they are due, and how it went last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock, status_table
from pynchy_cli.model import HostJob, Task
from pynchy_cli.store import jobs, planned, runs, tasks, timetable
from pynchy_cli.store.connection import Store
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.clocks import START, job, task
from tests.commands.test_status import stage, told_of, wrong

DUE = "2026-01-31T09:00:00.000Z"
MANY = 10_000
LOOK = task(
    START, "cron", "0 10 * * *", "Europe/Berlin", id="look", name="Look", group_folder="main"
)
BACKUP = job(START, "interval", "1h", id="backup")


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The file of a fresh home."""
    with closing(Store.open(home / "data/messages.db")) as opened:
        yield opened


def add(store: Store, *made: Task | HostJob) -> None:
    with store.atomic() as db:
        for one in made:
            if isinstance(one, Task):
                tasks.add(db, one)
            else:
                jobs.add(db, one)


def fire(store: Store, id: str, state: str, **more: Any) -> None:
    """Have a task fire, and its run come to this state."""
    with store.atomic() as db:
        firing = timetable.fired(db, TASKS, id, due_at=DUE, status="fired", now=DUE)
        assert firing is not None
        run = tasks.start(db, tasks.get(db, id), firing, "Look.", DUE)
        error = more.get("error")
        db.execute("UPDATE runs SET state = 'running', owner = 1 WHERE id = ?", (run,))
        if state in ("done", "failed", "cancelled"):
            runs.finish(db, replace(runs.get(db, run), owner=1), state, DUE, error)
        else:
            db.execute("UPDATE runs SET state = ?, error = ? WHERE id = ?", (state, error, run))


def told(store: Store) -> dict[str, Any]:
    return told_of(store.path.parent.parent)


def lines(store: Store) -> dict[str, str]:
    """The lines of the table, by what they begin with."""
    found = status_table.lines(told(store), "there", clock.now())
    return {name: text.strip() for name, _, text in (one.partition("  ") for one in found)}


def test_each_is_told_with_all_that_there_is(store: Store, pynchy: Any) -> None:
    over = replace(LOOK, id="over", status="completed", ended_at=START, next_run=None)
    gone = replace(BACKUP, id="gone", status="cancelled", ended_at=START, next_run=None)
    off = replace(BACKUP, id="off", status="paused", paused_by="config")
    add(store, LOOK, over, BACKUP, gone, off)
    document = json.loads(pynchy("status", code=4).stdout)
    assert document["tasks"] == [
        {
            "id": "look",
            "name": "Look",
            "group": "main",
            "schedule_type": "cron",
            "schedule_value": "0 10 * * *",
            "timezone": "Europe/Berlin",
            "status": "active",
            "next_run": DUE,
            "last_run": None,
            "failing": False,
            "last_result": None,
        }
    ]
    first = {
        "id": "backup",
        "name": None,
        "schedule_type": "interval",
        "schedule_value": "3600",
        "timezone": "UTC",
        "status": "active",
        "enabled": True,
        "next_run": DUE,
        "last_run": None,
        "failing": False,
        "last_result": None,
    }
    paused = {"id": "off", "status": "paused", "enabled": False, "next_run": None}
    assert document["host_jobs"] == [first, first | paused]
    assert document["task_counts"] == {"total": 1, "active": 1, "paused": 0, "failing": 0}
    assert document["host_job_counts"] == {"total": 2, "active": 1, "paused": 1, "failing": 0}


@pytest.mark.parametrize(
    ("state", "error", "result"),
    [
        ("queued", None, "queued"),
        ("queued", "The agent\ndied.", "queued: The agent died."),
        ("running", None, "running"),
        ("done", None, "done"),
        ("failed", "x" * 300, f"failed: {'x' * planned.LONGEST}…"),
        ("cancelled", "It was stopped.", "cancelled"),
    ],
)
def test_the_run_of_a_tasks_last_firing_tells_how_it_went(
    store: Store, state: str, error: str | None, result: str
) -> None:
    add(store, LOOK)
    fire(store, "look", state, error=error)
    (one,) = told(store)["tasks"]
    assert (one["last_run"], one["last_result"]) == (DUE, result)
    assert one["failing"] is (state == "failed")


@pytest.mark.parametrize(
    ("word", "reason", "result"),
    [
        ("skipped", "the one before was not over yet", "skipped: the one before was not over yet"),
        ("missed", None, "missed"),
        ("checking", None, "its condition is checked"),
    ],
)
def test_a_firing_that_came_to_nothing_tells_why(
    store: Store, word: str, reason: str | None, result: str
) -> None:
    add(store, LOOK)
    fire(store, "look", "done")
    later = clock.after(DUE, 60)
    with store.atomic() as db:
        timetable.fired(db, TASKS, "look", due_at=later, status=word, now=later, reason=reason)
    (one,) = told(store)["tasks"]
    assert (one["last_run"], one["last_result"]) == (later, result)


@pytest.mark.parametrize(
    ("word", "more", "result"),
    [
        (None, {}, "waiting"),
        ("done", {"exit_code": 0}, "done"),
        ("failed", {"exit_code": 3}, "failed: exit code 3"),
        ("failed", {"reason": "There is no /x."}, "failed: There is no /x."),
        ("timeout", {"reason": "It took longer than 5 s."}, "timeout: It took longer than 5 s."),
        ("unknown", {"reason": "The stage died."}, "unknown: The stage died."),
    ],
)
def test_a_jobs_last_firing_tells_how_it_ended(
    store: Store, word: str | None, more: dict[str, Any], result: str
) -> None:
    add(store, BACKUP)
    with store.atomic() as db:
        firing = timetable.fired(db, JOBS, "backup", due_at=DUE, status="waiting", now=DUE)
        assert firing is not None
        if word is not None:
            jobs.end(db, firing, word, DUE, **more)
    (one,) = told(store)["host_jobs"]
    assert (one["last_run"], one["last_result"]) == (DUE, result)
    assert one["failing"] is (word in timetable.FAILED)


def test_a_log_that_is_gone_is_no_result(store: Store) -> None:
    add(store, LOOK)
    fire(store, "look", "done")
    with store.atomic() as db:
        db.execute("DELETE FROM task_run_logs")
    (one,) = told(store)["tasks"]
    assert (one["last_run"], one["last_result"]) == (DUE, None)


def test_a_failed_task_is_well_again_when_it_fires_again(store: Store) -> None:
    add(store, LOOK)
    fire(store, "look", "failed", error="No answer.")
    assert told(store)["task_counts"]["failing"] == 1
    with store.atomic() as db:
        run = runs.get(db, 1)
        timetable.fired(db, TASKS, "look", due_at=clock.after(DUE, 60), status="fired", now=DUE)
        timetable.task_failed(db, "look", run.id)
    assert told(store)["task_counts"]["failing"] == 0, "what an older firing came to is over"


def test_the_table_counts_them_and_names_the_next_and_the_failing(store: Store) -> None:
    assert not {"tasks", "host jobs", "warning"} & lines(store).keys()
    soon = clock.after(clock.now(), 7200 + 60)
    add(
        store,
        replace(LOOK, id="off", status="paused", next_run=DUE),
        replace(LOOK, next_run=clock.after(soon, 60)),
        replace(LOOK, id="first", next_run=soon),
        replace(BACKUP, next_run=None),
    )
    fire(store, "look", "failed", error="No answer.")
    found = lines(store)
    assert found["tasks"].startswith("2 active, 1 paused; next is first, in 2 h")
    assert found["host jobs"] == "1 active, 0 paused"
    assert found["warning"] == "look, last failed: No answer; `pynchy why task:look`"
    with store.atomic() as db:
        db.execute("UPDATE host_jobs SET next_run = ?", (DUE,))
    assert "; next is backup, due for " in lines(store)["host jobs"]


def test_the_latest_failures_are_named_first_and_not_all_of_them(store: Store) -> None:
    add(store, *(replace(BACKUP, id=f"backup-{number}") for number in range(9)))
    for number in range(9):
        at = clock.after(DUE, number)
        with store.atomic() as db:
            timetable.fired(db, JOBS, f"backup-{number}", due_at=at, status="unknown", now=at)
    found = wrong(told(store), "warning")
    named = {f"job:backup-{n}": f"backup-{n}, last unknown" for n in range(8, 3, -1)}
    more = {"tasks": "4 more tasks and host jobs failed when they were last due."}
    assert list(found.items()) == list((named | more).items())


def test_it_is_said_that_nothing_fires(home: Path, store: Store) -> None:
    with stage(home, "route"), stage(home, "run-agent"):
        assert not wrong(told(store), "warning")
        add(store, BACKUP)
        said = {"stage:schedule": "Nothing fires: `schedule` doesn't run."}
        assert wrong(told(store), "warning") == said
        with stage(home, "schedule"):
            assert not wrong(told(store), "warning")


def test_of_ten_thousand_some_are_told(store: Store, pynchy: Any) -> None:
    add(store, *(replace(LOOK, id=f"look-{n}", next_run=clock.after(DUE, n)) for n in range(MANY)))
    add(store, replace(LOOK, id="off", status="paused"))
    fire(store, "look-77", "failed", error="No answer.")
    document = json.loads(pynchy("status", code=4).stdout)
    shown = [one["id"] for one in document["tasks"]]
    assert shown == ["look-77", *(f"look-{n}" for n in range(planned.SHOWN - 1))]
    counts = {"total": MANY + 1, "active": MANY, "paused": 1, "failing": 1}
    assert document["task_counts"] == counts


def test_where_there_is_room_what_is_never_due_is_told_too(store: Store) -> None:
    never = replace(LOOK, id="never", next_run=None)
    add(store, replace(LOOK, id="off", status="paused"), never, LOOK)
    assert [one["id"] for one in told(store)["tasks"]] == ["look", "never", "off"]
