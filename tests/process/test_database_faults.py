"""What can happen to the file under a running stage: a full disk, a read-only home, damage, a
writer who doesn't let go. A plain sentence, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pynchy_cli.config.paths import Home
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.copying import DONE, LIMIT, Copying, ask, until

Pynchy = Callable[..., subprocess.CompletedProcess[str]]


def may_mount() -> bool:
    """Whether this process can have mounts of its own."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return False
    there = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(there, capture_output=True).returncode == 0


@pytest.fixture
def mounts() -> None:
    """Skips where there can be no mounts of one's own; in CI that is a failure."""
    if not may_mount():
        assert not os.environ.get("CI"), "CI runs as root, with unshare"
        pytest.skip("needs root and unshare")


def within(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a mount namespace of its own."""
    return subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=110,
    )


FULL_DISK = """
import json, signal, subprocess, sys, time
from pathlib import Path
from pynchy_cli.config.paths import Home
from pynchy_cli.store.migrate import migrate
from tests.copying import DONE, Copying, ask, until

home = Home(Path(sys.argv[1]))
home.data.mkdir(parents=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", home.data], check=True)
migrate(home.database)
ask(home, 1000)
one = Copying(home, {})
until(home, "SELECT value > 10 FROM counters WHERE name = 'done'", 1)
line = ""
while "disk is full" not in line:
    line = one.process.stderr.readline()
    assert line, "it ended"
kept = home.root / "kept"
subprocess.run(["cp", "-r", home.data, kept], check=True)
time.sleep(3)  # it tries again meanwhile, and says nothing more
subprocess.run(["mount", "-o", "remount,size=64m", home.data], check=True)
until(home, DONE, 1000)
until(home, "SELECT error FROM processes", None)
code, _, err = one.ended(signal.SIGTERM)
import sqlite3
for file in (home.database, kept / "messages.db"):
    db = sqlite3.connect(file)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
print(json.dumps({"code": code, "log": line + err}))
"""


@pytest.mark.usefixtures("mounts")
def test_a_full_disk_is_said_once_and_waited_out(tmp_path: Path) -> None:
    done = within(FULL_DISK, str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["code"] == 0
    assert told["log"].count("disk is full") == 2, "once when it began, once when it ended"
    assert told["log"].count('"works again"') == 1
    assert "Traceback" not in told["log"]


READ_ONLY = """
import json, subprocess, sys
home = sys.argv[1]
subprocess.run(["mount", "--bind", home, home], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
document = json.dumps({"home": home, "once": True, "options": {}})
pynchy = ["-m", "pynchy_cli", "--home", home]
commands = [
    [*pynchy, "db", "migrate"],
    [*pynchy, "db", "check"],
    [*pynchy, "groups", "add", "work"],
    [*pynchy, "up", "--only", "route"],
    ["-m", "pynchy_cli.stage", "route", document],
]
for command in commands:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    print(json.dumps([command[-2:], done.returncode, done.stderr]))
"""


@pytest.mark.usefixtures("mounts")
def test_a_read_only_home_is_a_sentence(home: Path) -> None:
    done = within(READ_ONLY, str(home))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    for command, code, talk in lines:
        assert code in (1, 100, 111), (command, talk)
        assert talk.startswith("pynchy"), (command, talk)
        assert talk.count("\n") == 1, (command, talk)
        assert str(home) in talk, (command, talk)


def route_once(home: Path) -> subprocess.CompletedProcess[str]:
    """The stage `route`, once."""
    document = json.dumps({"home": str(home), "once": True, "options": {}})
    return subprocess.run(
        [sys.executable, "-m", "pynchy_cli.stage", "route", document],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )


def test_what_is_no_database_of_ours_stops_a_stage_for_good(home: Path) -> None:
    file = Home(home).database
    good = file.read_bytes()
    file.write_bytes(b"words " * 1000)
    assert route_once(home).returncode == 100
    file.write_bytes(good[:100] + bytes(len(good) - 100))
    assert route_once(home).returncode == 100
    file.unlink()
    missing = route_once(home)
    assert missing.returncode == 100
    assert "pynchy init" in missing.stderr
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs(x)")
    foreign = route_once(home)
    assert foreign.returncode == 100
    assert "not one of pynchy's" in foreign.stderr
    for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        path.unlink(missing_ok=True)
    file.touch()
    empty = route_once(home)
    assert (empty.returncode, empty.stderr.count("Traceback")) == (0, 0), empty.stderr


def test_damage_under_a_running_stage_stops_it_for_good(tmp_path: Path) -> None:
    home = Home(tmp_path)
    migrate(home.database)
    ask(home, 1)
    one = Copying(home, {})
    until(home, DONE, 1)
    with closing(sqlite3.connect(home.database)) as db:
        sql = "SELECT rootpage FROM sqlite_master WHERE name = 'counters'"
        page = db.execute(sql).fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with home.database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)
    with closing(sqlite3.connect(home.database)) as db:
        db.execute("CREATE TABLE others(x)")  # so that the stage looks, and reads the page again
    code, _, err = one.ended()
    one.ear.close()
    assert code == 100, err
    assert "is damaged" in err
    assert "Traceback" not in err


def test_another_file_in_its_place_ends_a_stage_that_can_be_started_again(tmp_path: Path) -> None:
    """Otherwise it would write on into a file that is gone, and nobody would be answered."""
    home = Home(tmp_path)
    migrate(home.database)
    ask(home, 1)
    one = Copying(home, {})
    until(home, DONE, 1)
    with closing(sqlite3.connect(home.database)) as db:
        db.execute("VACUUM INTO ?", (str(home.data / "backup.db"),))
    (home.data / "backup.db").replace(home.database)
    for left in ("-wal", "-shm"):
        Path(f"{home.database}{left}").unlink()
    ask(home, 1)
    code, _, err = one.ended()
    one.ear.close()
    assert code == 111, err
    assert "was replaced" in err
    assert "Traceback" not in err
    again = Copying(home, {})
    until(home, DONE, 2)
    assert again.ended(signal.SIGTERM)[0] == 0
    again.ear.close()


HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
db.execute("COMMIT")
"""


def holder(home: Home) -> subprocess.Popen[str]:
    """A process that holds the write lock until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_writer_who_does_not_let_go_is_waited_out(tmp_path: Path) -> None:
    home = Home(tmp_path)
    migrate(home.database)
    gate = tmp_path / "gate"
    gate.touch()
    one = Copying(home, {"gate": str(gate)})
    one.hear("READY=1")
    ask(home, 20)
    with holder(home) as other:
        gate.unlink()
        assert one.process.stderr is not None
        line = ""
        while "is locked by another process" not in line:
            line = one.process.stderr.readline()
            assert line, "it ended"
        other.communicate()
    until(home, DONE, 20)
    code, _, err = one.ended(signal.SIGTERM)
    one.ear.close()
    assert code == 0
    assert "Traceback" not in line + err
    assert err.count('"works again"') == 1


def test_a_command_that_waits_too_long_says_try_again(home: Path, pynchy: Pynchy) -> None:
    with holder(Home(home)) as other:
        done = pynchy("groups", "add", "work", code=111)
        assert "is locked by another process" in done.stderr
        other.communicate()
    pynchy("groups", "add", "work")


def test_writers_in_a_crowd_all_get_through(tmp_path: Path) -> None:
    """Eight writers at once: no commit is lost, and the bell ends with the last."""
    home = Home(tmp_path)
    migrate(home.database)
    code = (
        "import sys; from pathlib import Path; from pynchy_cli.store.connection import Store;"
        "from pynchy_cli.store.counters import bump\n"
        "with Store.open(Path(sys.argv[1])) as store:\n"
        "    for _ in range(50):\n"
        "        with store.atomic() as db: bump(db, 'done', '2026-01-31T08:00:00.000Z')\n"
    )
    eight = [subprocess.Popen([sys.executable, "-c", code, str(home.database)]) for _ in range(8)]
    assert [one.wait(LIMIT * 2) for one in eight] == [0] * 8
    until(home, DONE, 400)
    with Store.open(home.database) as store:
        count = store.db.execute("SELECT value FROM counters WHERE name = 'commits'").fetchone()[0]
    assert count >= 400
    rung = store.bell.last()
    assert rung is not None
    assert count - 8 <= rung <= count
