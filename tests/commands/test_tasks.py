"""`pynchy tasks`: what each prints, refuses and changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from pynchy_cli import clock, locks, recurrence
from pynchy_cli.model import Task
from pynchy_cli.store import failures, tasks, timetable
from pynchy_cli.store.timetable import TASKS
from tests.clocks import task
from tests.conftest import Pynchy
from tests.pending import on_terminal, store_of

PAST = "2026-01-31T08:00:00.000Z"
ID = "task-aaaaaa"
LIST_KEYS = [
    *("id", "name", "group", "status", "source", "schedule_type", "schedule_value", "timezone"),
    *("next_run", "next_local", "last_run", "last_result", "summary"),
]
KEYS = [
    *LIST_KEYS[:-1],
    *("anchor", "paused_by", "catch_up", "created_by", "created_at", "ended_at", "chat"),
    *("context_mode", "overlap", "condition", "condition_timeout", "prompt", "next"),
]
LOG_KEYS = [
    *("id", "due_at", "due_local", "fired_at", "missed_since", "by_hand", "status", "reason"),
    *("result", "run", "started_at", "finished_at", "seconds", "error", "answer"),
]


def made(pynchy: Pynchy, *arguments: str, **more: Any) -> dict[str, Any]:
    """A task that is added, as the command tells it."""
    document: dict[str, Any] = json.loads(pynchy("tasks", "add", *arguments, **more).stdout)
    return document


def listed(pynchy: Pynchy, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pynchy("tasks", "list", *arguments).stdout.splitlines()]


def shown(pynchy: Pynchy, id: str = ID) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(pynchy("tasks", "show", id).stdout)
    return document


def have(home: Path, *made: Task) -> None:
    """These tasks in the home's database."""
    with closing(store_of(home)) as store, store.atomic() as db:
        for one in made:
            tasks.add(db, one)


def daily(**more: Any) -> Task:
    """A task of the group main, due at nine each day in Berlin."""
    return task(PAST, "cron", "0 9 * * *", "Europe/Berlin", **{"group_folder": "main", **more})


