"""`pynchy status` where nothing else works: it says what it can't read, and tells the rest."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pynchy_cli import locks
from pynchy_cli.store import connection
from tests import status_document
from tests.commands.test_status import run_sql, stage, told_of, wrong

READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def read_only(home: Path, environ: dict[str, str]) -> dict[str, Any]:
    """The document of a home on which nothing can be written."""
    ask = [sys.executable, "-m", "pynchy_cli", "status", "--home", str(home)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", READ_ONLY, "sh", str(home), *ask],
        capture_output=True,
        text=True,
        env=environ,
        timeout=60,
    )
    assert done.returncode == 4, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(told, status_document.SCHEMA)
    return told


def left_open(home: Path) -> None:
    """A commit is in the WAL, of whoever was killed with the database open."""
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute(\"UPDATE counters SET value = 77 WHERE name = 'messages_inbound'\")\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(home / "data/messages.db")], check=True)
    assert (home / "data/messages.db-wal").stat().st_size > 0


def test_a_read_only_home_can_be_asked(home: Path, environment: dict[str, str]) -> None:
    assert not (home / "data/messages.db-wal").exists()
    told = read_only(home, environment)
    assert (told["groups"]["total"], told["database"]["stale"]) == (1, False)
    left_open(home)
    told = read_only(home, environment)
    assert (told["messages"]["total_inbound"], told["database"]["stale"]) == (77, False)
    (home / "data/messages.db-shm").unlink()
    told = read_only(home, environment)
    assert (told["messages"]["total_inbound"], told["database"]["stale"]) == (0, True)
    assert "may be missing" in wrong(told, "warning")["database"]
    (home / "data/messages.db-wal").write_bytes(b"")
    assert read_only(home, environment)["database"]["stale"] is False, "nothing is in it"


def test_a_home_that_somebody_writes_to_meanwhile_is_read_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = home / "data/messages.db"
    asked: list[str] = []

    def look(db: sqlite3.Connection, stale: bool) -> dict[str, Any]:
        asked.append(db.execute("SELECT name FROM registered_groups").fetchone()[0])
        if len(asked) == 1:
            run_sql(home, "UPDATE registered_groups SET name = 'Anew'")
        return {"stale": stale}

    from pynchy_cli.store import glance

    assert glance.at(str(database), look) == {"stale": False}
    assert asked[1:] == ["Anew"]


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("foreign", "database_foreign", "not one of pynchy's"),
        ("rubbish", "database_foreign", "damaged or not a database"),
        ("folder", "database_foreign", "can't be read (disk I/O error)"),
        ("empty", "schema_too_old", "pynchy db migrate"),
        ("newer", "schema_too_new", "Install the newer pynchy"),
        ("ours without tables", "database_foreign", "no such table"),
    ],
)
def test_a_database_that_is_not_ours_is_said_in_a_sentence(
    tmp_path: Path, pynchy: Any, what: str, code: str, words: str
) -> None:
    data = tmp_path / "home/data"
    data.mkdir(parents=True)
    file = data / "messages.db"
    if what == "folder":
        file.mkdir()
    elif what == "rubbish":
        file.write_bytes(b"no database at all, by no means\n" * 200)
    else:
        numbers = {"newer": 999, "ours without tables": connection.SCHEMA}
        with closing(sqlite3.connect(file)) as db, db:
            if what != "empty":
                db.execute("CREATE TABLE theirs (x)")
            if what in numbers:
                db.execute(f"PRAGMA application_id={connection.APPLICATION_ID}")
                db.execute(f"PRAGMA user_version={numbers[what]}")
    done = pynchy("status", code=4)
    told = json.loads(done.stdout)
    jsonschema.validate(told, status_document.SCHEMA)
    assert (told["service"]["status"], told["problem"]["code"]) == ("down", code)
    assert words in told["problem"]["message"]
    assert (done.stderr.startswith("pynchy: "), done.stderr.count("\n")) == (True, 1)


def test_a_damaged_page_is_said_in_a_sentence(home: Path, pynchy: Any) -> None:
    file = home / "data/messages.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    done = pynchy("status", code=4)
    assert json.loads(done.stdout)["problem"]["code"] == "database_foreign"
    assert "Traceback" not in done.stderr


def test_what_others_wrote_that_is_no_text_harms_nothing(home: Path, pynchy: Any) -> None:
    run_sql(
        home,
        "INSERT INTO failures VALUES ('route', 'message:7', 3, 'set_aside',"
        " CAST(X'ff41' AS TEXT), 'a', 'b', NULL)",
    )
    run_sql(home, "INSERT INTO findings VALUES ('git', 'failed', '{nonsense', 'then')")
    told = json.loads(pynchy("status", code=4).stdout)
    assert told["failures"]["rows"][0]["error"] == "\ufffdA"
    assert told["findings"]["git"] == {"state": "failed", "message": None} | {
        "at": "then",
        "age_seconds": None,
        "result": {},
    }


def test_the_supervisor_is_told_of_even_where_the_database_is_gone(home: Path, pynchy: Any) -> None:
    said = {"pid": 7, "started_at": "2026-01-01T00:00:00.000Z", "unit": "pynchy.service"}
    lock = locks.take(home / "data/run/up.lock")
    assert lock is not None
    try:
        os.write(lock.fd, json.dumps(said).encode())
        told = {"running": True, "pid": 7, "since": said["started_at"], "unit": said["unit"]}
        assert told_of(home)["supervisor"] == told
        shutil.move(home / "data/messages.db", home / "away.db")
        assert json.loads(pynchy("status", code=4).stdout)["supervisor"] == told
    finally:
        lock.release()
    shutil.move(home / "away.db", home / "data/messages.db")
    assert told_of(home)["supervisor"]["running"] is False, "it left what it said, and is gone"


def test_a_broken_configuration_is_no_business_of_its(home: Path, pynchy: Any) -> None:
    (home / "config.toml").write_text("no toml at all [")
    (home / ".env").write_bytes(b"\xff\xfe")
    with stage(home, "route"), stage(home, "run-agent"):
        assert json.loads(pynchy("status").stdout)["service"]["status"] == "healthy"
