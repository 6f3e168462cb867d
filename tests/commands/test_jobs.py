"""`pynchy jobs`: what each prints, refuses and changes; and that none of it runs a command."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pynchy_cli import clock, locks, recurrence
from pynchy_cli.model import HostJob
from pynchy_cli.store import failures, jobs
from tests.clocks import job
from tests.conftest import Pynchy
from tests.pending import on_terminal, store_of

PAST = "2026-01-31T08:00:00.000Z"
ID = "job-aaaaaa"
LIST_KEYS = [
    *("id", "name", "status", "source", "schedule_type", "schedule_value", "timezone"),
    *("next_run", "next_local", "last_run", "last_result", "summary"),
]
KEYS = [
    *LIST_KEYS[:-1],
    *("anchor", "paused_by", "catch_up", "created_by", "created_at", "ended_at"),
    *("timeout_seconds", "cwd", "command", "next"),
]
LOG_KEYS = [
    *("id", "due_at", "due_local", "fired_at", "missed_since", "by_hand", "status", "reason"),
    *("result", "exit_code", "started_at", "finished_at", "seconds", "output"),
]


def made(pynchy: Pynchy, *arguments: str, **more: Any) -> dict[str, Any]:
    """A host job that is added, as the command tells it."""
    document: dict[str, Any] = json.loads(pynchy("jobs", "add", *arguments, **more).stdout)
    return document


def listed(pynchy: Pynchy, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pynchy("jobs", "list", *arguments).stdout.splitlines()]


def shown(pynchy: Pynchy, id: str = ID) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(pynchy("jobs", "show", id).stdout)
    return document


def have(home: Path, *made: HostJob) -> None:
    """These host jobs in the home's database."""
    with closing(store_of(home)) as store, store.atomic() as db:
        for one in made:
            jobs.add(db, one)


def hourly(**more: Any) -> HostJob:
    """A host job, due at each hour of Kolkata."""
    return job(PAST, "cron", "0 * * * *", "Asia/Kolkata", **more)


def dump(home: Path) -> list[tuple[Any, ...]]:
    """All host jobs and their firings."""
    with closing(sqlite3.connect(home / "data/messages.db")) as db:
        return [
            row
            for name in ("host_jobs", "host_job_logs")
            for row in db.execute(f"SELECT * FROM {name}")
        ]


def test_a_host_job_tells_when_it_is_due_next(home: Path, pynchy: Pynchy) -> None:
    ran = home / "ran"
    one = made(
        *(pynchy, "--cron", "30 3 * * *", "--tz", "Asia/Kolkata"),
        *("--command", f"touch {ran}"),
    )
    assert list(one) == KEYS
    schedule = recurrence.read("cron", "30 3 * * *", "Asia/Kolkata", one["created_at"])
    due = recurrence.upcoming(schedule, None, one["created_at"], 3)
    assert [time["utc"] for time in one["next"]] == due
    assert [time["local"].endswith(" 03:30 IST") for time in one["next"]] == [True] * 3
    wanted = {
        "command": f"touch {ran}",
        "cwd": None,
        "timeout_seconds": 600.0,
        "name": None,
        "status": "active",
        "source": "person",
        "created_by": "owner (shell)",
        "catch_up": "once",
        "next_run": due[0],
        "paused_by": None,
        "last_result": None,
    }
    assert wanted.items() <= one.items()
    assert shown(pynchy, one["id"]) == {**one, "log": []}
    assert not ran.exists()


def test_all_of_a_host_job_can_be_said(home: Path, pynchy: Pynchy, tmp_path: Path) -> None:
    one = made(
        *(pynchy, "--at", "2099-07-01 09:00", "--tz", "America/New_York", "--cwd", str(tmp_path)),
        *("--timeout", "1.5", "--name", "Back up", "--catch-up", "skip", "--paused"),
        *("--", "cp", "--all", "a b", "$HOME"),
    )
    wanted = {
        "command": "cp --all 'a b' '$HOME'",
        "cwd": str(tmp_path),
        "timeout_seconds": 1.5,
        "name": "Back up",
        "catch_up": "skip",
        "status": "paused",
        "paused_by": "person",
        "schedule_value": "2099-07-01T13:00:00.000Z",
        "next_run": None,
    }
    assert wanted.items() <= one.items()
    assert one["next"] == [{"utc": "2099-07-01T13:00:00.000Z", "local": "Wed 2099-07-01 09:00 EDT"}]
    assert made(pynchy, "--every", "1h", "--", "cd /tmp && ls")["command"] == "cd /tmp && ls"


