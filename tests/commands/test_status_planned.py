"""What `pynchy status` tells of tasks and host jobs: when they are due, and how it went last."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock, status_quick
from pynchy_cli.model import HostJob, Task
from pynchy_cli.store import jobs, planned, status, tasks, timetable
from pynchy_cli.store.connection import Store
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.clocks import START, job, task
from tests.commands.test_status import stage

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
        db.execute(
            "UPDATE runs SET state = ?, error = ? WHERE id = ?", (state, more.get("error"), run)
        )


def told(store: Store) -> dict[str, Any]:
    root = store.path.parent.parent
    return status.read(str(store.path), str(root / "data/run"), clock.now())


def lines(store: Store, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    status_quick.print_table(told(store), str(store.path.parent.parent))
    found = (one.partition("  ") for one in capsys.readouterr().out.splitlines())
    return {name: text.strip() for name, _, text in found}


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
        "last_result": None,
    }
    paused = {"id": "off", "status": "paused", "enabled": False, "next_run": None}
    assert document["host_jobs"] == [first, first | paused]


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


def test_a_log_that_is_gone_is_no_result(store: Store) -> None:
    add(store, LOOK)
    fire(store, "look", "done")
    with store.atomic() as db:
        db.execute("DELETE FROM task_run_logs")
    (one,) = told(store)["tasks"]
    assert (one["last_run"], one["last_result"]) == (DUE, None)


def test_the_table_counts_them_and_names_the_next_and_the_failing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not {"tasks", "host jobs", "failing", "schedule"} & lines(store, capsys).keys()
    soon = clock.after(clock.now(), 7200 + 60)
    add(
        store,
        replace(LOOK, id="off", status="paused", next_run=DUE),
        replace(LOOK, next_run=clock.after(soon, 60)),
        replace(LOOK, id="first", next_run=soon),
        replace(BACKUP, next_run=None),
    )
    fire(store, "look", "failed", error="No answer.")
    found = lines(store, capsys)
    assert found["tasks"].startswith("2 active, 1 paused; next is first, in 2 h")
    assert found["host jobs"] == "1 active, 0 paused"
    assert found["failing"] == "look, last failed: No answer; `pynchy tasks log look` tells more"
    with store.atomic() as db:
        db.execute("UPDATE host_jobs SET next_run = ?", (DUE,))
    assert "; next is backup, due for " in lines(store, capsys)["host jobs"]


def test_the_latest_failures_are_named_first_and_not_all_of_them(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    add(store, *(replace(BACKUP, id=f"backup-{number}") for number in range(9)))
    for number in range(9):
        at = clock.after(DUE, number)
        with store.atomic() as db:
            timetable.fired(db, JOBS, f"backup-{number}", due_at=at, status="unknown", now=at)
    status_quick.print_table(told(store), "there")
    found = [one for one in capsys.readouterr().out.splitlines() if one.startswith("failing")]
    told_of = "failing    backup-{0}, last unknown; `pynchy jobs log backup-{0}` tells more"
    assert found == [told_of.format(n) for n in range(8, 3, -1)]


def test_it_is_said_that_nothing_fires(
    home: Path, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with stage(home, "route"), stage(home, "run-agent"):
        assert "schedule" not in lines(store, capsys)
        add(store, BACKUP)
        found = lines(store, capsys)["schedule"]
        assert found == "Nothing fires: `schedule` doesn't run. `pynchy up` starts it."
        with stage(home, "schedule"):
            assert not lines(store, capsys)["schedule"].startswith("Nothing fires")


def test_ten_thousand_are_read_by_one_query_each(store: Store, pynchy: Any) -> None:
    add(store, *(replace(LOOK, id=f"look-{number}") for number in range(MANY)))
    fire(store, "look-7", "done")
    document = json.loads(pynchy("status", code=4).stdout)
    results = {one["id"]: one["last_result"] for one in document["tasks"]}
    assert (len(results), results["look-7"], results["look-8"]) == (MANY, "done", None)
    for read in (planned.tasks, planned.host_jobs):
        assert plans(store, read) == 1


def plans(store: Store, read: Any) -> int:
    """How many queries it takes; of each the joined rows must be found by their keys."""
    with closing(sqlite3.connect(store.path)) as db:
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        read(db)
        db.set_trace_callback(None)
        for one in asked:
            steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {one}")]
            joined = [step for step in steps if "JOIN" in step]
            assert len(joined) >= 1, steps
            assert all("INTEGER PRIMARY KEY" in step for step in joined), steps
        return len(asked)
