"""`pynchy init`: a home from nothing, and nothing changed in one that is there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pynchy_cli.config import template

Pynchy = Callable[..., subprocess.CompletedProcess[str]]


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files and folders below one, with their rights and contents."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith(("-shm", "-wal"))
    }


def test_a_home_is_made_from_nothing(tmp_path: Path, pynchy: Pynchy) -> None:
    done = pynchy("init", "--yes")
    home = tmp_path / "home"
    assert done.stdout == ""
    assert f"Made in {home}: config.toml, .env, the database, the admin group main" in done.stderr
    assert "scripted model" in done.stderr
    assert (home / ".env").stat().st_mode & 0o777 == 0o600
    for folder in (home, home / "data", home / "groups" / "main"):
        assert folder.stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(home / "data" / "messages.db") as db:
        rows = db.execute("SELECT folder, jid, is_admin, trigger_mode FROM registered_groups")
        assert rows.fetchall() == [("main", "local:main", 1, "always")]
    db.close()


def test_it_is_safe_to_repeat(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text("[agent]\nname = 'bob'\n")
    (home / ".env").write_text("ANTHROPIC_API_KEY=k\n")
    before = everything(home)
    done = pynchy("init", "--yes")
    assert f"{home} is complete already." in done.stderr
    assert "scripted model" not in done.stderr
    assert everything(home) == before


def test_what_is_missing_is_made_and_other_groups_are_enough(home: Path, pynchy: Pynchy) -> None:
    pynchy("groups", "add", "work")
    pynchy("groups", "remove", "main", "--yes")
    (home / "config.toml").unlink()
    done = pynchy("init")
    assert f"Made in {home}: config.toml." in done.stderr
    assert '"main"' not in pynchy("groups", "list").stdout


def test_many_at_once_make_one_home(tmp_path: Path, environment: dict[str, str]) -> None:
    home = tmp_path / "home"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "pynchy_cli", "--home", str(home), "init", "--yes"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    with sqlite3.connect(home / "data" / "messages.db") as db:
        assert db.execute("SELECT count(*) FROM registered_groups").fetchone() == (1,)
    db.close()
    assert sorted(path.name for path in home.iterdir()) == [
        ".env", "config.toml", "data", "directives", "groups",
    ]  # fmt: skip


def test_a_broken_configuration_is_said_before_anything_is_made(
    tmp_path: Path, pynchy: Pynchy
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("[agnet]\n")
    done = pynchy("init", "--yes", code=100)
    assert done.stderr == (
        f"pynchy: {home}/config.toml, line 1: there is no section [agnet]. Did you mean [agent]?\n"
    )
    assert [path.name for path in home.iterdir()] == ["config.toml"]


def test_a_home_that_cant_be_is_said(tmp_path: Path, pynchy: Pynchy) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        done = pynchy("init", "--yes", "--home", str(place), code=100)
        assert done.stderr.count("\n") == 1, done.stderr
        assert str(place) in done.stderr
    done = pynchy("init", "--yes", "--home", "~nobody-of-that-name/x", code=100)
    assert "can't be found" in done.stderr


def test_a_damaged_or_foreign_database_is_said(home: Path, pynchy: Pynchy) -> None:
    database = home / "data" / "messages.db"
    for name in ("messages.db-wal", "messages.db-shm"):
        database.with_name(name).unlink(missing_ok=True)
    database.write_bytes(b"not a database" * 1000)
    for arguments in (("init", "--yes"), ("groups", "list")):
        done = pynchy(*arguments, code=100)
        assert "damaged or not a database" in done.stderr
        assert "Traceback" not in done.stderr
    database.unlink()
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE x(y)")
    db.close()
    assert "not one of pynchy's" in pynchy("init", "--yes", code=100).stderr


KEY = "sk-ant-api03-hunter22hunter22"
ASKED = {"place": b"Where shall everything lie?", "name": b"be called?", "key": b"with Enter)"}


class Terminal:
    """`pynchy init` with a person before it."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        self.said = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pynchy_cli", "init", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def asked(self, what: str) -> None:
        """Wait for a question that was not asked yet, and until the answer can be typed."""
        seen = self.said.count(ASKED[what])
        while self.said.count(ASKED[what]) == seen:
            assert self._read(), self.said
        # A hidden answer is read only once the terminal shows nothing any more.
        until = time.monotonic() + 60
        while what == "key" and termios.tcgetattr(self.ours)[3] & termios.ECHO:
            assert time.monotonic() < until
            time.sleep(0.01)

    def types(self, text: str) -> None:
        """Type it."""
        os.write(self.ours, text.encode())

    def ends(self, again: str = "") -> int:
        """The exit code; meanwhile `again` is typed now and then."""
        while self._read(again):
            pass
        os.close(self.ours)
        return self.process.wait(timeout=60)

    def _read(self, again: str = "") -> bool:
        tries = 0
        while not select.select([self.ours], [], [], 5)[0]:
            tries += 1
            assert tries < 12, self.said
            self.types(again)
        with suppress(OSError):
            part = os.read(self.ours, 4096)
            self.said += part
            return bool(part)
        return False


