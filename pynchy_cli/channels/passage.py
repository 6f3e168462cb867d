"""A text in Markdown of which pieces are made: what any two places in it measure, what code is
there, and how a piece reads that begins or ends in the midst of code."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from pynchy_cli.channels import fences
from pynchy_cli.channels.fences import Fence
from pynchy_cli.channels.unbroken import spans

DENSEST = 16
"""How many times longer than the code in a piece the lines around it may be."""
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def utf16(text: str) -> int:
    """UTF-16 code units, in which networks count; never less than `len`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


class Passage:
    """A text, and what pieces of `limit` at most must know of it."""

    def __init__(self, text: str, limit: int) -> None:
        self.text = text
        self._astral = [] if text.isascii() else [one.start() for one in _ASTRAL.finditer(text)]
        layout = fences.read(text)
        layout.fences = self._fences = [one for one in layout.fences if _is_worth_it(one, limit)]
        self._starts = [fence.start for fence in self._fences]
        self._spans = spans(text, layout, limit, self.size)

    def size(self, start: int, end: int) -> int:
        """UTF-16 code units between two places."""
        if not self._astral:
            return end - start
        return end - start + bisect_left(self._astral, end) - bisect_left(self._astral, start)

    def reach(self, at: int, most: int) -> int:
        """The last place up to which the text measures `most` at most; one code point on at
        least."""
        last = min(len(self.text), at + most)
        while self._astral and last > at + 1 and (over := self.size(at, last) - most) > 0:
            last = max(at + 1, last - (over + 1) // 2)
        return max(last, at + 1)

    def is_whole(self, start: int, end: int) -> bool:
        """Whether something that isn't to be broken goes on across these places."""
        before = bisect_left(self._spans, (start, 0)) - 1
        return before >= 0 and self._spans[before][1] > min(start, end)

    def fence_at(self, at: int) -> Fence | None:
        """The fence that a place is in, be it in its lines or in its code."""
        following = bisect_right(self._starts, at)
        fence = self._fences[following - 1] if following else None
        return fence if fence is not None and fence.start < at < fence.end else None

    def code_at(self, at: int) -> Fence | None:
        """The fence whose code is at a place."""
        fence = self.fence_at(at)
        return fence if fence is not None and fence.body <= at < fence.body_end else None

    def forget(self, fence: Fence) -> None:
        """Take a fence's code for text like any other."""
        self._fences.remove(fence)
        self._starts.remove(fence.start)

    def opening(self, at: int) -> str:
        """The line that a piece begins with which begins here; empty where it needs none."""
        code = self.code_at(at)
        return f"{self._lead(code, at)}{code.mark}{code.info}\n" if code is not None else ""

    def closing(self, at: int, end: int) -> str:
        """What closes the code in which a piece ends that begins at `at`."""
        code = self.code_at(end)
        if code is None:
            return ""
        lead = self._lead(code, at) if code is self.code_at(at) else code.lead
        return f"\n{lead}{code.mark}"

    def piece(self, at: int, end: int) -> str:
        """The text between two places, with lines that open and close code."""
        code = self.code_at(at)
        parts = [self.opening(at)]
        if code is not None and end >= code.body_end and not code.is_open:
            # Indented or quoted as it was, its last line would not be the end of ours.
            parts.append(self.text[at : code.body_end])
            parts.append(f"\n{self._lead(code, at)}{code.closing or code.mark}")
            parts.append(self.text[code.end : end])
        else:
            parts.append(self.text[at:end])
        parts.append(self.closing(at, end))
        return "".join(parts)

    def _lead(self, code: Fence, at: int) -> str:
        """What stands before the marks of code that goes on here."""
        is_new_line = self.text[at - 1] in "\r\n"
        return code.lead_anew if is_new_line or ">" not in code.lead else ""


def is_pair(text: str, at: int) -> bool:
    """Whether a place is between the two halves of a code point that are kept apart."""
    return 0 < at < len(text) and "\ud800" <= text[at - 1] < "\udc00" <= text[at] < "\ue000"


def _is_worth_it(fence: Fence, limit: int) -> bool:
    """Whether the code can be closed and opened again within the limit."""
    around = 2 * utf16(fence.lead) + utf16(fence.info) + 2 * len(fence.mark) + 2
    return around <= limit - max(1, around // DENSEST)
