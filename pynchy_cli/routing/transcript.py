"""What an agent is told of a chat: messages as XML that is well-formed whatever they hold.
Names, times and texts are other people's and never stand there unescaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol


class Said(Protocol):
    """What is needed of a message."""

    @property
    def sender_name(self) -> str:
        """Who said it."""

    @property
    def timestamp(self) -> str:
        """When, by the network's clock."""

    @property
    def content(self) -> str:
        """The text."""


# All that XML 1.0 can't hold, even as a reference: controls, lone surrogates, non-characters.
_IMPOSSIBLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPACE = re.compile(r"[\t\n]")
_MARKS = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def prompt(messages: Iterable[Said]) -> str:
    """The messages as one `<messages>` element, a `<message sender="" time="">` for each."""
    lines = [
        f'<message sender="{attribute(m.sender_name)}" time="{attribute(m.timestamp)}">'
        f"{text(m.content)}</message>"
        for m in messages
    ]
    return "\n".join(["<messages>", *lines, "</messages>"])


def text(value: str) -> str:
    """Any string as the text of an element; a parser gives `cleaned` of it back."""
    return cleaned(value).translate(_MARKS)


def attribute(value: str) -> str:
    """Any string as an attribute's value between double quotes, in one line."""
    return _SPACE.sub(" ", cleaned(value)).translate(_MARKS)


def cleaned(value: str) -> str:
    """The string with each character that XML can't hold replaced by U+FFFD, and each end of
    line as one newline."""
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    return _IMPOSSIBLE.sub("\N{REPLACEMENT CHARACTER}", lines)
