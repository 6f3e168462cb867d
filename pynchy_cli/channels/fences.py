"""Where Markdown has fenced code, and where its blocks begin, in one pass over the lines: lists and
quotes are followed as CommonMark has them, since a fence ends with what it stands in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DEEPEST = 32
"""Lists and quotes within each other that are followed."""
_LINE = re.compile(r"[^\r\n]+")
_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])(?: {1,4}(?! )| |$)")
_RULE = re.compile(r" {0,3}([-*_])(?: *\1){2,} *$")
_OPENING = re.compile(r" {0,3}(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$")
_ALONE = re.compile(r" {0,3}(?:#{1,6}(?: |$)|\|)")
"""A heading, or a row of a table: no code or link goes on after it."""
_QUOTED = 0
"""A container's width where it is a quote; else so many columns stand before a list item's text."""


@dataclass(frozen=True)
class Fence:
    """Fenced code: `start` is where its first line begins, `body` where its code does, which ends
    at `body_end`; `end` is the end of its last line."""

    start: int
    body: int
    body_end: int
    end: int
    mark: str
    info: str
    lead: str
    """What stands before the mark, with blanks for the marks of lists."""
    closing: str
    """The mark that closes it; empty where it ends with the list or quote around it."""
    is_open: bool = False
    """Whether the text ends first."""

    @property
    def lead_anew(self) -> str:
        """What stands before the mark where the code goes on in another text: of a list that isn't
        there only as much as is no code by itself."""
        before, quote, after = self.lead.rpartition(">")
        if not quote:
            return self.lead[:3]
        return f"{before.lstrip()}>{after[:4]}"


@dataclass
class Layout:
    """The fences of a text, and where its blocks begin; both in order."""

    fences: list[Fence] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)


@dataclass
class _Open:
    """Code whose end hasn't come."""

    start: int
    body: int
    mark: str
    info: str
    lead: str
    depth: int
    end: int


def read(text: str) -> Layout:
    """The layout of a text."""
    reader = _Reader()
    before = -1
    for found in _LINE.finditer(text):
        line = found[0]
        if line.isspace():
            continue
        gap = text[before : found.start()] if before >= 0 else ""
        if gap and gap not in ("\n", "\r\n", "\r"):
            reader.blank()
        reader.line(line.expandtabs(4) if "\t" in line else line, found.start(), found.end())
        before = found.end()
    return reader.end(len(text))


class _Reader:
    """What is known after some lines."""

    def __init__(self) -> None:
        self.layout = Layout()
        self.containers: list[int] = []
        self.code: _Open | None = None
        self.is_paragraph = False

    def blank(self) -> None:
        """One or more lines without anything on them: they end paragraphs, and quotes."""
        self.is_paragraph = False
        if _QUOTED in self.containers:
            self._leave(self.containers.index(_QUOTED))

    def line(self, line: str, start: int, end: int) -> None:
        """A line with something on it."""
        depth, at = self._within(line)
        if self.code is not None and depth < self.code.depth:
            self._leave(depth)
        if self.code is not None:
            self._in_code(line, at, end)
        elif not self.is_paragraph or depth == len(self.containers) or _begins(line, at):
            self._text(line, start, end, depth, at)

    def end(self, at: int) -> Layout:
        """All that was found, the text being over."""
        if self.code is not None:
            self._close(at, at, "", is_open=True)
        return self.layout

    def _text(self, line: str, start: int, end: int, depth: int, at: int) -> None:
        is_new = depth < len(self.containers)
        del self.containers[depth:]
        while len(self.containers) < DEEPEST and (found := _container(line, at)) is not None:
            self.containers.append(found[0])
            is_new, at = True, found[1]
        if opening := _OPENING.match(line, at):
            depth, lead = len(self.containers), re.sub(r"[^>]", " ", line[: opening.start("mark")])
            info = opening["info"].rstrip()
            self.code = _Open(start, end, opening["mark"], info, lead, depth, end)
            self.is_paragraph = False
            return
        is_alone = _ALONE.match(line, at) is not None
        if is_new or is_alone or not self.is_paragraph:
            self.layout.blocks.append(start)
        self.is_paragraph = not is_alone

    def _in_code(self, line: str, at: int, end: int) -> None:
        assert self.code is not None, "code"
        rest = line[at:]
        mark, said = self.code.mark, rest.strip()
        indent = len(rest) - len(rest.lstrip(" "))
        if indent < 4 and len(said) >= len(mark) and said == mark[0] * len(said):
            self._close(self.code.end, end, said)
        else:
            self.code.end = end

    def _leave(self, depth: int) -> None:
        """What stood in these lists and quotes is over."""
        del self.containers[depth:]
        if self.code is not None and self.code.depth > depth:
            self._close(self.code.end, self.code.end, "")

    def _close(self, body_end: int, end: int, closing: str, is_open: bool = False) -> None:
        code, self.code = self.code, None
        assert code is not None, "code"
        # The line break before the code is its first line's; where there is no code there is none.
        body = min(code.body + 1, body_end)
        place = code.start, body, body_end, end
        self.layout.fences.append(Fence(*place, code.mark, code.info, code.lead, closing, is_open))
        self.layout.blocks.append(end)
        self.is_paragraph = False

    def _within(self, line: str) -> tuple[int, int]:
        """How many of the lists and quotes a line is in, and where its own text begins."""
        at = 0
        for depth, width in enumerate(self.containers):
            if width == _QUOTED:
                found = _QUOTE.match(line, at)
                if found is None:
                    return depth, at
                at = found.end()
            elif line[at : at + width].isspace():
                at += width
            else:
                return depth, at
        return len(self.containers), at


def _container(line: str, at: int) -> tuple[int, int] | None:
    """The list item or the quote that begins here: its width, and where its text begins."""
    if found := _QUOTE.match(line, at):
        return _QUOTED, found.end()
    if (found := _ITEM.match(line, at)) and not _RULE.match(line, at):
        # A blank belongs to the mark even where nothing follows it.
        return found.end() - at + (found.end() == len(line)), found.end()
    return None


def _begins(line: str, at: int) -> bool:
    """Whether a line begins a block, so that it doesn't go on with the paragraph before it."""
    return (
        _container(line, at) is not None
        or _OPENING.match(line, at) is not None
        or _ALONE.match(line, at) is not None
        or _RULE.match(line, at) is not None
    )
