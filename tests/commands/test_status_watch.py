"""`pynchy status --watch`: drawn anew when something happens, until it is ended."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pynchy_cli import clock
from pynchy_cli.store import holds
from pynchy_cli.store.connection import Store
from pynchy_cli.watch import Watcher
from tests import status_document
from tests.commands.test_status import run_sql, stage, told_of

PATIENCE = 60.0
AT_ONCE = 25.0
"""Seconds in which it has heard of a change: less than those after which it looks by itself."""


@contextmanager
def watching(home: Path, environ: dict[str, str], out: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command, at work, its standard output being `out`."""
    command = [sys.executable, "-P", "-m", "pynchy_cli", "status", "--watch", "--home", str(home)]
    process = subprocess.Popen(
        command, stdin=out if os.isatty(out) else subprocess.DEVNULL, stdout=out, env=environ
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def piped(home: Path, environ: dict[str, str]) -> Iterator[tuple[FileIO, Any]]:
    """What the command prints into a pipe, and its process."""
    reading, writing = os.pipe()
    with watching(home, environ, writing) as process, os.fdopen(reading, "rb", 0) as lines:
        os.close(writing)
        yield lines, process


def until(lines: FileIO, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first of the documents that come for which that is true."""
    while select.select([lines], [], [], AT_ONCE)[0] and (line := lines.readline()):
        told: dict[str, Any] = json.loads(line)
        jsonschema.validate(told, status_document.SCHEMA)
        if found(told):
            return told
    raise AssertionError("it told of nothing more")


def hold(home: Path, group: str) -> None:
    with closing(Store.open(home / "data/messages.db")) as store, store.atomic() as db:
        holds.add(db, group, outbound=False, reason=None, by="owner", now=clock.now())


def test_each_change_is_a_line_in_a_pipe(home: Path, environment: dict[str, str]) -> None:
    with stage(home, "run-agent"), piped(home, environment) as (lines, process):
        with stage(home, "route"):
            until(lines, lambda told: told["service"]["status"] == "healthy")
            hold(home, "main")
            told = until(lines, lambda told: told["hold_count"] == 1)
            assert told["holds"][0]["group"] == "main"
        told = until(lines, lambda told: not told["stages"]["route"]["running"])
        assert told["stages"]["route"]["state"] == "died", "nobody has written that"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert lines.read() == b"", "it prints nothing more than what changed"


def test_who_writes_without_ringing_is_heard(home: Path, environment: dict[str, str]) -> None:
    with piped(home, environment) as (lines, process):
        until(lines, lambda told: told["groups"]["active_sessions"] == 0)
        run_sql(
            home,
            "INSERT INTO sessions(group_folder, lane, session_id) VALUES ('main', 'chat', 's')",
        )
        until(lines, lambda told: told["groups"]["active_sessions"] == 1)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_home_that_is_made_meanwhile_is_seen(
    tmp_path: Path, environment: dict[str, str], pynchy: Any
) -> None:
    with piped(tmp_path / "home", environment) as (lines, _):
        until(lines, lambda told: told["problem"]["code"] == "database_missing")
        pynchy("init", "--yes")
        until(lines, lambda told: told["groups"]["total"] == 1)
        hold(tmp_path / "home", "main")
        until(lines, lambda told: told["hold_count"] == 1)


@pytest.mark.parametrize("is_open", [True, False])
def test_to_read_wakes_nobody_who_watches_for_writers(home: Path, is_open: bool) -> None:
    database = home / "data/messages.db"
    heard: list[str] = []

    async def read() -> None:
        mark = asyncio.Event()
        with closing(Watcher()) as watcher:
            for name in ("messages.db", "bell"):
                watcher.add(home / "data", partial(heard.append, name), name=name)
            told_of(home)
            watcher.add(home / "data", mark.set, name="mark")
            (home / "data/mark").touch()
            await asyncio.wait_for(mark.wait(), PATIENCE)

    with closing(sqlite3.connect(database)) as writer:
        if is_open:
            writer.execute("UPDATE counters SET value = value").connection.commit()
        asyncio.run(read())
    assert heard == []


def test_a_reader_that_has_gone_ends_it(home: Path, environment: dict[str, str]) -> None:
    with piped(home, environment) as (lines, process):
        until(lines, lambda told: True)
        lines.close()
        hold(home, "main")
        assert process.wait(PATIENCE) == 0


def test_a_terminal_is_drawn_anew_in_its_place(home: Path, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (12, 80))
    with watching(home, environment, theirs) as process:
        screen = drawn(ours, "Ctrl-C ends")
        assert screen.startswith("\x1b[2J\x1b[H")
        hold(home, "main")
        screen = drawn(ours, "main is held")
        assert screen.count("\x1b[2J") == 0
        last = re.split("\x1b\\[H", screen)[-1]
        assert len(last.splitlines()) <= 12, "no line scrolls away"
        termios.tcsetwinsize(theirs, (40, 100))
        os.kill(process.pid, signal.SIGWINCH)
        drawn(ours, "versions ")
        os.write(ours, b"\x03")
        os.kill(process.pid, signal.SIGINT)  # it isn't in the terminal's foreground here
        assert process.wait(PATIENCE) == 0
    os.close(theirs)
    os.close(ours)


def drawn(terminal: int, words: str) -> str:
    """What the terminal is told, up to a drawing with these words and its last line."""
    text, end = "", time.monotonic() + AT_ONCE
    while words not in text or "Ctrl-C ends" not in text.partition(words)[2] + words:
        left = end - time.monotonic()
        assert left > 0, text
        if select.select([terminal], [], [], left)[0]:
            text += os.read(terminal, 65536).decode()
    return text
