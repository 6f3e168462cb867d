"""Names and texts of others as they may be shown: nothing in them hides, turns or breaks a line,
and nobody goes by a name that isn't theirs to go by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

NO_CALL = "\u2060"
"""Stands, unseen, between the @ and a name that would pass for the assistant's."""
_LABEL = 80
_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb]+")
_HIDDEN = re.compile(
    r"[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2065\u206a-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
_ALIKE = str.maketrans("аɑαсϲԁеһіıιϳјӏоοрρѕսνхуԝո", "aaaccdehiiijjlooppsuvxywn")
"""Letters of other alphabets that look like one of ours."""


def line(text: str) -> str:
    """A name in one line, without what could hide or turn it, and not longer than names are."""
    return _CONTROLS.sub(" ", _HIDDEN.sub("", whole(text))).strip()[:_LABEL]


def whole(text: str) -> str:
    """The text without lone surrogates, which can't be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def passes_for(name: str, taken: Iterable[str]) -> bool:
    """Whether a name looks like one of those that are taken."""
    return letters(name) in {letters(one) for one in taken}


def letters(name: str) -> str:
    """What of a name one sees."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(one for one in folded.translate(_ALIKE) if one.isalnum())
