"""`pynchy init`: a home from nothing, and nothing changed in one that is there."""

from __future__ import annotations

import os
import pty
import select
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1), ("\x03", 1), ("\x04", 1)])
def test_on_a_terminal_it_asks(
    tmp_path: Path, environment: dict[str, str], answer: str, code: int
) -> None:
    ours, theirs = pty.openpty()
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "init", f"--home={home}"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = _until(ours, b"[Y/n]")
    os.write(ours, answer.encode() + (b"\n" if answer.isalpha() else b""))
    # Python may miss one that comes just before it begins to read.
    said += _until(ours, None, again=answer if answer == "\x03" else "")
    assert process.wait(timeout=60) == code, said
    os.close(ours)
    assert f"Everything will lie in {home}.".encode() in said
    assert (home / "data").exists() == (code == 0)


def _until(terminal: int, word: bytes | None, again: str = "") -> bytes:
    """What is shown until a word, or until the other side has ended; meanwhile `again` is
    pressed now and then."""
    said, tries = b"", 0
    while word is None or word not in said:
        if not select.select([terminal], [], [], 5)[0]:
            tries += 1
            if tries > 12:
                raise TimeoutError(said)
            os.write(terminal, again.encode())
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:
            part = b""
        if not part:
            break
        said += part
    return said
