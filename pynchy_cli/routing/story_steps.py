"""What a story is made of: steps, and an ending."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pynchy_cli.output import plain

SHORT = 120
"""Characters of what was said, in a step."""


@dataclass(frozen=True)
class Step:
    """Something that happened at a moment. `more` are facts for programs."""

    at: str
    kind: str
    text: str
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """Where it stands (`state`, a word for programs), what will happen next, and the command to
    type, where one helps."""

    state: str
    text: str
    command: str | None = None


def quoted(text: str) -> str:
    """The beginning of what was said, in one line."""
    line = " ".join(plain(text[: 4 * SHORT]).split())
    return f"“{line}”" if len(line) <= SHORT and len(text) <= 4 * SHORT else f"“{line[:SHORT]}…”"
