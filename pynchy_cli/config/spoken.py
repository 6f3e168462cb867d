"""The words of [commands], held against each other: what people say means one thing alone."""

from __future__ import annotations

from collections.abc import Iterator

from pynchy_cli.config.settings import Commands
from pynchy_cli.errors import ConfigInvalid

ALONE = ("reset_aliases", "end_session_aliases", "stop", "pending", "status", "help")
"""Settings whose words are commands by themselves."""
PHRASES = ("stop_all", "release_all")
"""Settings whose words are commands together, in this order."""
BEFORE = ("approve", "deny", "todo")
"""Settings whose words are commands with something behind them."""
PAIRS = (("reset_verbs", "reset_nouns"), ("end_session_verbs", "end_session_nouns"))
"""Settings of which one word each, in either order, is a command."""


def require_distinct(commands: Commands) -> None:
    """Raises ConfigInvalid where something said could be two commands."""
    known: dict[object, str] = {}
    for said, setting in _meanings(commands):
        before = known.setdefault(said, setting)
        if before != setting:
            words = said if isinstance(said, str) else " ".join(sorted(said))
            raise ConfigInvalid(
                f"[commands]: {words!r} can't be in {before} and in {setting}: nobody could tell"
                " which is meant. Take it out of one."
            )


def _meanings(commands: Commands) -> Iterator[tuple[str | frozenset[str], str]]:
    """What can be said, and the setting that it belongs to."""
    for setting in (*ALONE, *BEFORE):
        for word in getattr(commands, setting):
            yield word.casefold(), setting
    for setting in PHRASES:
        for phrase in getattr(commands, setting):
            said = phrase.casefold().split()
            yield frozenset(said) if len(said) == 2 else " ".join(said), setting
    for verbs, nouns in PAIRS:
        for verb in getattr(commands, verbs):
            for noun in getattr(commands, nouns):
                yield frozenset((verb.casefold(), noun.casefold())), verbs
    paired = {setting: getattr(commands, setting) for pair in PAIRS for setting in pair}
    paired |= {one: [said.split()[0] for said in getattr(commands, one)] for one in PHRASES}
    for first in BEFORE:
        taken = {word.casefold() for word in getattr(commands, first)}
        for setting, words in paired.items():
            for word in words:
                if word.casefold() in taken:
                    yield word.casefold(), setting
