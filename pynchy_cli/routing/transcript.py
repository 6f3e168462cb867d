"""What an agent is told of a chat: messages as XML that is well-formed whatever they hold.
Names, times and texts are other people's and never stand there unescaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pynchy_cli.model import SharedFile

FILES = "/workspace/files"
"""Where the files that came with a group's messages are seen, to be read."""
MISSING, NOT_YET = "It could not be fetched.", "It is not here yet."


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
    return whole(message(one) for one in messages)


def whole(lines: Iterable[str], thread: str = "") -> str:
    """The elements as one, which tells of the thread in which all of it was said."""
    begins = f'<messages thread="{attribute(thread)}">' if thread else "<messages>"
    return "\n".join([begins, *lines, "</messages>"])


@dataclass(frozen=True)
class Quote:
    """What a message quotes: whose words, and these. Where it `is_known` they were said so; else it
    is all the word of whoever quotes."""

    whose: str
    words: str
    is_known: bool = False


def message(said: Said, files: Sequence[SharedFile] = (), quote: Quote | None = None) -> str:
    """What somebody said to the agent, with the files that came with it, and before it what is
    quoted by it."""
    inner = [] if quote is None else [_quoted(quote)]
    inner += [text(said.content)] if said.content else []
    return _element("message", said, "\n".join([*inner, *(file(one) for one in files)]))


def stranger(said: Said) -> str:
    """What was said by somebody who may not speak to the agent."""
    return _element("stranger", said, text(said.content))


def parent(said: Said) -> str:
    """What a thread hangs under."""
    return _element("parent", said, text(said.content))


def note(words: str) -> str:
    """Our own words about what follows."""
    return f"<note>{text(words)}</note>"


def file(shared: SharedFile) -> str:
    """A file that came with a message: where it is seen, or why it isn't there."""
    known = f'type="{attribute(shared.mime)}"' if shared.mime else ""
    size = f'size="{shared.size}"' if shared.size is not None else ""
    if shared.state == "here" and shared.path:
        place = f'path="{attribute(f"{FILES}/{shared.path}")}"'
    else:
        why = shared.error or (MISSING if shared.state == "failed" else NOT_YET)
        place = f'name="{attribute(shared.name)}" missing="{attribute(why)}"'
    return f"<file {' '.join(filter(None, (place, known, size)))}/>"


def _quoted(quote: Quote) -> str:
    kind = "sender" if quote.is_known else "sender_as_claimed"
    sender = f' {kind}="{attribute(quote.whose)}"' if quote.whose else ""
    return f"<quoted{sender}>{text(quote.words)}</quoted>"


def _element(kind: str, said: Said, inner: str) -> str:
    sender, time = attribute(said.sender_name), attribute(said.timestamp)
    return f'<{kind} sender="{sender}" time="{time}">{inner}</{kind}>'


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
