"""Words in a chat that the host itself obeys: pure functions of the text, without the word
that wakes the assistant. They are carried out by `route`, only for those who may speak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Command = Literal["reset", "end_session", "stop"]


@dataclass(frozen=True)
class Words:
    """One of `aliases` by itself, or a verb and a noun in either order."""

    aliases: frozenset[str]
    verbs: frozenset[str]
    nouns: frozenset[str]

    def match(self, said: tuple[str, ...]) -> bool:
        """Whether these words, and no others, were said."""
        if len(said) == 1:
            return said[0] in self.aliases
        if len(said) != 2:
            return False
        one, other = said
        return (one in self.verbs and other in self.nouns) or (
            one in self.nouns and other in self.verbs
        )


RESET = Words(
    aliases=frozenset({"boom", "c"}),
    verbs=frozenset({"reset", "restart", "clear", "new", "wipe"}),
    nouns=frozenset({"context", "session", "chat", "conversation"}),
)
"""Forget the conversation and begin a new one."""
END_SESSION = Words(
    aliases=frozenset({"done", "bye", "goodbye", "cya"}),
    verbs=frozenset({"end", "stop", "close", "finish"}),
    nouns=frozenset({"session"}),
)
"""Let the sandbox go; the conversation can be continued."""
STOP = frozenset({"stop", "/stop"})
"""End the turn at work. Where there is none, these are words like any other."""


def command_in(text: str) -> Command | None:
    """The command that a text is, in whatever case; None where it is none."""
    said = tuple(text.casefold().split(maxsplit=2))
    if RESET.match(said):
        return "reset"
    if END_SESSION.match(said):
        return "end_session"
    if len(said) == 1 and said[0] in STOP:
        return "stop"
    return None
