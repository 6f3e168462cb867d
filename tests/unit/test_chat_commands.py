"""The words that the host obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from pynchy_cli.config.load import load
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Commands
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.routing.chat_commands import Command, Words

STANDARD = Words(Commands(shell=True))


def name_in(text: str, words: Words = STANDARD) -> str | None:
    found = words.command_in(text)
    return found.name if found else None


@pytest.mark.parametrize(
    "text",
    ["boom", "C", "reset context", "Context RESET", " new\n chat ", "wipe conversation"],
)
def test_reset(text: str) -> None:
    assert name_in(text) == "reset"


@pytest.mark.parametrize("text", ["done", "BYE", "end session", "session stop", "close session"])
def test_end_session(text: str) -> None:
    assert name_in(text) == "end_session"


@pytest.mark.parametrize("text", ["stop", "STOP", " /Stop\n"])
def test_stop(text: str) -> None:
    assert name_in(text) == "stop"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("stop all", "stop_all"),
        (" STOP\n All!! ", "stop_all"),
        ("go on all.", "release_all"),
        ("Release all", "release_all"),
        ("all stop", None),
        ("stop all of it", None),
        ("stop all?", None),
    ],
)
def test_everything(text: str, name: str | None) -> None:
    assert name_in(text) == name


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("approve k4m2", Command("approve", "k4m2")),
        (" APPROVE  `K4M2`. ", Command("approve", "k4m2")),
        ("deny k4m2", Command("deny", "k4m2")),
        ("Deny k4m2 it is  too\nlate", Command("deny", "k4m2", "it is  too\nlate")),
        ("pending", Command("pending")),
        ("Status", Command("status")),
        ("help", Command("help")),
        ("todo buy milk\nand  bread", Command("todo", text="buy milk\nand  bread")),
        ("! ls | wc", Command("shell", text="ls | wc")),
    ],
)
def test_what_says_more(text: str, command: Command) -> None:
    assert STANDARD.command_in(text) == command


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
        "approve",
        "approve k4m2 and more",
        "approve k",
        "approve k4m2/../x",
        "approve ｋ4ｍ2",
        "deny",
        "deny ../../x because",
        "pending things",
        "help me",
        "todo",
        "todo ",
        "!",
        "! ",
        "wow! ls",
        "a" * 1_000_000,
    ],
)
def test_anything_else_is_said_to_the_assistant(text: str) -> None:
    assert name_in(text) is None


@pytest.mark.parametrize("text", ["pending", "status", "help", "todo buy milk"])
def test_words_that_people_say_are_none_unless_the_assistant_is_meant(text: str) -> None:
    assert STANDARD.command_in(text, is_triggered=False) is None
    assert STANDARD.command_in(text, is_triggered=True) is not None
    assert STANDARD.command_in("stop", is_triggered=False) == Command("stop")


def test_the_shell_is_off_unless_it_is_turned_on() -> None:
    assert name_in("!ls", Words(Commands())) is None


def test_the_words_are_what_the_settings_say() -> None:
    words = Words(Commands(stop=("Halt",), approve=("ja",), pending=(), reset_verbs=("Vergiss",)))
    assert [name_in(text, words) for text in ("halt", "JA k4m2", "vergiss chat")] == [
        "stop",
        "approve",
        "reset",
    ]
    said = ("stop", "approve k4m2", "pending", "reset chat")
    assert [name_in(text, words) for text in said] == [None] * 4


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("stop = ['']", ("stop", "word")),
        ("stop = ['two words']", ("stop", "word")),
        ("help = ['@help']", ("help", "neither @ nor !")),
        ("help = ['!help']", ("help", "neither @ nor !")),
        ("stop = ['bye']", ("'bye'", "stop", "end_session_aliases")),
        ("help = ['STATUS']", ("'status'", "status", "help")),
        ("deny = ['approve']", ("'approve'", "approve", "deny")),
        ("todo = ['new']", ("'new'", "todo", "reset_verbs")),
        ("end_session_verbs = ['wipe']", ("'session wipe'", "reset_verbs", "end_session_verbs")),
        ("stop_all = ['session stop']", ("'session stop'", "stop_all", "end_session_verbs")),
        ("release_all = ['todo all']", ("'todo'", "release_all", "todo")),
        ("stop_all = ['status']", ("'status'", "status", "stop_all")),
        ("stop_all = ['a  b']", ("stop_all",)),
        ("shell_timeout = 0", ("shell_timeout", "above 0")),
        ("shell_timeout = 3600", ("shell_timeout", "600")),
        ("shel = true", ("shel", "Did you mean shell?")),
    ],
)
def test_words_that_can_not_be_are_refused(
    tmp_path: Path, toml: str, words: tuple[str, ...]
) -> None:
    home = Home(tmp_path)
    home.config.write_text(f"[commands]\n{toml}\n")
    with pytest.raises(ConfigInvalid) as caught:
        load(home, {})
    for word in words:
        assert word in str(caught.value)
