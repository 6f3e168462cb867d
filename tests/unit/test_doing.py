"""What a chat is shown of a tool that is at work: a short line that people can read."""

from __future__ import annotations

from typing import Any

import pytest

from pynchy_cli.agent import trace


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("Bash", {"command": "ls\n  -la", "description": "List"}, "🔧 Bash ls -la"),
        ("mcp__pynchy__ask_user", {"questions": [{"question": "Tea?"}]}, "🔧 ask_user"),
        ("Read", {}, "🔧 Read"),
        ("Bash", {"command": "x" * 500}, "🔧 Bash " + "x" * (trace.DOING - 7)),
    ],
)
def test_a_tool_at_work_is_a_line(name: str, given: dict[str, Any], line: str) -> None:
    assert trace.doing(name, given) == line
