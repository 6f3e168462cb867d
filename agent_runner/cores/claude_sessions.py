"""When a conversation with Claude can be continued by another process: not as soon as it has
a name, but once the client has written down what was asked. It only ever reads."""

from __future__ import annotations

import os
from pathlib import Path

ASKED = b'"type":"user"'


def is_written(session_id: str) -> bool:
    """Whether the client's transcript holds a question, so that it finds it again."""
    projects = folder() / "projects"
    try:
        return any(_holds(path) for path in projects.glob(f"*/{session_id}.jsonl"))
    except OSError:
        return False


def folder() -> Path:
    """Where the client keeps its state."""
    chosen = os.environ.get("CLAUDE_CONFIG_DIR")
    return Path(chosen) if chosen else Path.home() / ".claude"


def _holds(transcript: Path) -> bool:
    with transcript.open("rb") as lines:
        return any(ASKED in line for line in lines)
