"""`pynchy db` and `pynchy retry`, as people and scripts run them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pynchy_cli.store import counters, failures, runs
from pynchy_cli.store.connection import SCHEMA, Store

Pynchy = Callable[..., subprocess.CompletedProcess[str]]
NOW = "2026-01-31T08:00:00.000Z"


def database(home: Path) -> Path:
    """The home's database."""
    return home / "data" / "messages.db"


def route_once(home: Path) -> subprocess.CompletedProcess[str]:
    """The stage `route`, once."""
    document = json.dumps({"home": str(home), "once": True, "options": {}})
    return subprocess.run(
        [sys.executable, "-m", "pynchy_cli.stage", "route", document],
        capture_output=True,
        text=True,
        timeout=60,
    )


def findings(pynchy: Pynchy, *options: str, code: int = 1) -> list[tuple[str, str]]:
    """What `pynchy db check` finds, as (check, message)."""
    document = json.loads(pynchy("db", "check", *options, code=code).stdout)
    assert document["ok"] == (code == 0)
    return [(one["check"], one["message"]) for one in document["findings"]]


def test_migrate_makes_a_database_and_then_nothing(tmp_path: Path, pynchy: Pynchy) -> None:
    made = json.loads(pynchy("db", "migrate").stdout)
    assert made["schema"] == SCHEMA
    assert len(made["applied"]) == SCHEMA
    assert json.loads(pynchy("db", "migrate").stdout)["applied"] == []
    assert pynchy("db", "path").stdout == f"{database(tmp_path / 'home')}\n"
    assert findings(pynchy, code=0) == []


def test_check_without_a_database(pynchy: Pynchy) -> None:
    done = pynchy("db", "check", "--json", code=100)
    assert "pynchy init" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "database_missing"
    assert "pynchy init" in pynchy("db", "shell", code=100).stderr


def test_an_empty_file_and_a_foreign_one(home: Path, pynchy: Pynchy) -> None:
    file = database(home)
    file.unlink()
    file.touch()
    ((kind, text),) = findings(pynchy)
    assert kind == "schema"
    assert "is empty" in text
    assert file.stat().st_size == 0, "a check changes nothing"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs(x)")
    done = pynchy("db", "check", code=100)
    assert "not one of pynchy's" in done.stderr
    file.write_bytes(b"These are words, not a database. " * 100)
    done = pynchy("db", "check", code=100)
    assert "damaged or not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_newer_and_an_older_schema(home: Path, pynchy: Pynchy) -> None:
    with closing(sqlite3.connect(database(home))) as db:
        db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    for command in (("db", "check"), ("db", "migrate"), ("groups", "list")):
        assert "newer pynchy" in pynchy(*command, code=100).stderr
    stage = route_once(home)
    assert stage.returncode == 100
    assert "newer pynchy" in stage.stderr
    with closing(sqlite3.connect(database(home))) as db:
        db.execute("PRAGMA user_version=0")
    assert [kind for kind, _ in findings(pynchy)] == ["schema"]


def test_broken_references_are_found(home: Path, pynchy: Pynchy) -> None:
    with closing(sqlite3.connect(database(home))) as db:
        db.execute("INSERT INTO sessions(group_folder, lane) VALUES ('nobody', 'chat')")
        db.commit()
    ((kind, text),) = findings(pynchy)
    assert kind == "foreign_keys"
    assert text.startswith("sessions:")


def test_a_damaged_page_is_found(home: Path, pynchy: Pynchy) -> None:
    file = database(home)
    page = 4096
    with file.open("r+b") as damaged:
        damaged.seek(3 * page)
        damaged.write(b"\xa5" * 8 * page)
    assert {kind for kind, _ in findings(pynchy)} == {"quick_check"}


