"""What systemd's journal wants of a line: before it, its priority as `<N>`. Where standard output
or error is the journal itself, so that `journalctl -p err` finds errors; nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
"""Priorities, as syslog numbers them."""
_LEVELS = {
    "critical": ERROR,
    "error": ERROR,
    "warning": WARNING,
    "info": INFO,
    "debug": DEBUG,
}


def is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Whether what is written there goes to the journal, which tells its socket's identity in
    JOURNAL_STREAM; a pipe that was put in between has another."""
    named = environ.get("JOURNAL_STREAM", "")
    if stream is None or not named:
        return False
    try:
        facts = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{facts.st_dev}:{facts.st_ino}"


def priority(level: str) -> int:
    """The priority of a line of that level; of an unknown one, that of information."""
    return _LEVELS.get(level, INFO)


def prefixed(text: str, level: str) -> str:
    """The text as the journal takes it, which knows lines alone: each with its priority."""
    return "\n".join(f"<{priority(level)}>{line}" for line in text.split("\n"))


def for_journal(text: str, level: str, stream: TextIO | None, environ: Mapping[str, str]) -> str:
    """The text as it is to be written to that stream: with its priority, if that is the journal."""
    return prefixed(text, level) if is_journal(stream, environ) else text