def write(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "data/messages.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def dump(home: Path) -> list[tuple[Any, ...]]:
    """All tasks, firings and runs."""
    with closing(sqlite3.connect(home / "data/messages.db")) as db:
        tables = ("scheduled_tasks", "task_run_logs", "runs")
        return [row for table in tables for row in db.execute(f"SELECT * FROM {table}")]


def test_a_task_tells_when_it_is_due_next(home: Path, pynchy: Pynchy) -> None:
    before = clock.now()
    one = made(pynchy, "--cron", "0 18 * * 1-5", "--tz", "Europe/Berlin", "--prompt", "Cook.")
    assert list(one) == KEYS
    assert before <= one["created_at"] <= clock.now()
    assert one["id"].startswith("task-")
    schedule = recurrence.read("cron", "0 18 * * 1-5", "Europe/Berlin", one["created_at"])
    due = recurrence.upcoming(schedule, None, one["created_at"], 3)
    assert [time["utc"] for time in one["next"]] == due
    assert [" 18:00 CE" in time["local"] for time in one["next"]] == [True] * 3
    assert (one["next_run"], one["next_local"]) == (due[0], one["next"][0]["local"])
    wanted = {
        "group": "main",
        "chat": None,
        "name": None,
        "prompt": "Cook.",
        "status": "active",
        "source": "person",
        "created_by": "owner (shell)",
        "context_mode": "isolated",
        "catch_up": "once",
        "overlap": "skip",
        "condition": None,
        "anchor": None,
        "schedule_type": "cron",
        "schedule_value": "0 18 * * 1-5",
        "last_run": None,
        "timezone": "Europe/Berlin",
        "paused_by": None,
        "ended_at": None,
        "last_result": None,
    }
    assert wanted.items() <= one.items()
    assert shown(pynchy, one["id"]) == {**one, "log": []}


def test_all_of_a_task_can_be_said(home: Path, pynchy: Pynchy) -> None:
    pynchy("groups", "add", "family", "--chat", "slack:C1")
    write(
        home,
        "INSERT INTO chats(jid, channel, first_seen_at) VALUES('slack:C2', 'slack', 'x')",
        "INSERT INTO group_chats(jid, group_folder) VALUES('slack:C2', 'family')",
    )
    one = made(
        pynchy,
        *("--at", "2099-12-01 09:00", "--tz", "America/New_York", "--group", "family"),
        *("--prompt", "-", "--name", "Look", "--chat", "slack:C2", "--context", "group"),
        *("--catch-up", "skip", "--overlap", "queue", "--condition", "test -e x"),
        *("--condition-timeout", "2.5", "--paused"),
        input="From a file,\nas it is.\n",
    )
    wanted = {
        "schedule_type": "once",
        "schedule_value": "2099-12-01T14:00:00.000Z",
        "timezone": "America/New_York",
        "group": "family",
        "chat": "slack:C2",
        "name": "Look",
        "prompt": "From a file,\nas it is.",
        "context_mode": "group",
        "catch_up": "skip",
        "overlap": "queue",
        "condition": "test -e x",
        "condition_timeout": 2.5,
        "status": "paused",
        "paused_by": "person",
        "next_run": None,
    }
    assert wanted.items() <= one.items()
    assert one["next"] == [{"utc": "2099-12-01T14:00:00.000Z", "local": "Tue 2099-12-01 09:00 EST"}]


def test_the_zone_is_the_configured_one_or_the_machines(home: Path, pynchy: Pynchy) -> None:
    tokyo = {"TZ": "Asia/Tokyo"}
    one = made(pynchy, "--at", "2099-07-01 09:00", "--prompt", "x", env=tokyo)
    assert (one["timezone"], one["next_run"]) == ("Asia/Tokyo", "2099-07-01T00:00:00.000Z")
    assert one["next_local"] == "Wed 2099-07-01 09:00 JST"
    berlin = {**tokyo, "PYNCHY_SCHEDULER__TIMEZONE": "Europe/Berlin"}
    one = made(pynchy, "--at", "2099-07-01 09:00", "--prompt", "x", env=berlin)
    assert (one["timezone"], one["next_run"]) == ("Europe/Berlin", "2099-07-01T07:00:00.000Z")


def test_an_interval_begins_one_interval_from_now(home: Path, pynchy: Pynchy) -> None:
    one = made(pynchy, "--every", "30m", "--prompt", "x")
    first = clock.after(one["created_at"], 1800)
    assert (one["schedule_value"], one["anchor"], one["next_run"]) == ("1800", first, first)
    due = [clock.after(first, seconds) for seconds in (0, 1800, 3600)]
    assert [time["utc"] for time in one["next"]] == due


def test_the_group_is_the_only_one_or_the_admins(home: Path, pynchy: Pynchy) -> None:
    pynchy("groups", "add", "family")
    assert made(pynchy, "--every", "1h", "--prompt", "x")["group"] == "main"
    pynchy("groups", "add", "boss", "--admin")
    done = pynchy("tasks", "add", "--every", "1h", "--prompt", "x", code=2)
    assert "--group NAME. There are: main, family, boss." in done.stderr
    pynchy("groups", "remove", "main", "--yes")
    pynchy("groups", "remove", "boss", "--yes")
    assert made(pynchy, "--every", "1h", "--prompt", "x")["group"] == "family"


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--prompt", "x"), "give one of --cron"),
    (("--prompt", "x", "--every", "1h", "--cron", "@daily"), "Only one schedule"),
    (("--every", "1h"), "needs a prompt"),
    (("--every", "1h", "--prompt", " \n"), "can't be empty"),
    (("--every", "1h", "--prompt", "-"), "can't be empty"),
    (("--every", "1h", "--prompt", "x" * 100_001), "100000 characters"),
    (("--every", "9s", "--prompt", "x"), "10 seconds at least"),
    (("--cron", "0 0 9 * * *", "--prompt", "x"), "6 fields"),
    (("--cron", "0 9 30 2 *", "--prompt", "x"), "never"),
    (("--at", "2020-01-01 09:00", "--prompt", "x"), "past"),
    (("--every", "1h", "--prompt", "x", "--tz", "Europe/Berln"), "Europe/Berlin"),
    (("--every", "1h", "--prompt", "x", "--chat", "local:other"), "must be one of local:main"),
    (("--every", "1h", "--prompt", "x", "--name", "a\nb"), "one line"),
    (("--every", "1h", "--prompt", "x", "--condition-timeout", "0"), "more than 0"),
    (("--every", "1h", "--prompt", "x", "--condition-timeout", "nan"), "more than 0"),
    (("--every", "1h", "--prompt", "x", "--overlap", "both"), "both"),
    (("--every", "1h", "--prompt", "x", "trailing"), "trailing"),
]