def test_on_a_terminal_it_asks_little(tmp_path: Path, environment: dict[str, str]) -> None:
    terminal = Terminal(environment)
    home = tmp_path / "elsewhere"
    terminal.asked("place")
    assert f"[{environment['HOME']}/pynchy]".encode() in terminal.said
    terminal.types(f"{home}\n")
    terminal.asked("name")
    terminal.types("two words\n")
    terminal.asked("name")
    terminal.types("bob\n")
    terminal.asked("key")
    terminal.types("hunter22\n")
    terminal.asked("key")
    terminal.types(f"{KEY}\n")
    assert terminal.ends() == 0, terminal.said
    assert b"hunter22" not in terminal.said
    assert b"That is no key" in terminal.said
    assert f"export PYNCHY_HOME={home}".encode() in terminal.said
    assert b"scripted model stands in" not in terminal.said
    assert (home / ".env").stat().st_mode & 0o777 == 0o600
    assert f"\nANTHROPIC_API_KEY={KEY}\n" in (home / ".env").read_text()
    assert '\nname = "bob"\n' in (home / "config.toml").read_text()
    assert (home / "groups" / "main").is_dir()


def test_enter_is_enough(environment: dict[str, str]) -> None:
    terminal = Terminal(environment)
    for question in ASKED:
        terminal.asked(question)
        terminal.types("\n")
    assert terminal.ends() == 0, terminal.said
    home = Path(environment["HOME"]) / "pynchy"
    assert (home / "config.toml").read_text() == template.small()
    assert (home / ".env").read_text() == template.env()
    terminal = Terminal(environment)
    assert terminal.ends() == 0, terminal.said
    assert not [one for one in ASKED.values() if one in terminal.said]
    assert b"is complete already" in terminal.said


@pytest.mark.parametrize("question", ["name", "key"])
@pytest.mark.parametrize("answer", ["\x03", "\x04"])
def test_who_stops_it_has_nothing(
    tmp_path: Path, environment: dict[str, str], question: str, answer: str
) -> None:
    home = tmp_path / "home"
    terminal = Terminal(environment, f"--home={home}")
    terminal.asked("name")
    if question == "key":
        terminal.types("bob\n")
        terminal.asked("key")
    terminal.types(answer)
    # Python may miss one that comes just before it begins to read.
    assert terminal.ends(again=answer) == 1, terminal.said
    assert f"Everything will lie in {home}.".encode() in terminal.said
    assert ASKED["place"] not in terminal.said
    assert b"nothing was changed" in terminal.said
    assert not home.exists()


def test_interrupted_while_it_makes_it_makes_all(
    home: Path, pynchy: Pynchy, environment: dict[str, str]
) -> None:
    pynchy("groups", "remove", "main", "--yes")
    (home / "config.toml").unlink()
    database = sqlite3.connect(home / "data" / "messages.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    process = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), "init", "--yes"],
        env=environment,
    )
    until = time.monotonic() + 60
    while not (home / "config.toml").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)  # It waits for the database now.
    database.execute("COMMIT")
    assert process.wait(timeout=60) == 130
    assert database.execute("SELECT folder FROM registered_groups").fetchall() == [("main",)]
    database.close()