def test_a_folder_is_kept_whole(home: Path, pynchy: Pynchy) -> None:
    assert made(pynchy, "--every", "1h", "--command", "ls", "--cwd", ".")["cwd"] == str(Path.cwd())


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--every", "1h"), "needs a command"),
    (("--every", "1h", "--command", " "), "can't be empty"),
    (("--every", "1h", "--command", "ls", "--", "ls"), "Give the command once"),
    (("--every", "1h", "--command", "x" * 10_001), "10000 characters"),
    (("--command", "ls"), "give one of --cron"),
    (("--command", "ls", "--every", "1h", "--at", "2099-01-01"), "Only one schedule"),
    (("--command", "ls", "--every", "5s"), "10 seconds"),
    (("--command", "ls", "--every", "1h", "--cwd", "/no/such/folder"), "no folder"),
    (("--command", "ls", "--every", "1h", "--timeout", "0"), "more than 0"),
    (("--command", "ls", "--every", "1h", "--timeout", "86401"), "86400"),
    (("--command", "ls", "--every", "1h", "--timeout", "inf"), "more than 0"),
    (("--command", "ls", "--every", "1h", "--tz", "Asia/Kolkatta"), "Asia/Kolkata"),
]


def test_what_cant_be_is_refused_in_a_sentence(home: Path, pynchy: Pynchy) -> None:
    for arguments, words in REFUSED:
        done = pynchy("jobs", "add", "--json", *arguments, code=2)
        error = json.loads(done.stdout)["error"]
        assert error["code"] in ("usage_wrong", "schedule_invalid")
        assert words in error["message"]
        assert dump(home) == []


def test_host_jobs_are_listed_the_next_due_first(
    home: Path, pynchy: Pynchy, environment: Mapping[str, str]
) -> None:
    assert pynchy("jobs", "list").stdout == ""
    have(
        home,
        hourly(next_run="2099-01-02T08:30:00.000Z", command="echo \x1b[2J\r\nid: job-zzzzzz"),
        hourly(id="job-bbbbbb", next_run="2099-01-01T08:30:00.000Z", name="First"),
        hourly(id="job-cccccc", status="completed", next_run=None, ended_at=clock.now()),
    )
    rows = listed(pynchy)
    assert list(rows[0]) == LIST_KEYS
    assert [row["id"] for row in rows] == ["job-bbbbbb", ID]
    assert rows[0]["next_local"] == "Thu 2099-01-01 14:00 IST"
    assert [row["status"] for row in listed(pynchy, "--all")] == ["active", "active", "completed"]
    code, lines = on_terminal(home, environment, "jobs", "list", columns=80)
    assert code == 0
    assert lines[0].split()[:3] == ["ID", "SCHEDULE", "NEXT"]
    assert lines[0].endswith(")  WHAT")
    assert " ".join(lines[1].split()) == "job-bbbbbb 0 * * * * 2099-01-01 First: true"
    assert all(len(line) <= 80 and "\x1b" not in line for line in lines)
    _, lines = on_terminal(home, environment, "jobs", "show", ID, columns=80)
    assert [line for line in lines if line.startswith("id: ")] == [f"id: {ID}"]
    assert "> echo \\x1b[2J\\x0d" in lines


def test_editing_changes_what_is_given_and_nothing_else(
    home: Path, pynchy: Pynchy, tmp_path: Path
) -> None:
    have(home, hourly(name="Look", cwd="/"), hourly(id="job-bbbbbb"))
    with closing(store_of(home)) as store:
        with store.atomic() as db:
            failures.note(db, "schedule", f"job:{ID}", "broken", PAST)
        before = shown(pynchy)
        pynchy("jobs", "edit", ID, "--timeout", "5", "--name", "", "--", "echo", "a b")
        changed = {"timeout_seconds": 5.0, "name": None, "command": "echo 'a b'"}
        assert shown(pynchy) == {**before, **changed}
        assert failures.all(store.db) == []
    pynchy("jobs", "edit", ID, "--cwd", "")
    assert shown(pynchy) == {**before, **changed, "cwd": None}
    edited = json.loads(pynchy("jobs", "edit", ID, "--tz", "Europe/Berlin").stdout)
    assert (edited["schedule_value"], edited["timezone"]) == ("0 * * * *", "Europe/Berlin")
    assert edited["next_run"][14:] == "00:00.000Z"
    assert shown(pynchy, "job-bbbbbb")["timezone"] == "Asia/Kolkata"
    kept = dump(home)
    assert "Nothing is to be changed" in pynchy("jobs", "edit", ID, code=2).stderr
    pynchy("jobs", "edit", ID, "--name", "x", "--timeout", "-1", code=2)
    pynchy("jobs", "edit", ID, "--name", "x", "--cron", "61 * * * *", code=2)
    assert dump(home) == kept


