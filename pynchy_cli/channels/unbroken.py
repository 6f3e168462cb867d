"""What in Markdown is one thing to a reader, and is not to be broken: links of all kinds and code
within a line. One pass over the text; no finding depends on anything farther away than `limit`."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from pynchy_cli.channels.fences import Layout

Span = tuple[int, int]
Size = Callable[[int, int], int]
"""What the text between two places measures."""
_RUN = re.compile("`+")
_TOKEN = re.compile(
    r"(?=[\\`\[\]!<&hHfFmMwW])(?:"
    r"\\[!-/:-@\[-`{-~]"
    r"|(?P<code>`+)"
    r"|(?P<opening>!?\[)"
    r"|(?P<closing>\])"
    r"|(?P<whole><(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*|[^\s<>@]+@[^\s<>]+)>"
    r"|(?<![A-Za-z0-9])(?i:https?://|ftp://|mailto:|www\.)[^\s<>\[\]`。，、；！？）」』】》]*"
    r"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"
    r")"
)
_GAP = r"[ \t]*+(?:\r?\n[ \t]*+)?+"
_TITLE = r"(?:\"(?:[^\"\\]|\\.)*+\"|'(?:[^'\\]|\\.)*+'|\((?:[^()\\]|\\.)*+\))"
_NESTED = r"\((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*+\))*+\)"
_BARE = rf"(?:[^\s()\\<]|\\.|{_NESTED})(?:[^\s()\\]|\\.|{_NESTED})*+"
_INLINE = re.compile(
    rf"\({_GAP}(?:<(?:[^<>\n\\]|\\.)*+>|{_BARE})?+(?:{_GAP}(?<=\s){_TITLE})?+{_GAP}\)", re.S
)
_REFERENCE = re.compile(r"\[(?:[^\[\]\\]|\\.)*+\]", re.S)
_DEFINITION = re.compile(rf":{_GAP}(?:<[^<>\n]*+>|[^\s<]\S*+)(?:{_GAP}(?<=\s){_TITLE})?+", re.S)


def spans(text: str, layout: Layout, limit: int, size: Size) -> list[Span]:
    """Beginnings and ends of what is not to be broken, in order and apart from each other; nothing
    that measures more than `limit`."""
    return _Finder(text, layout, limit, size).find()


class _Finder:
    """Goes through a text from left to right, as a reader does."""

    def __init__(self, text: str, layout: Layout, limit: int, size: Size) -> None:
        self.text, self.layout, self.limit, self.size = text, layout, limit, size
        self.found: list[Span] = []
        self.openings: list[int] = []
        self.closed: set[int] = set()
        """Runs of backticks that end code which is too long to be kept whole."""
        self.runs: dict[int, list[int]] = {}
        for run in _RUN.finditer(text):
            self.runs.setdefault(len(run[0]), []).append(run.start())

    def find(self) -> list[Span]:
        """All there is."""
        at, fence, block_end = 0, 0, 0
        fences = self.layout.fences
        while token := _TOKEN.search(self.text, at):
            start = token.start()
            while fence < len(fences) and fences[fence].end <= start:
                fence += 1
            if fence < len(fences) and fences[fence].start <= start:
                at = max(fences[fence].end, at + 1)
                continue
            if start >= block_end:
                self.openings.clear()
                block_end = self._block_end(start)
            at = self._token(token, block_end)
        return self.found

    def _block_end(self, at: int) -> int:
        blocks = self.layout.blocks
        following = bisect_right(blocks, at)
        return blocks[following] if following < len(blocks) else len(self.text)

    def _token(self, token: re.Match[str], block_end: int) -> int:
        """Take one in; where the next may begin."""
        kind, start, end = token.lastgroup, token.start(), token.end()
        if kind == "code":
            return self._code(start, end, block_end)
        if kind == "opening":
            self.openings.append(start)
        elif kind == "whole":
            self._add(start, end)
        elif kind == "closing" and self.openings:
            opening = self.openings.pop()
            whole = self._tail(opening, end)
            if self._add(opening, whole):
                return whole
        return end

    def _code(self, start: int, end: int, block_end: int) -> int:
        """A run of backticks: where code begins with it, its end is the next run as long."""
        length = end - start
        alike = self.runs.get(length, [])
        following = bisect_left(alike, end)
        if start in self.closed or following >= len(alike) or alike[following] >= block_end:
            return end
        closing = alike[following]
        if self._add(start, closing + length):
            return closing + length
        self.closed.add(closing)
        return end

    def _tail(self, opening: int, end: int) -> int:
        """Where a link ends whose text is over: behind its address, or the name of one."""
        for kind in (_INLINE, _REFERENCE):
            if tail := kind.match(self.text, end):
                return tail.end()
        before = self.text[max(0, opening - 4) : opening].rstrip(" ")
        is_first = before == "" or before[-1] in "\r\n"
        if is_first and (tail := _DEFINITION.match(self.text, end)):
            return tail.end()
        return end

    def _add(self, start: int, end: int) -> bool:
        if self.size(start, end) > self.limit:
            return False
        while self.found and self.found[-1][0] >= start:
            self.found.pop()
        self.found.append((start, end))
        return True
