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
    facts = dict.fromkeys(("stage", "event", "level", "exception", "exc_info", "stack"), "x")
    own = log.get("route").bind(method_name="x", _record="x", self="x")
    own.info("tried %s", **facts)
    (line,) = lines(capsys)
    assert (line["stage"], line["event"], line["level"]) == ("route", "tried %s", "info")
    hidden = (*facts, "method_name", "_record", "self")
    assert {name: line[f"{name}_"] for name in hidden} == dict.fromkeys(hidden, "x")


def test_the_level_and_libraries_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(level="warning"), "route")
    log.get("route").info("no")
    log.get("route").warning("yes")
    logging.getLogger("asyncio").info("no")
    logging.getLogger("asyncio").error("yes %d", 2, exc_info=ValueError("why"))
    own, theirs = lines(capsys)
    assert own["event"] == "yes"
    assert str(theirs.pop("exception")).splitlines() == ["ValueError: why"]
    assert theirs.pop("timestamp")
    assert theirs == {"level": "error", "stage": "route", "logger": "asyncio", "event": "yes 2"}


def test_a_line_that_cant_be_made_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(), "route")
    logging.getLogger("asyncio").error("%d of %d", "sk-ant-oat01-abcdefgh")
    (line,) = lines(capsys)
    assert (line["logger"], line["level"]) == ("asyncio", "error")
    assert line["event"] == "a line that can't be written"


def test_text_stays_one_line_and_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(format="text"), "route")
    log.get("route").info("a\nb", content="\x1b[2J\u202e é")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert " info    route: a\\nb content=\\x1b[2J" in said


def test_text_tells_a_traceback_below_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(Wanted(format="text"), "route")
    log.get("route").error("failed", exc_info=ValueError("why\x1b"), run=5)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("Z error   route: failed run=5")
    assert second == "ValueError: why\\x1b"


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
    own.warning("xoxb-1-abcdefgh, xoxe.xoxp-1-abcdefgh, xapp-1-A0-abcdefgh")
    own.warning("can't open wss://wss.slack.com/link/?ticket=abcdefgh-1&app_id=x")
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


@pytest.mark.parametrize(("level", "loaded"), [("error", []), ("info", ["structlog"])])
def test_only_a_written_line_loads_structlog(level: str, loaded: list[str]) -> None:
    code = (
        "import asyncio, sys\n"
        "from pynchy_cli import log\n"
        "from pynchy_cli.config.settings import Log\n"
        "log.configure(Log(level=sys.argv[1]), 'route')\n"
        "log.get('route').bind(run=5).info('started')\n"
        "heavy = {'structlog', 'rich', 'pygments', 'typer'}\n"
        "print(*sorted(heavy & set(sys.modules)))\n"
        "import rich.console\n"
    )
    command = [sys.executable, "-c", code, level]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == loaded
    assert bool(done.stderr) == bool(loaded)
