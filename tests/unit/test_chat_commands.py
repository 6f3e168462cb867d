"""The words that the host obeys."""

from __future__ import annotations

import pytest

from pynchy_cli.routing.chat_commands import command_in


@pytest.mark.parametrize(
    "text",
    ["boom", "C", "reset context", "Context RESET", " new\n chat ", "wipe conversation"],
)
def test_reset(text: str) -> None:
    assert command_in(text) == "reset"


@pytest.mark.parametrize("text", ["done", "BYE", "end session", "session stop", "close session"])
def test_end_session(text: str) -> None:
    assert command_in(text) == "end_session"


@pytest.mark.parametrize("text", ["stop", "STOP", " /Stop\n"])
def test_stop(text: str) -> None:
    assert command_in(text) == "stop"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stop it",
        "please stop",
        "stop!",
        "/ stop",
        "reset",
        "context",
        "reset reset",
        "context session",
        "reset the context",
        "end chat",
        "boom boom",
        "please reset context",
        "done with it",
        "a" * 1_000_000,
    ],
)
def test_anything_else_is_said_to_the_assistant(text: str) -> None:
    assert command_in(text) is None
