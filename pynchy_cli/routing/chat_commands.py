"""Words in a chat that the host itself obeys: pure functions of the text, without the word
that wakes the assistant. They are carried out by `route`, only for those who may speak."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pynchy_cli.config.settings import Commands

Name = Literal[
    "reset",
    "end_session",
    "stop",
    "stop_all",
    "release_all",
    "approve",
    "deny",
    "pending",
    "status",
    "help",
    "todo",
    "shell",
]
ID = re.compile(r"[a-z0-9]{2,36}")
"""What may be the id of something that waits for a person."""
AROUND = "`'\".,!"
"""What people write around an id."""
LOUD = ".! "
"""What people write behind what is to be done at once."""
FOR_ASSISTANT = frozenset({"pending", "status", "help", "todo"})
"""Commands that are none unless the message is for the assistant: people say such words."""
Pair = frozenset[str]


@dataclass(frozen=True)
class Command:
    """What is to be done: with which id, and which text (a reason, a todo, a shell's command)."""

    name: Name
    id: str = ""
    text: str = ""


class Words:
    """What can be said, as the settings have it."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self._alone: dict[str, Name] = {
            **_each("reset", commands.reset_aliases),
            **_each("end_session", commands.end_session_aliases),
            **_each("stop", commands.stop),
            **_each("pending", commands.pending),
            **_each("status", commands.status),
            **_each("help", commands.help),
        }
        self._before: dict[str, Name] = {
            **_each("approve", commands.approve),
            **_each("deny", commands.deny),
            **_each("todo", commands.todo),
        }
        self._phrases: dict[str, Name] = {
            **_each("stop_all", commands.stop_all),
            **_each("release_all", commands.release_all),
        }
        self._pairs = {
            **_pairs("reset", commands.reset_verbs, commands.reset_nouns),
            **_pairs("end_session", commands.end_session_verbs, commands.end_session_nouns),
        }

    def command_in(self, text: str, *, is_triggered: bool = True) -> Command | None:
        """The command that a text is, in whatever case; None where it is none."""
        found = self._found(text.strip())
        if found is None or (found.name in FOR_ASSISTANT and not is_triggered):
            return None
        return found

    def _found(self, text: str) -> Command | None:
        if text.startswith("!"):
            command = text[1:].strip()
            return Command("shell", text=command) if self.commands.shell and command else None
        said = text.split(maxsplit=2)
        if not said:
            return None
        if phrase := self._phrases.get(" ".join(text.rstrip(LOUD).casefold().split())):
            return Command(phrase)
        first = said[0].casefold()
        if len(said) == 1:
            alone = self._alone.get(first)
            return Command(alone) if alone else None
        if len(said) == 2 and (pair := self._pairs.get(frozenset((first, said[1].casefold())))):
            return Command(pair)
        return _with_more(self._before.get(first), text, said)


def _with_more(name: Name | None, text: str, said: list[str]) -> Command | None:
    """A command that says more: an id, a reason, a todo."""
    if name is None:
        return None
    if name == "todo":
        return Command(name, text=text.split(maxsplit=1)[1])
    id = said[1].strip(AROUND).casefold()
    if not ID.fullmatch(id) or (name == "approve" and len(said) > 2):
        return None
    return Command(name, id=id, text=said[2] if len(said) > 2 else "")


def _each(name: Name, words: tuple[str, ...]) -> dict[str, Name]:
    return {word.casefold(): name for word in words}


def _pairs(name: Name, verbs: tuple[str, ...], nouns: tuple[str, ...]) -> dict[Pair, Name]:
    return {frozenset((verb.casefold(), noun.casefold())): name for verb in verbs for noun in nouns}
