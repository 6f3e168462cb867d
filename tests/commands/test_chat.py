"""`pynchy chat` in a terminal, typed into by tmux."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.store import events, outbound
from pynchy_cli.store.connection import Store
from tests.conftest import Pynchy


class Terminal:
    """A terminal in which a command runs; what is typed and what is seen."""

    def __init__(self, folder: Path, command: list[str], environ: dict[str, str]) -> None:
        self._socket = str(folder / "tmux")
        self._environ = {**environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        shell = f"{shlex.join(command)}; echo left with $?; cat"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", shell)

    def tmux(self, *arguments: str) -> str:
        """Ask tmux something."""
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    def type(self, *keys: str) -> None:
        """Press keys; text is typed as it is."""
        self.tmux("send-keys", *keys)

    def sees(self, text: str, *, gone: bool = False) -> str:
        """Wait until a text is on the screen, or `gone` from it; the screen."""
        deadline = time.monotonic() + 60
        while (text in (screen := self.tmux("capture-pane", "-p"))) == gone:
            assert time.monotonic() < deadline, f"{text!r} (gone: {gone}) in\n{screen}"
            time.sleep(0.05)
        return screen


@pytest.fixture
def terminal(
    tmp_path: Path, home: Path, pynchy: Pynchy, environment: dict[str, str]
) -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        if os.environ.get("CI"):
            pytest.fail("tmux is needed to try the chat")
        pytest.skip("tmux is not installed")
    pynchy("send", "main", "an earlier \x1b[31mword")
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "chat"]
    one = Terminal(tmp_path, command, environment)
    try:
        one.sees("main>")
        yield one
    finally:
        one.tmux("kill-server")


def said(home: Path) -> list[str]:
    db = sqlite3.connect(home / "data" / "messages.db")
    found = [row[0] for row in db.execute("SELECT content FROM messages WHERE is_from_me = 0")]
    db.close()
    return found


def test_a_talk(terminal: Terminal, home: Path, pynchy: Pynchy) -> None:
    assert "owner: an earlier \\x1b[31mword" in terminal.sees("an earlier")
    terminal.type("what is up?", "Enter")
    terminal.sees("route and run-agent are not running")
    assert said(home)[1:] == ["what is up?"]
    pynchy("route", "--once")
    with Store.open(home / "data" / "messages.db") as store:
        say = {"key": "run:1:0", "chat_jid": "local:main", "group_folder": "main", "run_id": 1}
        with store.atomic() as db:
            outbound.grow(db, content="not \x1b[2Jmuch", now=clock.now(), **say)  # type: ignore[arg-type]
        screen = terminal.sees("not \\x1b[2Jmuch▌")
        assert "what is up?" in screen, "an answer clears no screen"
        with store.atomic() as db:
            outbound.grow(db, content="not much, and", now=clock.now(), **say)  # type: ignore[arg-type]
        terminal.sees("not much, and▌")
        with store.atomic() as db:
            db.execute("UPDATE runs SET state = 'done'")
            outbound.say(
                db,
                content="not much, and you?",
                source="agent",
                now=clock.now(),
                **say,  # type: ignore[arg-type]
            )
    terminal.sees("pynchy: not much, and you?")
    screen = terminal.sees("▌", gone=True)
    assert screen.count("not much") == 1
    pynchy("listen", "stdin", "--sender", "eve", input="psst\n")
    terminal.sees("eve (refused): psst")
    terminal.type("C-d")
    terminal.sees("left with 0")


def test_a_long_line_that_grows_is_seen_to_its_end(terminal: Terminal, home: Path) -> None:
    terminal.sees("main>")
    say = {"key": "run:1:0", "chat_jid": "local:main", "group_folder": "main", "run_id": None}
    with Store.open(home / "data" / "messages.db") as store, store.atomic() as db:
        words = "long " * 60
        outbound.grow(db, content=f"{words}last", now=clock.now(), **say)  # type: ignore[arg-type]
    assert terminal.sees("last▌").count("long") == 60


def test_what_an_agent_does_looks_unlike_what_it_says(
    terminal: Terminal, home: Path, pynchy: Pynchy
) -> None:
    terminal.sees("main>")
    with Store.open(home / "data" / "messages.db") as store, store.atomic() as db:
        for kind, text in (("tool_use", "Bash ls"), ("tool_result", "a\n" * 9), ("host", "Well.")):
            events.show(
                db,
                key=kind,
                chat_jid="local:main",
                kind=kind,
                content=text,
                now=clock.now(),
                run_id=1,
            )
    screen = terminal.sees("pynchy: Well.")
    assert "pynchy > Bash ls\npynchy < a\n    a\n    a\n    a\n    a …\n" in screen
    seen = pynchy("tail", "main").stdout
    assert json.loads(seen.splitlines()[2])["content"] == "a\n" * 9


def test_into_a_pipe_go_answers_alone(pynchy: Pynchy, home: Path) -> None:
    talk = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), "chat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert talk.stdin is not None
    talk.stdin.write("hello\n")
    talk.stdin.close()
    talk.stdin = None
    deadline = time.monotonic() + 60
    while said(home) != ["hello"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pynchy("route", "--once")
    with Store.open(home / "data" / "messages.db") as store, store.atomic() as db:
        where = {"chat_jid": "local:main", "now": clock.now(), "run_id": 1}
        events.show(db, key="1", kind="tool_use", content="Bash ls", **where)  # type: ignore[arg-type]
        outbound.say(
            db,
            key="run:1:0",
            group_folder="main",
            content="hello, too",
            source="agent",
            **where,  # type: ignore[arg-type]
        )
        db.execute("UPDATE runs SET state = 'done'")
    assert talk.communicate(timeout=60)[0] == "hello, too\n"
    assert talk.returncode == 0


def test_ctrl_c_leaves_cleanly(terminal: Terminal, home: Path) -> None:
    terminal.type("half a tho")
    terminal.sees("half a tho")
    terminal.type("C-c")
    screen = terminal.sees("left with 0")
    assert "Traceback" not in screen
    assert len(said(home)) == 1, "what was not sent is not said"


def test_a_hint_for_a_group_that_answers_to_its_name(
    terminal: Terminal, home: Path, pynchy: Pynchy
) -> None:
    terminal.type("C-d")
    terminal.sees("left with 0")
    pynchy("groups", "add", "team")
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "chat", "team"]
    terminal.tmux("respawn-pane", "-k", f"{shlex.join(command)}; echo left again; cat")
    terminal.sees("team>")
    terminal.type("hello", "Enter")
    terminal.sees("begins with @pynchy")
    terminal.type("C-d")
    terminal.sees("left again")
