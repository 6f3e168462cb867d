"""Lines carry their priority where they go to the journal, and nowhere else."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from pynchy_cli import journal, log
from pynchy_cli.config.settings import Settings
from pynchy_cli.supervise.printer import Printer


@pytest.fixture
def stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """A file that stands for the journal."""
    with (tmp_path / "journal").open("w+") as file:
        facts = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{facts.st_dev}:{facts.st_ino}")
        yield file


def text(stream: TextIO) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def test_only_the_journal_is_one(stream: TextIO, tmp_path: Path) -> None:
    assert journal.is_journal(stream, os.environ)
    assert not journal.is_journal(stream, {})
    assert not journal.is_journal(stream, {"JOURNAL_STREAM": "nonsense"})
    assert not journal.is_journal(io.StringIO(), os.environ)
    assert not journal.is_journal(None, os.environ)
    with (tmp_path / "other").open("w") as other:
        assert not journal.is_journal(other, os.environ)


def test_each_line_has_its_priority() -> None:
    assert journal.prefixed("one\ntwo", "error") == "<3>one\n<3>two"
    assert [journal.priority(level) for level in ("warning", "info", "debug", "x")] == [4, 6, 7, 6]


def test_what_is_logged_has_it(stream: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        log.configure(Settings().log, "listen@whatsapp")
        log.get("listen").info("Connected to WhatsApp")
        log.get("listen").error("it broke")
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    well, broken = text(stream).splitlines()
    assert well.startswith('<6>{"timestamp": ')
    assert "Connected to WhatsApp" in well
    assert broken.startswith('<3>{"timestamp": ')


def test_what_the_supervisor_prints_has_it(stream: TextIO) -> None:
    printer = Printer(stream, ["route"], as_json=True)
    printer.print("route", '{"level": "error", "event": "it broke"}')
    printer.print("route", "no JSON")
    printer.say("route gives no sign of life", "error")
    printer.close()
    assert [line[:4] for line in text(stream).splitlines()] == ["<3>{", "<6>{", "<3>{"]
