"""Splits Markdown into texts of a bounded length, at the best places there are: so that each can be
read alone, and what was said first stays as it is when more is said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pynchy_cli.channels.breaks import Cut, best, is_apart
from pynchy_cli.channels.passage import Passage, utf16

_INK = re.compile(r"\S")
Measure = Callable[[str], int]


def split(text: str, limit: int, measure: Measure = utf16) -> list[str]:
    """The text in pieces that measure `limit` at most. What is lost is white space at the breaks;
    what is added are the lines that close code and open it again. Only what is longer than the
    limit as a whole (a link, an emoji) is broken, and a code point never. Raises ValueError where
    the limit is less than 1."""
    if limit < 1:
        raise ValueError(f"limit is {limit}, and must be 1 or more")
    if not text:
        return []
    if utf16(text) <= 4 * limit and measure(text) <= limit:
        return [text]
    return list(_pieces(Passage(text, limit), limit, measure))


def _pieces(passage: Passage, limit: int, measure: Measure) -> Iterator[str]:
    text = passage.text
    blank = len(text) - len(text.lstrip())
    # White space before all is kept, unless it fills much of the first piece.
    at = blank if blank > limit // 4 and is_apart(text, blank) else 0
    while _INK.search(text, at):
        if passage.size(at, len(text)) <= 2 * limit:
            rest = passage.piece(at, len(text))
            if measure(rest) <= limit:
                yield rest
                return
        cut = _cut(passage, at, limit, measure)
        if _INK.search(text, at, cut.end):
            yield passage.piece(at, cut.end)
        at = cut.next


def _cut(passage: Passage, at: int, limit: int, measure: Measure) -> Cut:
    """The best place to end the piece that begins here."""
    room = limit
    while True:
        cut = best(passage, at, room)
        size = measure(passage.piece(at, cut.end))
        if size <= limit:
            return cut
        if room > 1:
            # What is shown is longer than what is written; by how much can only be tried.
            used = min(room, passage.size(at, cut.end))
            room = max(1, int(used * min(0.9, 0.98 * limit / size)))
        elif (code := passage.code_at(at) or passage.code_at(cut.end)) is not None:
            # Not even a code point has room between the lines that make it code.
            passage.forget(code)
            room = limit
        else:
            return cut