def test_what_cant_be_is_refused_in_a_sentence(home: Path, pynchy: Pynchy) -> None:
    for arguments, words in REFUSED:
        done = pynchy("tasks", "add", *arguments, "--json", code=2)
        error = json.loads(done.stdout)["error"]
        assert error["code"] in ("usage_wrong", "schedule_invalid")
        assert words.lower() in error["message"].lower()
        assert error["message"] in done.stderr
        assert dump(home) == []


def test_an_unknown_group_names_the_nearest(home: Path, pynchy: Pynchy) -> None:
    done = pynchy(*("tasks", "add", "--every", "1h", "--prompt", "x", "--group", "mian"), code=1)
    assert "Did you mean 'main'?" in done.stderr
    assert "Did you mean 'main'?" in pynchy("tasks", "list", "--group", "mian", code=1).stderr


def test_tasks_are_listed_the_next_due_first(home: Path, pynchy: Pynchy) -> None:
    assert pynchy("tasks", "list").stdout == ""
    pynchy("groups", "add", "family")
    have(
        home,
        daily(id="task-later", next_run="2099-01-02T08:00:00.000Z", prompt="a\n" * 500),
        daily(id="task-sooner", next_run="2099-01-01T08:00:00.000Z", group_folder="family"),
        daily(id="task-over", status="cancelled", next_run=None, ended_at=clock.now()),
        daily(id="task-paused", status="paused", paused_by="agent"),
    )
    rows = listed(pynchy)
    assert list(rows[0]) == LIST_KEYS
    assert [row["id"] for row in rows] == ["task-sooner", "task-later", "task-paused"]
    assert [row["next_run"] for row in rows][1:] == ["2099-01-02T08:00:00.000Z", None]
    assert rows[1]["next_local"] == "Fri 2099-01-02 09:00 CET"
    assert len(rows[1]["summary"]) == 201
    assert rows[1]["summary"].startswith("a a a")
    assert [row["id"] for row in listed(pynchy, "--group", "family")] == ["task-sooner"]
    assert {row["id"] for row in listed(pynchy, "--all")} >= {"task-over", "task-paused"}


def test_ten_thousand_tasks_are_listed(home: Path, pynchy: Pynchy) -> None:
    like = daily()
    have(home, *(replace(like, id=f"task-{number:06}") for number in range(10_000)))
    assert len(listed(pynchy)) == 10_000


def test_a_terminal_of_80_columns_is_enough(
    home: Path, pynchy: Pynchy, environment: Mapping[str, str]
) -> None:
    nasty = "\x1b[2Jred\r\n\nid: task-zzzzzz\u202e"
    far = "2099-01-01T08:00:00.000Z"
    have(home, daily(name="Every morning", next_run=far), daily(id="task-bbbbbb", prompt=nasty))
    utc = {**environment, "TZ": "UTC"}
    for arguments in (("list",), ("show", "task-bbbbbb")):
        code, lines = on_terminal(home, utc, "tasks", *arguments, columns=80)
        assert code == 0
        assert all(len(line) <= 80 for line in lines)
        assert not any(mark in line for line in lines for mark in ("\x1b", "\r", "\u202e"))
    _, lines = on_terminal(home, utc, "tasks", "list", columns=80)
    assert lines[0].split() == ["ID", "GROUP", "SCHEDULE", "NEXT", "(UTC)", "WHAT"]
    assert "task-aaaaaa  main   0 9 * * *  2099-01-01   Every morning: Look" in lines[2]
    have(home, daily(id="task-cccccc", next_run="2099-07-01T08:00:00.000Z"))
    _, lines = on_terminal(home, {**utc, "TZ": "Europe/Berlin"}, "tasks", "list", columns=80)
    assert "  NEXT (CEST/CET)  " in lines[0]
    _, lines = on_terminal(home, utc, "tasks", "show", "task-bbbbbb", columns=80)
    assert [line for line in lines if line.startswith("id: ")] == ["id: task-bbbbbb"]
    assert "> id: task-zzzzzz\\u202e" in lines
    _, lines = on_terminal(
        *(home, utc, "tasks", "add", "--at", "2099-07-01 09:00", "--tz", "Europe/Berlin"),
        *("--prompt", "x"),
        columns=80,
    )
    assert lines[0].startswith("Added the task task-")
    assert lines[1] == "  Wed 2099-07-01 09:00 CEST  (2099-07-01T07:00:00.000Z)"


