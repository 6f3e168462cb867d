"""The places at which a text can be broken, and how good each is: between paragraphs, lines,
sentences and words; and where a word is too long, between its letters as readers see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wcwidth import iter_graphemes

from pynchy_cli.channels.passage import Passage, is_pair

PARAGRAPH, LINE, CODE_PARAGRAPH, CODE_LINE, SENTENCE, WORD, CODE_WORD = range(7)
LEAST = {PARAGRAPH: 0.25, LINE: 0.35, CODE_PARAGRAPH: 0.4, CODE_LINE: 0.5, SENTENCE: 0.5}
"""The part of the room that is filled, at least, where a kind of break is preferred to the next."""
AHEAD = 64
"""Code points that are looked at beyond the room, to see whether a letter ends there."""
_SPACE = "[ \t\r\n\f\v\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u3000]"
_INK = re.compile(r"\S")
_BREAK = re.compile(f"{_SPACE}+|(?<=[。！？])")
_SENTENCE = re.compile(r"[.!?…。！？][\"')\]*_”’»]{0,3}$")


@dataclass(frozen=True)
class Cut:
    """Where a piece ends, and the next one begins; the white space between is dropped."""

    end: int
    next: int


def best(passage: Passage, at: int, room: int) -> Cut:
    """The best place to end the piece that begins at `at`, and may take `room` UTF-16 code units
    with the lines around its code. Where nothing fits, the next code point."""
    most = room - len(passage.opening(at))
    last = passage.reach(at, most)
    found: dict[int, Cut] = {}
    for kind, cut in _backwards(passage, at, last, found):
        if _fits(passage, at, cut.end, most):
            found[kind] = cut
        if PARAGRAPH in found or (found and cut.end - at < LEAST[PARAGRAPH] * (last - at)):
            break
    for kind, least in LEAST.items():
        if kind in found and found[kind].end - at >= least * (last - at):
            return found[kind]
    if found:
        # A line of code stays whole if it can.
        return max(found.items(), key=lambda one: (one[0] != CODE_WORD, one[1].end))[1]
    end = _between_letters(passage, at, last, most)
    return Cut(end, end)


def _fits(passage: Passage, at: int, end: int, most: int) -> bool:
    return passage.size(at, end) + len(passage.closing(at, end)) <= most


def _backwards(
    passage: Passage, at: int, last: int, known: dict[int, Cut]
) -> Iterator[tuple[int, Cut]]:
    """White space at which the text may be broken, the farthest first; later ones only where they
    are better than what is known."""
    text = passage.text
    begun = _INK.search(text, at, last)
    for found in reversed(list(_BREAK.finditer(text, begun.end() if begun else last, last + 1))):
        start, end = found.span()
        top = min(known, default=CODE_WORD + 1)
        if end <= last and top <= _best_kind(found[0]):
            continue
        if end > last and (whole := _BREAK.match(text, start)):
            end = whole.end()
        kind, cut = _kind(passage, at, start, end)
        if kind < top and start <= last and _may_break(passage, start, end):
            yield kind, cut


def _best_kind(between: str) -> int:
    """How good a break white space can make; wherever it stands."""
    lines = between.count("\n") + between.count("\r")
    return SENTENCE if lines == 0 else LINE if lines == 1 else PARAGRAPH


def _kind(passage: Passage, at: int, start: int, end: int) -> tuple[int, Cut]:
    text = passage.text
    between = text[start:end]
    line = max(between.rfind("\n"), between.rfind("\r"))
    is_code = passage.fence_at(start) is not None
    if line < 0 and is_code:
        return CODE_WORD, Cut(start, end)
    if line < 0:
        before = text[max(at, start - 4) : start]
        return (SENTENCE if _SENTENCE.search(before) else WORD), Cut(start, end)
    is_one = max(between.count("\n"), between.count("\r")) < 2
    if is_code:
        return (CODE_LINE if is_one else CODE_PARAGRAPH), Cut(start, start + line + 1)
    # Blanks that would make code of the next line are dropped, too.
    indent = len(between) - line - 1
    begun = text.rfind("\n", at, start) + 1 or at
    is_row = is_one and text.startswith("|", begun) and text.startswith("|", end)
    kind = CODE_LINE if is_row or text.startswith("#", begun) else LINE if is_one else PARAGRAPH
    return kind, Cut(start, end - indent if indent < 4 else end)


def _may_break(passage: Passage, start: int, end: int) -> bool:
    fence = passage.fence_at(start)
    if fence is not None:
        return fence.body < start and end < fence.body_end
    return not passage.is_whole(start, end) and all(
        is_apart(passage.text, here) for here in (start, end)
    )


def is_apart(text: str, at: int) -> bool:
    """Whether white space and what stands beside it are two letters: a mark that combines makes
    one even with a blank."""
    pair = text[at - 1 : at + 1]
    return len(pair) < 2 or pair.isascii() or len(next(iter_graphemes(pair))) == 1


def _between_letters(passage: Passage, at: int, last: int, most: int) -> int:
    """A place between two letters; not in a link or in a fence's lines where that can be helped,
    and within a letter only where it doesn't fit as a whole."""
    text, fair = passage.text, 0
    for here in reversed(_letters(text, at, last)):
        fence = passage.fence_at(here)
        is_between = fence is not None and not fence.body < here < fence.body_end
        if is_between or is_pair(text, here) or not _fits(passage, at, here, most):
            continue
        if not passage.is_whole(here, here):
            return here
        fair = fair or here
    if fair:
        return fair
    while last > at + 1 and (is_pair(text, last) or not _fits(passage, at, last, most)):
        last -= 1
    return last + is_pair(text, last)


def _letters(text: str, at: int, last: int) -> list[int]:
    """Where letters end, up to a place, in order."""
    ends, here = [], at
    for grapheme in iter_graphemes(text[at : last + AHEAD]):
        here += len(grapheme)
        if here > last:
            break
        ends.append(here)
    return ends