def test_host_jobs_are_paused_resumed_and_ended(home: Path, pynchy: Pynchy) -> None:
    have(home, hourly(), hourly(id="job-bbbbbb"), hourly(id="nightly", source="config"))
    assert "is paused." in pynchy("jobs", "pause", ID, "job-bbbbbb").stdout
    told = json.loads(pynchy("jobs", "resume", ID).stdout)
    assert told["status"] == "active"
    assert clock.now() < told["next_run"] <= clock.after(clock.now(), 3600)
    kept = dump(home)
    assert "Did you mean 'job-aaaaaa'?" in pynchy("jobs", "cancel", ID, "job-aaaab", code=1).stderr
    done = pynchy("jobs", "cancel", ID, "nightly", code=2)
    assert "[jobs.nightly]" in done.stderr
    assert "[jobs.nightly]" in pynchy("jobs", "edit", "nightly", "--every", "1h", code=2).stderr
    assert dump(home) == kept
    pynchy("jobs", "cancel", ID)
    assert [row["id"] for row in listed(pynchy)] == ["nightly", "job-bbbbbb"]
    for verb in ("pause", "resume", "run"):
        assert "is cancelled; add a new one" in pynchy("jobs", verb, ID, code=2).stderr


def test_an_unknown_id_is_told(home: Path, pynchy: Pynchy) -> None:
    task = json.loads(pynchy("tasks", "add", "--every", "1h", "--prompt", "x").stdout)["id"]
    assert "is a task, and no host job" in pynchy("jobs", "cancel", task, code=1).stderr
    done = pynchy("jobs", "log", "job-\udcff", "--json", code=1)
    assert json.loads(done.stdout)["error"]["code"] == "task_unknown"


def test_a_host_job_is_handed_over_by_hand_once_at_a_time(home: Path, pynchy: Pynchy) -> None:
    ran = home / "ran"
    have(home, hourly(command=f"touch {ran}"))
    due = shown(pynchy)["next_run"]
    assert "schedule is not running" in pynchy("jobs", "run", ID).stderr
    one = shown(pynchy)
    (firing,) = one["log"]
    assert list(firing) == LOG_KEYS
    assert {"by_hand": True, "status": "waiting", "result": "waiting"}.items() <= firing.items()
    assert (one["next_run"], one["last_result"]) == (due, "waiting")
    kept = dump(home)
    done = pynchy("jobs", "run", ID, "--json", code=1)
    assert json.loads(done.stdout)["error"]["code"] == "task_busy"
    assert dump(home) == kept
    assert not ran.exists()
    with closing(store_of(home)) as store, store.atomic() as db:
        jobs.end(db, firing["id"], "done", clock.now(), exit_code=0)
    held = locks.take(home / "data/run/schedule.lock")
    assert held is not None
    try:
        assert pynchy("jobs", "run", ID).stderr == ""
    finally:
        held.release()


def test_the_log_tells_what_came_of_each_firing(
    home: Path, pynchy: Pynchy, environment: Mapping[str, str]
) -> None:
    have(home, hourly())
    for code, output in ((0, "one\n"), (3, "two\nlast \x1b[31mline\n")):
        pynchy("jobs", "run", ID)
        with closing(store_of(home)) as store, store.atomic() as db:
            (waiting, _) = jobs.waiting(db, 1)[0]
            assert jobs.begin(db, waiting.id, 1, "2026-02-02T08:00:00.000Z")
            jobs.end(
                *(db, waiting.id, "failed" if code else "done", "2026-02-02T08:00:02.500Z"),
                exit_code=code,
                output=output,
            )
    rows = [json.loads(line) for line in pynchy("jobs", "log", ID).stdout.splitlines()]
    assert [list(row) for row in rows] == [LOG_KEYS] * 2
    wanted = {"result": "failed", "exit_code": 3, "seconds": 2.5, "by_hand": True}
    assert wanted.items() <= rows[1].items()
    assert [row["output"] for row in rows] == ["one\n", "two\nlast \x1b[31mline\n"]
    assert rows[0]["due_local"].split()[-1] == "IST"
    assert len(pynchy("jobs", "log", ID, "-n", "1").stdout.splitlines()) == 1
    assert listed(pynchy)[0]["last_result"] == "failed"
    code, lines = on_terminal(home, environment, "jobs", "log", ID, columns=80)
    assert code == 0
    assert lines[0].split()[:3] == ["DUE", "RESULT", "SECONDS"]
    assert "failed (3)  2.5" in lines[2]
    assert "last \\x1b" in lines[2]
    assert all(len(line) <= 80 for line in lines)
    _, lines = on_terminal(home, environment, "jobs", "show", ID, columns=80)
    assert lines[-3:] == ["last output:", "> two", "> last \\x1b[31mline"]