def test_editing_changes_what_is_given_and_nothing_else(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(name="Look", condition="true"), daily(id="task-bbbbbb"))
    before = shown(pynchy)
    pynchy("tasks", "edit", ID, "--prompt", "-", "--name", "", input="New.\n")
    assert shown(pynchy) == {**before, "prompt": "New.", "name": None}
    pynchy("tasks", "edit", ID, "--condition", "", "--overlap", "queue", "--context", "group")
    after = shown(pynchy)
    changed = {"condition": None, "overlap": "queue", "context_mode": "group"}
    assert after == {**before, "prompt": "New.", "name": None, **changed}
    edited = json.loads(pynchy("tasks", "edit", ID, "--every", "2h").stdout)
    assert {**edited, "log": []} == shown(pynchy)
    assert (edited["schedule_value"], edited["timezone"]) == ("7200", "Europe/Berlin")
    assert edited["anchor"] == edited["next_run"] > clock.after(clock.now(), 7000)
    assert shown(pynchy, "task-bbbbbb")["schedule_value"] == "0 9 * * *"


def test_editing_lets_go_of_failures(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(), daily(id="task-bbbbbb"))
    with closing(store_of(home)) as store:
        with store.atomic() as db:
            for id in (ID, "task-bbbbbb"):
                failures.note(db, "schedule", f"task:{id}", "broken", PAST)
        pynchy("tasks", "edit", ID, "--prompt", "x")
        assert [one.subject for one in failures.all(store.db)] == ["task:task-bbbbbb"]
        pynchy("tasks", "cancel", "task-bbbbbb")
        assert failures.all(store.db) == []


NOT_EDITED: list[tuple[tuple[str, ...], str]] = [
    ((), "Nothing is to be changed"),
    (("--prompt", ""), "can't be empty"),
    (("--name", "fine", "--cron", "R 9 * * *"), "drawn by lot"),
    (("--name", "fine", "--tz", "Nowhere"), "Nowhere"),
    (("--every", "1h", "--at", "2099-01-01 09:00"), "Only one schedule"),
    (("--group", "family"), "give --chat as well"),
    (("--group", "family", "--chat", "local:main"), "no chat of family"),
]


def test_an_edit_that_cant_be_changes_nothing(home: Path, pynchy: Pynchy) -> None:
    pynchy("groups", "add", "family")
    have(home, daily(chat_jid="local:main"))
    before = dump(home)
    for arguments, words in NOT_EDITED:
        assert words in pynchy("tasks", "edit", ID, *arguments, code=2).stderr
        assert dump(home) == before


def test_a_task_moves_to_another_group(home: Path, pynchy: Pynchy) -> None:
    pynchy("groups", "add", "family")
    have(home, daily(chat_jid="local:main"))
    pynchy("tasks", "edit", ID, "--group", "family", "--chat", "")
    assert (shown(pynchy)["group"], shown(pynchy)["chat"]) == ("family", None)


def test_tasks_are_paused_and_resumed_from_now_on(home: Path, pynchy: Pynchy) -> None:
    like = task(PAST, "interval", "1h", group_folder="main")
    have(home, like, daily(id="task-bbbbbb"))
    paused = pynchy("tasks", "pause", ID, "task-bbbbbb", ID).stdout.splitlines()
    assert [json.loads(line) for line in paused] == [
        {
            "ok": True,
            "id": id,
            "status": "paused",
            "next_run": None,
            "message": f"The task {id} is paused.",
        }
        for id in (ID, "task-bbbbbb")
    ]
    assert "paused already" in pynchy("tasks", "pause", ID).stdout
    before = clock.now()
    told = json.loads(pynchy("tasks", "resume", ID).stdout)
    assert told["status"] == "active"
    assert before < told["next_run"] <= clock.after(clock.now(), 3600)
    assert clock.seconds_between(like.next_run or "", told["next_run"]) % 3600 == 0
    assert "is not paused" in pynchy("tasks", "resume", ID).stdout
    one = shown(pynchy)
    assert (one["anchor"], one["paused_by"], one["log"]) == (like.next_run, None, [])


