"""Lines of the log: one each, whole, and without a secret."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pynchy_cli import log
from pynchy_cli.config.settings import Log as Wanted


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Gives the process's logging back as it was found."""
    root, own = logging.getLogger(), logging.getLogger("pynchy")
    handlers, level, own_level = list(root.handlers), root.level, own.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    own.setLevel(own_level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_json_where_no_terminal_reads(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(), "route")
    log.get("route").bind(run=5).info("queued\nit", chat="local:é", n=None)
    (line,) = lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "level": "info",
        "stage": "route",
        "logger": "route",
        "event": "queued\nit",
        "run": 5,
        "chat": "local:é",
        "n": None,
    }


def test_facts_never_hide_what_every_line_has(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(), "route")
    log.get("route").info("tried", stage="x", event="y", level="z")
    (line,) = lines(capsys)
    assert (line["stage"], line["event"], line["level"]) == ("route", "tried", "info")
    assert (line["stage_"], line["event_"], line["level_"]) == ("x", "y", "z")


def test_the_level_and_libraries_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(level="warning"), "route")
    log.get("route").info("no")
    log.get("route").warning("yes")
    logging.getLogger("asyncio").info("no")
    logging.getLogger("asyncio").error("yes %d", 2)
    assert [line["event"] for line in lines(capsys)] == ["yes", "yes 2"]


def test_text_stays_one_line_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(format="text"), "route")
    log.get("route").info("a\nb", content="\x1b[2J\u202e é")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "route: a\\nb content=\\x1b[2J" in said


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_never_come_through(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(
        Wanted(format=form),  # type: ignore[arg-type]
        "gateway",
        secrets=("hunter22", ""),
    )
    own = log.get("gateway")
    own.info("key hunter22", header={"x-api-key": "hunter22"})
    try:
        raise ValueError("hunter22 and sk-ant-oat01-abcdefgh")
    except ValueError as error:
        own.error("failed", exc_info=error)
        own.exception("failed")
    said = capsys.readouterr().err
    assert "hunter22" not in said
    assert "abcdefgh" not in said
    assert said.count(log.MASK) >= 4
    assert said.count("ValueError") >= 2


def test_a_reader_that_went_away_hurts_nobody() -> None:
    code = (
        "import sys\n"
        "from pynchy_cli import log\n"
        "from pynchy_cli.config.settings import Log\n"
        "log.configure(Log(), 'route')\n"
        "for _ in range(3): log.get('route').error('heard by nobody')\n"
        "print('alive', flush=True)\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert done.stdout == b"alive\n"


def test_the_log_loads_no_logging_library() -> None:
    code = (
        "import asyncio, sys\n"
        "before = set(sys.modules)\n"
        "import pynchy_cli.log\n"
        "heavy = {'structlog', 'rich', 'msgspec', 'typer'}\n"
        "print(sorted(heavy & (set(sys.modules) - before)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
