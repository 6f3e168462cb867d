"""`pynchy status`: the whole document, its exit codes, and that it works when nothing else does."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pynchy_cli import __version__, clock, locks, status_quick, status_table
from pynchy_cli.config.paths import choose_home
from pynchy_cli.store import connection, counters, processes, requests, status, totals
from pynchy_cli.store.connection import Store
from tests import pending, status_document

NOTHING: dict[str, Any] = {
    "service": {"status": "down", "started_at": None, "uptime_seconds": 0},
    "problem": None,
    "troubles": [
        {"level": "wrong", "about": "service", "message": "Nothing runs.", "command": "pynchy up"}
    ],
    "deploy": {
        "head_sha": None,
        "head_commit": None,
        "dirty": None,
        "unpushed_commits": None,
        "last_deploy_at": None,
        "last_deploy_sha": None,
        "checked_at": None,
        "age_seconds": None,
    },
    "supervisor": {"running": False, "pid": None, "since": None, "unit": None},
    "stages": {},
    "backlog": {
        name: {"count": 0, "oldest_at": None, "oldest_seconds": None}
        for name in ("route", "run-agent", "ipc-watch", "schedule")
    },
    "channels": {"local": True},
    "gateway": {"mode": None, "connected": False},
    "queue": {
        "active_containers": 0,
        "max_concurrent": None,
        "groups_waiting": 0,
        "per_group": {
            "main": {
                "active": False,
                "is_task": False,
                "pending_messages": 0,
                "pending_tasks": 0,
            }
        },
    },
    "repos": {},
    "messages": {
        "total_inbound": 0,
        "total_outbound": 0,
        "last_received_at": None,
        "last_sent_at": None,
        "pending_deliveries": 0,
        "unknown_deliveries": 0,
        "held_deliveries": 0,
        "dead_deliveries": 0,
    },
    "requests": {"total": 0, "refused": 0, "failed": 0, "unreadable": 0, "waiting": 0}
    | {"errors": []},
    "approvals": {"pending": 0, "oldest_asked_at": None, "oldest_seconds": None},
    "questions": {"pending": 0, "oldest_asked_at": None, "oldest_seconds": None},
    "holds": [],
    "hold_count": 0,
    "tasks": [],
    "task_counts": {"total": 0, "active": 0, "paused": 0, "failing": 0},
    "host_jobs": [],
    "host_job_counts": {"total": 0, "active": 0, "paused": 0, "failing": 0},
    "groups": {"total": 1, "active_sessions": 0},
    "failures": {"set_aside": 0, "retrying": 0, "rows": [], "given_up": 0, "runs": []}
    | {"runs_again": []},
    "sandbox": {"runtime": None, "missing": [], "warning": None},
    "findings": {},
    "configuration": {"state": None, "message": None, "at": None},
}
REFUSED = json.dumps({"ok": False, "error": {"code": "chat_unknown", "message": "No such chat."}})
IN_FORCE: dict[str, Any] = {
    "queue": {"max_concurrent": 5},
    "gateway": {"mode": "auto"},
    "secrets": {"anthropic_api_key": "", "claude_code_oauth_token": ""},
    "sandbox": {"runtime": "auto"},
    "supervise": {"stages": ["route", "run-agent", "backup"]},
    "backup": {"folder": ""},
}


@contextmanager
def stage(home: Path, name: str, report: str | None = None) -> Iterator[int]:
    """A stage that runs, as its row and its lock say; this process stands in for it."""
    with closing(Store.open(home / "data/messages.db")) as store, store.atomic() as db:
        id = processes.start(
            db,
            stage=name,
            pid=os.getpid(),
            version=__version__,
            config_hash="x",
            settings=json.dumps(IN_FORCE),
            hashes="{}",
            now="2026-01-01T00:00:00.000Z",
        )
        if report:
            processes.report(db, id, report, clock.now())
    lock = locks.take(home / f"data/run/owner-{id}.lock")
    assert lock is not None
    try:
        yield id
    finally:
        lock.release()


def told_of(home: Path) -> dict[str, Any]:
    """The document as it is read, held to its shape."""
    told = status.read(str(home / "data/messages.db"), str(home / "data/run"), clock.now())
    jsonschema.validate(told, status_document.SCHEMA)
    return told


def wrong(told: dict[str, Any], level: str = "wrong") -> dict[str, str]:
    """What is wrong, or warned of: what it is about -> what is said."""
    return {one["about"]: one["message"] for one in told["troubles"] if one["level"] == level}


def run_sql(home: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(home / "data/messages.db")) as db, db:
        db.execute(sql, values)


def test_the_whole_document_of_a_fresh_home(home: Path, pynchy: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    told = json.loads(pynchy("status", code=4).stdout)
    jsonschema.validate(told, status_document.SCHEMA)
    database, disk, versions = told.pop("database"), told.pop("disk"), told.pop("versions")
    assert told == NOTHING
    assert database["path"] == str(home / "data/messages.db")
    assert (database["schema"], database["stale"]) == (connection.SCHEMA, False)
    assert (database["size"] > 4096, database["wal_size"]) == (True, 0)
    assert disk["path"] == str(home / "data")
    assert 0 < disk["free"] <= disk["total"]
    assert versions["pynchy"] == __version__
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_healthy_when_all_stages_run(home: Path, pynchy: Any) -> None:
    facts = json.dumps(
        {
            "runtime": "bubblewrap",
            "isolated": True,
            "missing": ["memory limit"],
            "max_concurrent": 3,
        }
    )
    with stage(home, "route", "watching 1 group"), stage(home, "run-agent", facts):
        told = json.loads(pynchy("status", "--json").stdout)
    assert told["service"]["status"] == "healthy"
    assert told["service"]["started_at"] == "2026-01-01T00:00:00.000Z"
    assert told["service"]["uptime_seconds"] > 0
    assert list(told["stages"]) == ["route", "run-agent"]
    assert told["stages"]["route"]["report"] == "watching 1 group"
    assert told["stages"]["route"]["pid"] == os.getpid()
    assert (told["stages"]["route"]["state"], wrong(told)) == ("running", {})
    assert told["configuration"]["state"] == "ok"
    assert told["queue"]["max_concurrent"] == 3
    assert told["gateway"] == {"mode": "rehearsal", "connected": False}
    assert told["sandbox"] == {
        "runtime": "bubblewrap",
        "missing": ["memory limit"],
        "warning": "Not to be had here: memory limit.",
    }


def test_degraded_when_a_stage_was_killed(home: Path, pynchy: Any) -> None:
    with stage(home, "route"):
        with stage(home, "run-agent"):
            pass
        told = json.loads(pynchy("status", code=1).stdout)
    assert told["service"]["status"] == "degraded"
    assert told["stages"]["route"]["running"] is True
    dead = told["stages"]["run-agent"]
    assert (dead["running"], dead["pid"]) == (False, None)
    assert "ended without a word" in dead["error"]
    assert (dead["state"], list(wrong(told))) == ("died", ["stage:run-agent"])


def test_a_stage_that_cannot_start_is_told_with_its_reason(
    home: Path, tmp_path: Path, pynchy: Any
) -> None:
    for env, code, reason in (
        ({"PATH": str(tmp_path)}, 1, "bubblewrap is not installed"),
        ({"PYNCHY_SANDBOX__RUNTIME": "dokcer"}, 100, "No plugin is called 'dokcer'"),
    ):
        pynchy("run-agent", "--once", env=env, code=code)
        with stage(home, "route"):
            told = json.loads(pynchy("status", code=1).stdout)["stages"]["run-agent"]
        assert told["running"] is False
        assert reason in told["error"]
        assert told["error_at"] is not None
        alone = json.loads(pynchy("status", code=4).stdout)["stages"]
        assert reason in alone["run-agent"]["error"], "nothing runs, and it is told all the same"


def test_degraded_when_something_was_set_aside(home: Path, pynchy: Any) -> None:
    run_sql(
        home,
        "INSERT INTO failures VALUES "
        "('route', 'message:7', 3, 'set_aside', 'ValueError: no', 'a', 'b', NULL)",
    )
    with stage(home, "route"), stage(home, "run-agent"):
        told = json.loads(pynchy("status", code=1).stdout)
    assert told["failures"]["set_aside"] == 1
    assert told["failures"]["rows"][0]["subject"] == "message:7"
    assert "message:7 was set aside by route" in wrong(told)["message:7"]


@pytest.mark.parametrize(
    ("state", "held", "name"), [("dead", 0, "dead_deliveries"), ("unknown", 1, "held_deliveries")]
)
def test_degraded_when_a_reply_waits_for_a_person(
    home: Path, pynchy: Any, state: str, held: int, name: str
) -> None:
    run_sql(
        home,
        "INSERT INTO outbound_ledger(id, key, chat_jid, content, source, created_at)"
        " VALUES (7, 'k', 'local:main', 'x', 'agent', 'a')",
    )
    run_sql(
        home,
        "INSERT INTO outbound_deliveries(ledger_id, chat_jid, channel, state, held)"
        " VALUES (7, 'slack:C1', 'slack', ?, ?)",
        *(state, held),
    )
    with stage(home, "route"), stage(home, "run-agent"):
        told = json.loads(pynchy("status", code=1).stdout)
    assert told["messages"][name] == 1
    assert list(wrong(told)) == ["deliveries"]


def given_up(home: Path, *numbers: int) -> None:
    for number in numbers:
        run_sql(
            home,
            "INSERT INTO runs(id, group_folder, lane, kind, state, attempts, error, created_at,"
            " finished_at) VALUES (?, 'main', 'chat', 'chat', 'failed', 6, ?, 'a', ?)",
            *(number, f"error {number}", f"2026-01-{number:02}T00:00:00.000Z"),
        )


def test_runs_that_were_given_up_are_told_until_they_are_tried_again(
    home: Path, pynchy: Any
) -> None:
    given_up(home, *range(1, totals.GIVEN_UP + 3))
    run_sql(home, "UPDATE runs SET kind = 'shell' WHERE id = 3")
    pynchy("runs", "retry", "2")
    told = json.loads(pynchy("status", code=4).stdout)["failures"]
    assert (told["given_up"], len(told["runs"])) == (totals.GIVEN_UP, totals.GIVEN_UP)
    assert [one["id"] for one in told["runs"]] == [*range(totals.GIVEN_UP + 2, 3, -1), 1]
    assert told["runs"][-1] == {
        "id": 1,
        "group": "main",
        "attempts": 6,
        "error": "error 1",
        "finished_at": "2026-01-01T00:00:00.000Z",
    }
    given_up(home, 20)
    told = json.loads(pynchy("status", code=4).stdout)["failures"]
    assert (told["given_up"], len(told["runs"])) == (totals.GIVEN_UP + 1, totals.GIVEN_UP)


def test_a_run_whose_attempt_failed_is_told_of_while_it_goes_on(home: Path) -> None:
    for id, state, error, owner in (
        (1, "queued", "the model can't be reached.", None),
        (2, "running", "the same", 1),
        (3, "queued", None, None),
    ):
        run_sql(
            home,
            "INSERT INTO runs(id, group_folder, lane, kind, state, attempts, error, created_at,"
            " not_before, owner) VALUES (?, 'main', 'lane' || ?, 'shell', ?, 2, ?, 'a', 'b', ?)",
            *(id, id, state, error, owner),
        )
    told = told_of(home)
    again = told["failures"]["runs_again"]
    assert [one["id"] for one in again] == [2, 1]
    assert again[1] == {
        "id": 1,
        "group": "main",
        "attempts": 2,
        "error": "the model can't be reached.",
        "retry_at": "b",
    }
    (line,) = (one for one in status_table.lines(told, str(home), clock.now()) if "run:1" in one)
    why = "isn't done after 2 attempts: the model can't be reached; `pynchy why run:1`"
    assert line == f"warning    run:1 of main {why}"


def test_the_table_names_what_was_given_up(home: Path) -> None:
    given_up(home, *range(7, 7 + totals.GIVEN_UP + 1))
    document = told_of(home)
    assert document["service"]["status"] == "down"
    lines = status_table.lines(document, str(home), clock.now())
    named = "warning    run:12 of main failed for good: error 12; `pynchy why run:12`"
    assert named in lines
    assert "warning    1 more run failed for good; `pynchy runs list`" in lines


def test_what_agents_ask_is_counted(home: Path, pynchy: Any) -> None:
    with closing(pending.store_of(home)) as store:
        pending.needs_yes(store, "k7m2", 1, asked_at="2026-02-01T08:00:00.000Z")
        pending.needs_yes(store, "d8e9", 2)
        pending.needs_answer(store, "b3c4", 3)
        for number, state in enumerate(("done", "done", "failed", "unknown", "refused"), 4):
            row = pending.waits(store, number)
            with store.atomic() as db:
                requests.answer(db, row.id, state, REFUSED, clock.now())
        with store.atomic() as db:
            counters.bump(db, "requests_unreadable", clock.now(), 7)
    told = json.loads(pynchy("status", code=4).stdout)
    errors = told["requests"].pop("errors")
    assert [one["error"] for one in errors] == ["No such chat.", "No such chat."]
    assert errors[0]["id"] > errors[1]["id"]
    assert told["requests"] == {"total": 8, "refused": 1, "failed": 2, "unreadable": 7} | {
        "waiting": 3
    }
    assert (told["approvals"]["pending"], told["questions"]["pending"]) == (2, 1)
    assert told["approvals"]["oldest_asked_at"] == pending.ASKED_AT
    assert told["approvals"]["oldest_seconds"] > 86_400
    lines = status_table.lines(told_of(home), str(home), clock.now())
    (line,) = [one for one in lines if "yes or no" in one]
    assert re.fullmatch(
        r"warning    2 requests wait for a yes or no, the oldest for \d+ d \d+ (h|min|s); "
        "`pynchy approvals list`",
        line,
    )
    assert any("1 question of agents waits, the oldest" in one for one in lines)
    pynchy("approvals", "approve", "d8e9")
    pynchy("approvals", "deny", "k7m2")
    told = json.loads(pynchy("status", code=4).stdout)
    assert (told["requests"]["refused"], told["requests"]["waiting"]) == (2, 1)
    assert told["approvals"] == NOTHING["approvals"]


def test_what_waits_is_counted_by_group(home: Path, pynchy: Any) -> None:
    now = clock.now()
    for n, verdict in enumerate(("allowed", "allowed", "refused")):
        run_sql(
            home,
            "INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, "
            "received_at, verdict) VALUES (?, 'local:main', 'owner', 'Me', 'hi', ?, ?, ?)",
            *(str(n), now, now, verdict),
        )
    run_sql(
        home,
        "INSERT INTO runs(group_folder, lane, kind, state, created_at) "
        "VALUES ('main', 'chat', 'chat', 'queued', ?)",
        now,
    )
    queue = json.loads(pynchy("status", code=4).stdout)["queue"]
    assert queue["groups_waiting"] == 1
    assert queue["per_group"]["main"]["pending_messages"] == 2
    run_sql(home, "UPDATE registered_groups SET routed_seq = 2")
    for last, answered, waits in ((0, 0, 0), (1, 0, 1), (2, 0, 2), (2, 1, 1), (3, 1, 1)):
        run_sql(home, "UPDATE runs SET last_seq = ?", last)
        run_sql(home, "UPDATE registered_groups SET answered_seq = ?", answered)
        queue = json.loads(pynchy("status", code=4).stdout)["queue"]
        assert queue["per_group"]["main"]["pending_messages"] == waits
    run_sql(home, "UPDATE runs SET state = 'running', owner = 99")
    queue = json.loads(pynchy("status", code=4).stdout)["queue"]
    assert queue["groups_waiting"] == 0
    assert queue["per_group"]["main"]["active"] is True


def test_without_a_home_it_names_init(tmp_path: Path, pynchy: Any) -> None:
    done = pynchy("status", code=4)
    told = json.loads(done.stdout)
    assert told["problem"]["code"] == "database_missing"
    assert "`pynchy init`" in told["problem"]["message"]
    assert "`pynchy init`" in done.stderr
    jsonschema.validate(told, status_document.SCHEMA)
    assert wrong(told) == {"database": told["problem"]["message"]}
    assert not (tmp_path / "home").exists()


def test_a_home_that_is_no_folder_is_told_as_that(tmp_path: Path, pynchy: Any) -> None:
    (tmp_path / "home").write_text("a file")
    done = pynchy("status", code=4)
    problem = json.loads(done.stdout)["problem"]
    assert problem["code"] == "home_unusable"
    assert f"{tmp_path / 'home'} is not a folder." in problem["message"]
    assert "pynchy init" not in done.stderr


def test_a_full_disk_behind_standard_output_is_said_in_a_sentence(
    home: Path, environment: dict[str, str]
) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pynchy_cli", "status", "--home", str(home)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, "pynchy: No space left on device.\n")


@pytest.mark.parametrize("what", ["foreign", "rubbish", "folder", "newer"])
def test_a_database_that_is_not_ours_is_said_in_a_sentence(
    tmp_path: Path, pynchy: Any, what: str
) -> None:
    data = tmp_path / "home/data"
    data.mkdir(parents=True)
    file = data / "messages.db"
    if what == "folder":
        file.mkdir()
    elif what == "rubbish":
        file.write_bytes(b"no database at all, by no means\n" * 200)
    else:
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("CREATE TABLE theirs (x)")
            if what == "newer":
                db.execute(f"PRAGMA application_id={connection.APPLICATION_ID}")
                db.execute("PRAGMA user_version=999")
    done = pynchy("status", code=4)
    assert json.loads(done.stdout)["service"]["status"] == "down"
    assert done.stderr.startswith("pynchy: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_table_on_a_terminal(home: Path, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with stage(home, "route", "watching " * 20), stage(home, "run-agent"):
        command = [sys.executable, "-m", "pynchy_cli", "status", "--home", str(home)]
        done = subprocess.run(command, stdout=theirs, stderr=theirs, env=environment, timeout=60)
    os.close(theirs)
    text = os.read(ours, 65536).decode().replace("\r\n", "\n")
    os.close(ours)
    assert done.returncode == 0
    first, empty, header, route, *rest = text.splitlines()
    assert first.startswith(f"pynchy in {home} is healthy, up ")
    assert empty == ""
    assert header.split() == ["STAGE", "RUNS", "PID", "FOR", "WAITS", "RESTARTS", "TELLS"]
    assert route.split()[:3] == ["route", "yes", str(os.getpid())]
    assert (len(route), route[-1]) == (80, "…")
    assert all(len(line) <= 80 for line in rest if str(home) not in line)
    assert [line.split()[0] for line in rest if line and line[0] != " "][1:] == [
        *("messages", "agents", "groups", "gateway", "sandbox", "database", "disk", "versions")
    ]


def test_a_long_trouble_stands_whole_above_the_table(home: Path) -> None:
    long = "Another program has connected with the same device. Stop that one; then start it again."
    with stage(home, "listen@whatsapp") as one, stage(home, "route") as other:
        with closing(Store.open(home / "data/messages.db")) as store, store.atomic() as db:
            processes.fail(db, one, long, clock.now())
            processes.fail(db, other, "the connection was lost", clock.now())
        told = told_of(home)
    lines = status_table.lines(told, str(home), clock.now())
    assert f"wrong      listen@whatsapp: {long[:-1]}; `pynchy logs`" in lines
    table = lines[lines.index(next(one for one in lines if one.startswith("STAGE"))) :]
    assert sum("Another program" in one for one in table) == 0
    assert sum("the connection was lost" in one for one in table) == 1
    assert [told["stages"][name]["state"] for name in ("listen@whatsapp", "run-agent")] == [
        "failing",
        "stopped",
    ]


def test_help_and_mistakes_take_the_long_way(pynchy: Any) -> None:
    assert "Usage: pynchy status" in pynchy("status", "--help").stdout
    assert "--what" in pynchy("status", "--what", code=2).stderr


def test_the_fast_path_reads_its_arguments_strictly() -> None:
    for arguments in (["status", "--help"], ["status", "x"], ["send", "status"], ["--home="]):
        assert status_quick.answer(arguments) is None


def test_the_fast_path_agrees_with_the_rest(
    home: Path, tmp_path: Path, pynchy: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (status.SCHEMA, status.APPLICATION_ID) == (
        connection.SCHEMA,
        connection.APPLICATION_ID,
    )
    link = tmp_path / "linked"
    link.symlink_to(home)
    for named in (str(home), str(link), str(tmp_path / "x/../home")):
        told = json.loads(pynchy("--home", named, "status", code=4).stdout)
        chosen = choose_home(named, {}).database
        assert Path(told["database"]["path"]).resolve() == chosen.resolve()


def test_it_loads_the_standard_library_alone(home: Path, environment: dict[str, str]) -> None:
    code = (
        "import sys; sys.argv = ['pynchy', 'status', '--home', sys.argv[1]]\n"
        "from pynchy_cli.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home)], capture_output=True, text=True, env=environment
    )
    loaded = set(done.stderr.split())
    assert "pynchy_cli.store.status" in loaded
    heavy = {
        *("typer", "click", "rich", "msgspec", "pathlib", "dataclasses", "urllib", "asyncio"),
        *("neonize", "json", "pynchy_cli.status_table", "pynchy_cli.store.connection"),
    }
    assert not loaded & heavy


@pytest.mark.timeout(60)
def test_a_chat_may_have_any_name(home: Path) -> None:
    """One that comes before its channel's, too: the look from channel to channel has an end."""
    path = home / "data" / "messages.db"
    with closing(sqlite3.connect(path)) as db, db:
        for channel, name in (("slack", "alice"), ("whatsapp", None), ("slack", "zoe")):
            db.execute(
                "INSERT INTO chats(jid, channel, name, first_seen_at) VALUES (?, ?, ?, ?)",
                (f"{channel}:{name}", channel, name, clock.now()),
            )
    found = status.read(str(path), str(home / "data" / "run"), clock.now())
    assert found["channels"] == {"local": True, "slack": False, "whatsapp": False}


def test_what_a_trouble_names_already_is_not_said_twice(home: Path) -> None:
    told = told_of(home)
    one = {"level": "wrong", "about": "x", "command": "pynchy init"}
    told["troubles"] = [
        one | {"message": "There is nothing. `pynchy init` makes a home."},
        one | {"message": "Did you mean name?"},
        one | {"message": "Nothing runs."},
    ]
    lines = status_table.lines(told, str(home), clock.now())
    assert lines[2:5] == [
        "wrong      There is nothing. `pynchy init` makes a home",
        "wrong      Did you mean name? `pynchy init`",
        "wrong      Nothing runs; `pynchy init`",
    ]