def test_a_time_that_went_by_while_it_was_paused_stays_so(home: Path, pynchy: Pynchy) -> None:
    have(home, task(PAST, "once", "2026-02-01 09:00", group_folder="main", status="paused"))
    told = json.loads(pynchy("tasks", "resume", ID).stdout)
    assert (told["status"], told["next_run"]) == ("completed", None)
    assert "went by while it was paused" in told["message"]
    edited = json.loads(pynchy("tasks", "edit", ID, "--at", "2099-02-01 09:00").stdout)
    assert (edited["status"], edited["ended_at"]) == ("active", None)


def test_a_persons_pause_takes_the_place_of_an_agents(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(status="paused", paused_by="agent"))
    pynchy("tasks", "pause", ID)
    assert shown(pynchy)["paused_by"] == "person"


def test_cancelled_tasks_stay_to_be_seen(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(), daily(id="task-bbbbbb"))
    before = dump(home)
    done = pynchy("tasks", "cancel", "task-bbbbbb", "task-aaaaa", code=1)
    assert "Did you mean 'task-aaaaaa'?" in done.stderr
    assert dump(home) == before
    pynchy("tasks", "cancel", ID, "task-bbbbbb")
    assert listed(pynchy) == []
    assert [row["status"] for row in listed(pynchy, "--all")] == ["cancelled"] * 2
    for verb in ("pause", "resume", "cancel", "run"):
        assert "is cancelled; add a new one" in pynchy("tasks", verb, ID, code=2).stderr
    assert "is cancelled" in pynchy("tasks", "edit", ID, "--every", "1h", code=2).stderr
    assert shown(pynchy)["next"] == []


def test_what_is_configured_is_changed_there(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(id="nightly", source="config"))
    before = dump(home)
    for verb in (("edit", "nightly", "--every", "1h"), ("cancel", "nightly")):
        done = pynchy("tasks", *verb, "--json", code=2)
        error = json.loads(done.stdout)["error"]
        assert error["code"] == "task_fixed"
        assert "config.toml" in error["message"]
        assert "[tasks.nightly]" in error["message"]
    assert dump(home) == before
    pynchy("tasks", "pause", "nightly")
    assert json.loads(pynchy("tasks", "resume", "nightly").stdout)["status"] == "active"
    write(home, "UPDATE scheduled_tasks SET status = 'paused', paused_by = 'config'")
    assert "not enabled" in pynchy("tasks", "resume", "nightly").stdout
    write(home, "UPDATE scheduled_tasks SET status = 'cancelled', ended_at = created_at")
    for verb in ("pause", "resume", "run"):
        assert (
            "only config.toml can bring it back" in pynchy("tasks", verb, "nightly", code=2).stderr
        )


def test_an_unknown_id_is_told(home: Path, pynchy: Pynchy) -> None:
    job = json.loads(pynchy("jobs", "add", "--every", "1h", "--", "true").stdout)["id"]
    assert "is a host job, and no task" in pynchy("tasks", "show", job, code=1).stderr
    for verb in ("show", "log", "pause", "resume", "cancel", "run"):
        done = pynchy("tasks", verb, "task-\udcff", "--json", code=1)
        assert json.loads(done.stdout)["error"]["code"] == "task_unknown"


def test_a_task_is_run_by_hand_once_at_a_time(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(condition="false", prompt="Look!"), daily(id="task-bbbbbb"))
    due = shown(pynchy)["next_run"]
    done = pynchy("tasks", "run", ID)
    told = json.loads(done.stdout)
    assert told["message"] == f"The task {ID} is queued as run {told['run']}."
    assert "run-agent is not running" in done.stderr
    one = shown(pynchy)
    (firing,) = one["log"]
    assert list(firing) == LOG_KEYS
    wanted = {"by_hand": True, "status": "fired", "result": "queued", "run": told["run"]}
    assert wanted.items() <= firing.items()
    assert (one["next_run"], one["last_result"]) == (due, "queued")
    assert {row["id"]: row["last_result"] for row in listed(pynchy)} == {
        ID: "queued",
        "task-bbbbbb": None,
    }
    run = json.loads(pynchy("runs", "show", str(told["run"])).stdout)
    assert (run["lane"], run["kind"]) == (f"task:{ID}", "task")
    before = dump(home)
    done = pynchy("tasks", "run", "task-bbbbbb", ID, "--json", code=1)
    assert json.loads(done.stdout)["error"]["code"] == "task_busy"
    assert "not over yet" in done.stderr
    assert dump(home) == before
    write(home, "UPDATE runs SET state = 'running'")
    pynchy("tasks", "run", ID, code=1)
    write(home, "UPDATE runs SET state = 'done'")
    pynchy("tasks", "run", ID)


