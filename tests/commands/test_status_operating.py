"""What `pynchy status` tells of operating: holds, checks, backlog, restarts, the disk, versions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pynchy_cli import clock, status_table
from pynchy_cli.cli import VERBS
from pynchy_cli.config import stages
from pynchy_cli.config.load import load, shown
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Sandbox
from pynchy_cli.model import NewMessage
from pynchy_cli.store import (
    findings,
    groups,
    holds,
    machine,
    messages,
    noted,
    processes,
    queue,
    runs,
    tasks,
    troubles,
)
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests import pending
from tests.clocks import START, task
from tests.commands.test_status import IN_FORCE, run_sql, stage, told_of, wrong

LONG_AGO = "2026-01-01T00:00:00.000Z"
NOTHING = {"count": 0, "oldest_at": None, "oldest_seconds": None}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """As much of a home as is looked at: its database with a group, and the folder of locks."""
    root = tmp_path / "home"
    migrate(root / "data/messages.db")
    (root / "data/run").mkdir()
    with Store.open(root / "data/messages.db") as store, store.atomic() as db:
        groups.add(
            db,
            folder="main",
            name="Main",
            jid="local:main",
            is_admin=True,
            trigger_mode="always",
            trigger_pattern=None,
            allowed_users=["owner"],
            now=LONG_AGO,
        )
    return root


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """The home's file."""
    with closing(Store.open(home / "data/messages.db")) as opened:
        yield opened


@pytest.fixture
def at_work(home: Path) -> Iterator[None]:
    """All stages that are wanted run."""
    with stage(home, "route"), stage(home, "run-agent"):
        yield


@pytest.mark.usefixtures("at_work")
def test_holds_are_told_and_degrade_nothing(home: Path, store: Store) -> None:
    with store.atomic() as db:
        holds.add(db, "main", outbound=True, reason="lunch", by="owner", now=LONG_AGO)
        holds.add(db, None, outbound=False, reason=None, by="owner", now=LONG_AGO)
    told = told_of(home)
    every = {"group": None, "outbound": False, "reason": None}
    of_main = {"group": "main", "outbound": True, "reason": "lunch"}
    by = {"held_by": "owner", "held_at": LONG_AGO}
    assert (told["holds"], told["hold_count"]) == ([every | by, of_main | by], 2)
    assert told["service"]["status"] == "healthy"
    assert wrong(told, "warning") == {
        "hold:": "All groups are held by owner.",
        "hold:main": "main is held, and what goes out, by owner: lunch",
    }
    with store.atomic() as db:
        for number in range(noted.SHOWN + 3):
            holds.add(db, f"g{number}", outbound=False, reason=None, by="owner", now=LONG_AGO)
    told = told_of(home)
    assert (len(told["holds"]), told["hold_count"]) == (noted.SHOWN, noted.SHOWN + 5)
    left = noted.SHOWN + 5 - troubles.NAMED
    assert wrong(told, "warning")["holds"] == f"{left} more groups are held."


@pytest.mark.usefixtures("at_work")
def test_checks_are_told_with_their_age_and_none_is_made(home: Path, store: Store) -> None:
    now = clock.now()
    git = {"head_sha": "abc", "head_commit": "Say", "dirty": False, "unpushed_commits": 2}
    with store.atomic() as db:
        findings.note(db, "git", "ok", git, clock.after(now, -7200))
        findings.note(db, "integrity", "ok", {}, clock.after(now, -60))
        findings.note(db, "prune", "warning", {"message": "It took long.", "rows": 7}, now)
    told = told_of(home)
    assert told["service"]["status"] == "healthy"
    assert told["findings"]["prune"]["result"] == {"rows": 7}
    assert told["deploy"]["checked_at"] == clock.after(now, -7200)
    assert {name: told["deploy"][name] for name in git} == git
    assert 7200 <= told["deploy"]["age_seconds"] < 7300
    assert told["database"]["integrity"]["state"] == "ok"
    assert 60 <= told["database"]["integrity"]["age_seconds"] < 160
    assert wrong(told, "warning") == {"finding:prune": "The check `prune`: It took long."}
    with store.atomic() as db:
        findings.note(db, "integrity", "failed", {"message": "A page is damaged."}, now)
    told = told_of(home)
    assert told["service"]["status"] == "degraded"
    assert wrong(told) == {"finding:integrity": "The check `integrity`: A page is damaged."}
    assert "checks     git ok 2 h" in "\n".join(status_table.lines(told, str(home), now))


