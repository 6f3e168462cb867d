"""Whether a message is meant for the assistant: pure functions of its text and the group's
way. Nothing here knows who may speak; that was decided when the message came in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from pynchy_cli.model import Group, TriggerMode


@dataclass(frozen=True)
class Decision:
    """Whether the assistant is to answer, and the text without the word that woke it."""

    triggered: bool
    text: str
    is_called: bool = False
    """Whether that word stood there."""


def words(name: str, aliases: Iterable[str] = (), own: str | None = None) -> tuple[str, ...]:
    """The words that wake the assistant after an @: its name, its aliases, and the group's."""
    given = [word.strip().removeprefix("@") for word in (name, *aliases, own or "")]
    return tuple(dict.fromkeys(word for word in given if word))


def decide(text: str, waking: tuple[str, ...], mode: TriggerMode, *, is_admin: bool) -> Decision:
    """The decision for one text: `@word` must stand at its start, as a whole word, in any case.
    An admin group and one that is `always` answered need no word."""
    said = text.strip()
    found = _pattern(waking).match(said) if waking else None
    rest = said[found.end() :].strip() if found else said
    return Decision(bool(found) or is_admin or mode == "always", rest, bool(found))


def for_group(text: str, waking: tuple[str, ...], group: Group) -> Decision:
    """The decision for a text in a group's chat; the group may have a word of its own."""
    if group.trigger_pattern:
        waking = words(group.trigger_pattern, waking)
    return decide(text, waking, group.trigger_mode, is_admin=group.is_admin)


def word_needed(group: Group, waking: tuple[str, ...]) -> str | None:
    """The word without which a group isn't answered, or None where it needs none."""
    if group.is_admin or group.trigger_mode == "always":
        return None
    return words(group.trigger_pattern or "", waking)[0]


@lru_cache(maxsize=256)
def _pattern(waking: tuple[str, ...]) -> re.Pattern[str]:
    # The longest first, so that @ghost does not take the start of @ghost-writer.
    longest_first = sorted(waking, key=len, reverse=True)
    return re.compile(f"@(?:{'|'.join(map(re.escape, longest_first))})(?!\\w)", re.IGNORECASE)