def test_a_tail_that_was_lost_silently_is_found(home: Path, tmp_path: Path, pynchy: Pynchy) -> None:
    """A flipped byte in the WAL drops all after it, and SQLite says ok."""
    file = database(home)
    with Store.open(file) as store:
        for _ in range(40):
            with store.atomic() as db:
                counters.bump(db, "test", NOW)
        copy = tmp_path / "copy"
        shutil.copytree(home, copy)
    wal = copy / "data" / "messages.db-wal"
    (copy / "data" / "messages.db-shm").unlink()
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 0xFF
    wal.write_bytes(data)
    at = ("--home", str(copy))
    ((kind, text),) = findings(pynchy, *at)
    assert kind == "commits"
    assert "are missing" in text
    with closing(sqlite3.connect(copy / "data" / "messages.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # A stage that starts says so, and goes on; its own commits don't hide the loss.
    assert "lost its last commits" in route_once(copy).stderr
    assert "lost its last commits" not in route_once(copy).stderr
    ((kind, text),) = findings(pynchy, *at)
    assert "were found missing" in text
    assert findings(pynchy, "--forget", *at, code=0) == []
    assert findings(pynchy, code=0) == [], "the original is well"


def test_a_running_run_without_an_owner_is_found(home: Path, pynchy: Pynchy) -> None:
    with Store.open(database(home)) as store, store.atomic() as db:
        run = runs.queue_chat(db, "main", 1, 1, "local:main", NOW)
        db.execute("UPDATE runs SET state = 'running', owner = 77 WHERE id = ?", (run,))
    ((kind, text),) = findings(pynchy)
    assert kind == "runs"
    assert f"Run {run} of main" in text


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
def test_shell_has_our_rules(home: Path, pynchy: Pynchy) -> None:
    assert pynchy("db", "shell", "SELECT folder FROM registered_groups").stdout == "main\n"
    assert pynchy("db", "shell", input="PRAGMA foreign_keys;").stdout == "1\n"
    done = pynchy("db", "shell", "INSERT INTO sessions VALUES (1)", code=None)
    assert done.returncode != 0


def fail(home: Path, subject: str, times: int) -> None:
    """Let the router fail at a subject."""
    with Store.open(database(home)) as store, store.atomic() as db:
        for _ in range(times):
            failures.note(db, "route", subject, "ValueError: bad", NOW)


def states(home: Path) -> dict[str, tuple[str, int]]:
    """The subjects that wait, with their state and attempts."""
    with Store.open(database(home)) as store:
        return {one.subject: (one.state, one.attempts) for one in failures.all(store.db)}


def test_retry_brings_back_what_is_named(home: Path, pynchy: Pynchy) -> None:
    for subject, times in (("message:1", 3), ("message:2", 3), ("message:3", 1)):
        fail(home, subject, times)
    aside, again, alone = ("set_aside", 3), ("retrying", 0), ("retrying", 1)
    done = pynchy("retry", "message:1")
    assert json.loads(done.stdout) == {"subject": "message:1", "stages": ["route"]}
    assert states(home) == {"message:1": again, "message:2": aside, "message:3": alone}
    done = pynchy("retry", "message:2", "nonsense", "--json", code=2)
    assert "Nothing waits as 'nonsense'" in done.stderr
    assert "Set aside now: message:2." in done.stderr
    assert states(home)["message:2"] == aside, "all or nothing"
    assert "message:2" in pynchy("retry", "--all").stdout
    assert states(home) == {"message:1": again, "message:2": again, "message:3": alone}
    assert pynchy("retry", "--all").stdout == ""


def test_retry_brings_back_a_run_that_was_given_up(home: Path, pynchy: Pynchy) -> None:
    with Store.open(database(home)) as store, store.atomic() as db:
        run = runs.queue_chat(db, "main", 1, 1, "local:main", NOW)
        db.execute("UPDATE runs SET state = 'failed' WHERE id = ?", (run,))
    again = json.loads(pynchy("retry", f"run:{run}").stdout)["run"]
    with Store.open(database(home)) as store:
        assert runs.get(store.db, again).state == "queued"
    pynchy("retry", f"run:{run}", code=2)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--all", "message:1"), 2),
        (("run:5",), 1),
        (("run:",), 2),
        (("run:" + "9" * 30,), 2),
        (("run:-1",), 2),
        (("message:1\x1b[31m",), 2),
    ],
)
def test_retry_says_what_is_wrong(
    home: Path, pynchy: Pynchy, arguments: tuple[str, ...], code: int
) -> None:
    done = pynchy("retry", *arguments, code=code)
    assert done.stderr.startswith("pynchy: ")
    assert "\x1b" not in done.stderr