def test_an_invalid_configuration_is_wrong_until_a_process_has_read_a_valid_one(
    home: Path, store: Store
) -> None:
    with store.atomic() as db:
        findings.note(db, "config", "ok", {}, clock.after(LONG_AGO, -60))
    assert told_of(home)["configuration"]["state"] == "ok"
    with store.atomic() as db:
        findings.note(db, "config", "failed", {"message": "Line 7."}, clock.after(LONG_AGO, -60))
    assert told_of(home)["configuration"]["message"] == "Line 7."
    with stage(home, "route"), stage(home, "run-agent"):
        assert told_of(home)["configuration"] == {"state": "ok", "message": None, "at": LONG_AGO}
        with store.atomic() as db:
            findings.note(db, "config", "failed", {"message": "Line 9."}, clock.now())
        told = told_of(home)
        assert (told["configuration"]["state"], told["service"]["status"]) == ("failed", "degraded")
        assert list(wrong(told)) == ["configuration"]
        assert "Line 9." in wrong(told)["configuration"]


def test_the_backlog_of_each_stage_is_what_is_due(home: Path, store: Store) -> None:
    now = clock.now()
    with store.atomic() as db:
        for number in range(3):
            said = NewMessage(f"m{number}", "local:main", "owner", "Me", "hi", LONG_AGO)
            messages.add(db, said, clock.after(LONG_AGO, number))
        due = runs.queue_task(db, "main", "task:a", "a", "Look.", "local:main", LONG_AGO)
        runs.queue_task(db, "main", "task:b", "b", "Look.", "local:main", now)
        later = clock.after(now, 3600)
        db.execute("UPDATE runs SET not_before = ? WHERE id > ?", (later, due))
        tasks.add(db, task(START, "interval", "1h", group_folder="main", next_run=LONG_AGO))
        tasks.add(db, task(START, "interval", "1h", id="far", group_folder="main", next_run=later))
    pending.waits(store, 7)
    run_sql(home, "UPDATE requests SET state = 'accepted', created_at = ?", LONG_AGO)
    deliver(home, 1, LONG_AGO, next_attempt_at=None, held=0)
    deliver(home, 2, now, next_attempt_at=later, held=0)
    deliver(home, 3, now, next_attempt_at=None, held=1)
    backlog = told_of(home)["backlog"]
    assert {name: one["count"] for name, one in backlog.items()} == {
        "route": 3,
        "run-agent": 1,
        "ipc-watch": 1,
        "schedule": 1,
        "listen@slack": 1,
    }
    assert {one["oldest_at"] for one in backlog.values()} == {LONG_AGO}
    assert min(one["oldest_seconds"] for one in backlog.values()) > 86_400
    with store.atomic() as db:
        holds.add(db, "main", outbound=False, reason=None, by="owner", now=now)
        groups.route_through(db, "main", 3)
    backlog = told_of(home)["backlog"]
    assert (backlog["route"], backlog["run-agent"]) == (NOTHING, NOTHING)


def deliver(home: Path, number: int, at: str, **more: object) -> None:
    run_sql(
        home, "INSERT OR IGNORE INTO chats(jid, channel, first_seen_at) VALUES ('s:1','slack','a')"
    )
    run_sql(
        home,
        "INSERT INTO outbound_ledger(id, key, chat_jid, content, source, created_at)"
        " VALUES (?, ?, 's:1', 'x', 'agent', ?)",
        *(number, str(number), at),
    )
    run_sql(
        home,
        "INSERT INTO outbound_deliveries(ledger_id, chat_jid, channel, state, next_attempt_at,"
        " held) VALUES (?, 's:1', 'slack', 'unknown', ?, ?)",
        *(number, more["next_attempt_at"], more["held"]),
    )


def test_what_was_said_in_a_further_chat_is_counted_since_the_group_came_there(
    home: Path, store: Store
) -> None:
    with store.atomic() as db:
        for number in range(5):
            messages.add(db, NewMessage(f"m{number}", "s:2", "o", "Me", "hi", LONG_AGO), LONG_AGO)
        db.execute(
            "INSERT INTO group_chats(jid, group_folder, since_seq) VALUES ('s:2', 'main', 2)"
        )
    told = told_of(home)
    assert told["backlog"]["route"]["count"] == 3
    assert told["queue"]["per_group"]["main"]["pending_messages"] == 3


def test_of_many_groups_those_with_work_are_told(home: Path, store: Store) -> None:
    for number in range(queue.SHOWN + 10):
        name = f"g{number:02}"
        run_sql(home, "INSERT INTO chats VALUES (?, 'local', NULL, 'a', NULL, 0)", f"local:{name}")
        run_sql(
            home,
            "INSERT INTO registered_groups(folder, name, jid, number, routed_seq, answered_seq,"
            " added_at) VALUES (?1, ?1, 'local:' || ?1, ?2, 0, 0, 'a')",
            *(name, number + 10),
        )
    with store.atomic() as db:
        said = NewMessage("m", "local:g29", "owner", "Me", "hi", LONG_AGO)
        messages.add(db, said, LONG_AGO)
    told = told_of(home)
    assert (len(told["queue"]["per_group"]), told["groups"]["total"]) == (
        queue.SHOWN,
        queue.SHOWN + 11,
    )
    assert told["queue"]["per_group"]["g29"]["pending_messages"] == 1