def test_the_log_tells_what_came_of_each_firing(
    home: Path, pynchy: Pynchy, environment: Mapping[str, str]
) -> None:
    have(home, daily())
    pynchy("tasks", "run", ID)
    with closing(store_of(home)) as store, store.atomic() as db:
        timetable.fired(
            *(db, TASKS, ID),
            due_at="2026-02-02T08:00:00.000Z",
            status="skipped",
            now="2026-02-02T08:00:01.000Z",
            missed_since="2026-02-01T08:00:00.000Z",
            reason="the one before was not over yet",
        )
    write(
        home,
        "UPDATE runs SET state = 'failed', error = 'no \x1b[31mkey', result = 'half\nof it',"
        " started_at = '2026-02-02T08:00:00.000Z', finished_at = '2026-02-02T08:00:02.500Z'",
    )
    rows = [json.loads(line) for line in pynchy("tasks", "log", ID).stdout.splitlines()]
    assert [list(row) for row in rows] == [LOG_KEYS] * 2
    first = {"result": "failed", "seconds": 2.5, "error": "no \x1b[31mkey", "answer": "half\nof it"}
    assert first.items() <= rows[0].items()
    second = {
        "due_at": "2026-02-02T08:00:00.000Z",
        "due_local": "Mon 2026-02-02 09:00 CET",
        "status": "skipped",
        "result": "skipped",
        "run": None,
        "seconds": None,
        "missed_since": "2026-02-01T08:00:00.000Z",
        "fired_at": "2026-02-02T08:00:01.000Z",
        "reason": "the one before was not over yet",
    }
    assert second.items() <= rows[1].items()
    limited = pynchy("tasks", "log", ID, "--limit", "1").stdout
    assert [json.loads(line)["id"] for line in limited.splitlines()] == [rows[1]["id"]]
    assert listed(pynchy)[0]["last_result"] == "skipped"
    code, lines = on_terminal(home, environment, "tasks", "log", ID, columns=80)
    assert code == 0
    assert lines[0].split()[:4] == ["DUE", "RESULT", "RUN", "SECONDS"]
    assert lines[1].endswith("by hand; no \\x1b[31mkey")
    assert all(len(line) <= 80 for line in lines)
    _, lines = on_terminal(home, environment, "tasks", "show", ID, columns=80)
    assert lines[-2:] == ["last reason:", "> the one before was not over yet"]
    write(home, "DELETE FROM task_run_logs WHERE run_id IS NULL")
    _, lines = on_terminal(home, environment, "tasks", "show", ID, columns=80)
    assert lines[-3:] == ["last answer:", "> half", "> of it"]


def test_a_zone_that_is_gone_hides_nothing(home: Path, pynchy: Pynchy) -> None:
    have(home, daily(next_run="2099-01-01T08:00:00.000Z"))
    pynchy("tasks", "run", ID)
    write(home, "UPDATE scheduled_tasks SET timezone = 'Nowhere/City'")
    assert [row["next_local"] for row in listed(pynchy)] == ["Thu 2099-01-01 08:00 UTC"]
    assert shown(pynchy)["next"] == []
    assert len(pynchy("tasks", "log", ID).stdout.splitlines()) == 1
    mended = json.loads(pynchy("tasks", "edit", ID, "--tz", "Asia/Tokyo").stdout)
    assert mended["next_local"].endswith(" 09:00 JST")


def test_who_would_wait_for_nothing_is_told(home: Path, pynchy: Pynchy) -> None:
    arguments = ("tasks", "add", "--every", "1h", "--prompt", "x")
    assert "schedule is not running" in pynchy(*arguments).stderr
    assert pynchy(*arguments, "--paused").stderr == ""
    held = locks.take(home / "data/run/schedule.lock")
    assert held is not None
    try:
        assert pynchy(*arguments).stderr == ""
    finally:
        held.release()