def test_restarts_are_counted_for_a_day(home: Path, store: Store) -> None:
    now = clock.now()
    with store.atomic() as db:
        for hours, died, error in (
            (25, True, None),
            (3, True, None),
            (2, False, "No."),
            (1, False, None),
        ):
            then = clock.after(now, -3600 * hours)
            id = processes.start(
                db,
                stage="route",
                pid=7,
                version="0",
                config_hash="x",
                settings=json.dumps(IN_FORCE),
                hashes="{}",
                now=then,
            )
            processes.fail(db, id, error, then)
            processes.end(db, id, then, died=died)
    with stage(home, "run-agent"):
        told = told_of(home)
        assert told["stages"]["route"]["restarts"] == 2
        assert told["stages"]["route"]["state"] == "stopped"
        assert not wrong(told, "warning")
        run_sql(home, "UPDATE processes SET ended_at = ?, died = 1 WHERE pid = 7", now)
        told = told_of(home)
        assert (told["stages"]["route"]["restarts"], told["stages"]["route"]["state"]) == (
            4,
            "died",
        )
        run_sql(
            home,
            "INSERT INTO processes SELECT id + 100, stage, pid, lock, version, config_hash,"
            " settings, started_at, ended_at, report, error, error_at, connected, hashes, died"
            " FROM processes WHERE pid = 7 LIMIT 1",
        )
        assert "5 times in a day" in wrong(told_of(home), "warning")["stage:route"]


def test_backups_are_wanted_where_a_folder_is_set(home: Path) -> None:
    with stage(home, "route"):
        assert list(told_of(home)["stages"]) == ["route", "run-agent"]
        settings = json.dumps(IN_FORCE | {"backup": {"folder": "/backups"}})
        run_sql(home, "UPDATE processes SET settings = ?", settings)
        assert list(told_of(home)["stages"]) == ["route", "run-agent", "backup"]


@pytest.mark.parametrize(
    "toml",
    [
        "",
        "[backup]\nfolder = '/backups'\n[channels.slack.main]\n[channels.slack.work]\n",
        "[supervise]\nstages = ['backup', 'route']\n[channels.whatsapp.main]\nenabled = false\n",
    ],
)
def test_the_stages_that_are_missed_are_those_that_up_starts(home: Path, toml: str) -> None:
    (home / "config.toml").write_text(toml)
    settings = load(Home(home), {})
    with stage(home, "route"):
        run_sql(home, "UPDATE processes SET settings = ?", json.dumps(shown(settings)))
        assert list(told_of(home)["stages"]) == stages.wanted(settings)


def test_a_stage_of_another_version_is_told(home: Path) -> None:
    with stage(home, "route"), stage(home, "run-agent"):
        run_sql(home, "UPDATE processes SET version = '0.0.1' WHERE stage = 'route'")
        assert "route runs version 0.0.1" in wrong(told_of(home), "warning")["stage:route"]


def test_a_channel_without_its_connection_is_wrong(home: Path, store: Store) -> None:
    with stage(home, "route"), stage(home, "run-agent"), stage(home, "listen@slack") as id:
        with store.atomic() as db:
            processes.connected(db, id, False)
        told = told_of(home)
        assert (told["channels"]["slack"], told["service"]["status"]) == (False, "degraded")
        assert wrong(told) == {"stage:listen@slack": "listen@slack isn't connected."}


@pytest.mark.usefixtures("at_work")
def test_a_disk_that_is_nearly_full_is_wrong(home: Path) -> None:
    told = told_of(home)
    assert (told["disk"]["low"], told["disk"]["min_free"]) == (False, machine.MIN_FREE)
    settings = json.dumps(IN_FORCE | {"sandbox": {"runtime": "auto", "min_free": 2**62}})
    run_sql(home, "UPDATE processes SET settings = ?", settings)
    told = told_of(home)
    assert (told["disk"]["low"], told["service"]["status"]) == (True, "degraded")
    assert "no agent starts" in wrong(told)["disk"]
    assert Sandbox().min_free == machine.MIN_FREE


def test_what_waits_stands_in_the_table(home: Path, store: Store) -> None:
    with store.atomic() as db:
        messages.add(db, NewMessage("m", "local:main", "o", "Me", "hi", LONG_AGO), LONG_AGO)
    with stage(home, "route"), stage(home, "run-agent"):
        told = told_of(home)
    lines = status_table.lines(told, str(home), clock.after(LONG_AGO, 7200))
    (row,) = [line for line in lines if line.startswith("route ")]
    assert row.split()[1:6] == ["yes", str(told["stages"]["route"]["pid"]), "2", "h", "1,"]


def test_every_command_that_helps_exists() -> None:
    source = Path(troubles.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"pynchy ([a-z]+)", source))
    assert {"up", "logs", "doctor", "release", "retry"} <= named
    assert named <= VERBS.keys()
