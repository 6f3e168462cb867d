"""Markdown as another notation writes it: what a text means is read once, by CommonMark with tables
and strikethrough, and how it is written is for the notation to say. Nothing that anybody can write
makes it fail; what is unfinished reads as it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from wcwidth import wcswidth

WIDEST = 40
"""Columns to which a table's cells are filled up; longer ones stand over."""
Names = Mapping[str, Mapping[str, Any]]
"""Name -> address, as the reader keeps them."""
_BOUNDARY = "\u200b"
"""Between a letter and a mark: most notations read none in the midst of a word."""
_PAIRED = {"strong_open": "strong", "em_open": "em", "s_open": "s"}
_UNPAIRED = {"strong_close": "strong", "em_close": "em", "s_close": "s"}
_BULLETS = "•◦▪"
_RULE = "———"


class Notation:
    """How something is written; this one is text without any marks."""

    marks: Mapping[str, str] = MappingProxyType({})
    """`strong`, `em`, `s` and `code`: what stands on both sides of such."""
    quote = "> "

    def escaped(self, text: str) -> str:
        """Text that means nothing but itself."""
        return text

    def link(self, label: str, url: str) -> str:
        """A link; `label` is plain text, in one line, and may be empty or the address itself."""
        is_said = label in (url, url.removeprefix("mailto:"))
        return (label if is_said else f"{label} ({url})") if label and url else label or url

    def heading(self, line: str) -> str:
        """A line of a heading."""
        return line

    def code(self, text: str) -> str:
        """Code within a line, as it stands between its marks."""
        return self.escaped(text)

    def block(self, text: str) -> str:
        """Code that stands by itself."""
        return self.escaped(text)

    def table(self, rows: Sequence[Sequence[str]], to_the_right: Sequence[bool]) -> str:
        """A table: its heading and the rows below it, of plain text in one line each; and whether a
        column's texts stand to the right."""
        return self.block("\n".join(aligned(rows, to_the_right)))


def written(text: str, notation: Notation, names: Names | None = None) -> str:
    """The text in that notation; `names` are addresses' names that are told elsewhere."""
    known = {"references": dict(names or {})}
    found = _Writer(notation).text(iter(_reader().parse(text, known)))
    # What says but what addresses are called is nothing to show; but it isn't to be lost.
    return found if found.strip() else notation.escaped(text.strip())


def names_in(text: str) -> Names:
    """What a text calls addresses, for all pieces of it."""
    known: dict[str, Any] = {}
    if "]:" in text:
        _reader().parse(text, known)
    names: Names = known.get("references", {})
    return names


def _reader() -> MarkdownIt:
    reader = _Reader("commonmark", {"maxNesting": 20})
    return reader.enable(["table", "strikethrough"])


class _Reader(MarkdownIt):
    """Leaves addresses as they were written; what becomes of any kind the notation decides."""

    def normalizeLink(self, url: str) -> str:  # noqa: N802
        return url

    def normalizeLinkText(self, url: str) -> str:  # noqa: N802
        return url

    def validateLink(self, url: str) -> bool:  # noqa: N802
        return True


class _Line:
    """Text with marks in it, as it is put together."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation
        self.parts: list[str] = []
        self.open: list[str] = []
        self._is_closed = False

    def add(self, text: str) -> None:
        """Go on with a text."""
        if self._is_closed and text[:1].isalnum():
            self.parts.append(_BOUNDARY)
        if text:
            self._is_closed = False
            self.parts.append(text)

    def begin(self, kind: str) -> None:
        """Something is marked from here on, if it isn't so already."""
        self.open.append(kind)
        if self.open.count(kind) == 1:
            self._mark(kind)

    def end(self, kind: str) -> None:
        """Up to here."""
        if kind in self.open:
            self.open.reverse()
            self.open.remove(kind)
            self.open.reverse()
            if kind not in self.open:
                self._close(kind)

    def newline(self) -> None:
        """The next line; marks end with a line."""
        kinds = list(dict.fromkeys(self.open))
        for kind in reversed(kinds):
            self._close(kind)
        self._is_closed = False
        self.parts.append("\n")
        for kind in kinds:
            self._mark(kind)

    def _mark(self, kind: str) -> None:
        if mark := self.notation.marks.get(kind):
            before = self.parts[-1][-1] if self.parts else ""
            self._is_closed = False
            self.parts.append(_BOUNDARY + mark if before.isalnum() else mark)

    def _close(self, kind: str) -> None:
        if mark := self.notation.marks.get(kind):
            if self.parts and self.parts[-1] in (mark, _BOUNDARY + mark):
                self.parts.pop()  # There is nothing between.
                return
            self.parts.append(mark)
            self._is_closed = True


class _Writer:
    """Puts blocks together, from the tokens of a text."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation

    def text(self, tokens: Iterator[Token]) -> str:
        """All of it."""
        return "\n\n".join(self._blocks(tokens))

    def _blocks(self, tokens: Iterator[Token], until: str = "", depth: int = 0) -> list[str]:
        found = []
        for token in tokens:
            if token.type == until:
                break
            block = self._block(token, tokens, depth)
            if block.strip():
                found.append(block)
        return found

    def _block(self, token: Token, tokens: Iterator[Token], depth: int) -> str:
        kind = token.type
        if kind == "inline":
            return self._inline(token.children or [])
        if kind == "heading_open":
            return self._heading(next(tokens).children or [])
        if kind in ("fence", "code_block"):
            text = token.content.rstrip("\n")
            return self.notation.block(text) if text.strip() else ""
        if kind == "hr":
            return _RULE
        if kind == "html_block":
            return self.notation.escaped(token.content.strip("\n"))
        if kind == "blockquote_open":
            return self._quote(self._blocks(tokens, "blockquote_close", depth))
        if kind in ("bullet_list_open", "ordered_list_open"):
            return self._list(token, tokens, depth)
        return self._table(tokens) if kind == "table_open" else ""

    def _heading(self, children: Sequence[Token]) -> str:
        line = _Line(self.notation)
        line.begin("strong")
        self._into(line, children)
        line.end("strong")
        return self.notation.heading("".join(line.parts))

    def _quote(self, blocks: Sequence[str]) -> str:
        own = self.notation.quote
        lines = "\n\n".join(blocks).split("\n")
        # Notations know but one quote; one within another is told by a bar.
        return "\n".join(
            own + ("│ " + line.removeprefix(own) if line.startswith(own) else line)
            for line in lines
        )

    def _list(self, opening: Token, tokens: Iterator[Token], depth: int) -> str:
        until = opening.type.replace("open", "close")
        number = int(opening.attrs.get("start", 1)) if opening.type.startswith("ordered") else None
        items, is_loose = [], False
        for token in tokens:
            if token.type == until:
                break
            inside = list(_until(tokens, "list_item_close"))
            is_loose |= any(
                one.type == "paragraph_open" and not one.hidden and one.level == token.level + 1
                for one in inside
            )
            blocks = self._blocks(iter(inside), depth=depth + 1)
            mark = _BULLETS[min(depth, 2)] if number is None else f"{number}{opening.markup}"
            items.append(_item(mark, blocks))
            number = None if number is None else number + 1
        return ("\n\n" if is_loose else "\n").join(items)

    def _table(self, tokens: Iterator[Token]) -> str:
        rows: list[list[str]] = []
        to_the_right: list[bool] = []
        for token in _until(tokens, "table_close"):
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "th_open":
                to_the_right.append("right" in str(token.attrs.get("style", "")))
            elif token.type == "inline" and rows:
                rows[-1].append(_label(token.children or []))
        return self.notation.table(rows, to_the_right)

    def _inline(self, children: Sequence[Token]) -> str:
        line = _Line(self.notation)
        self._into(line, children)
        return "".join(line.parts)

    def _into(self, line: _Line, children: Sequence[Token]) -> None:
        tokens = iter(children)
        for token in tokens:
            kind = token.type
            if kind in _PAIRED:
                line.begin(_PAIRED[kind])
            elif kind in _UNPAIRED:
                line.end(_UNPAIRED[kind])
            elif kind in ("softbreak", "hardbreak") or _is_break(token):
                line.newline()
            elif kind == "code_inline":
                line.begin("code")
                line.add(self.notation.code(token.content))
                line.end("code")
            elif kind == "link_open":
                label = _label(list(_until(tokens, "link_close")))
                line.add(self.notation.link(label, str(token.attrs.get("href", ""))))
            elif kind == "image":
                label = _label(token.children or [])
                line.add(self.notation.link(label, str(token.attrs.get("src", ""))))
            else:
                line.add(self.notation.escaped(token.content))


def _item(mark: str, blocks: Sequence[str]) -> str:
    """An item of a list: a box that can be ticked stands for the bullet."""
    first = blocks[0] if blocks else ""
    for written, box in (("[ ] ", "☐"), ("[x] ", "☑"), ("[X] ", "☑")):
        if first.startswith(written):
            mark, first = (box if mark in _BULLETS else f"{mark} {box}"), first[len(written) :]
    lines = "\n".join([f"{mark} {first}", *blocks[1:]]).split("\n")
    return "\n".join([lines[0], *(f"  {line}" if line else line for line in lines[1:])])


def _until(tokens: Iterator[Token], kind: str) -> Iterator[Token]:
    """The tokens up to the one that closes, those of the same kind within it included."""
    depth, opening = 0, kind.replace("close", "open")
    for token in tokens:
        if token.type == kind:
            if depth == 0:
                return
            depth -= 1
        depth += token.type == opening
        yield token


def _label(children: Sequence[Token]) -> str:
    """What is written, in one line and without marks."""
    parts = []
    for token in children:
        if token.type == "image":
            parts.append(_label(token.children or []))
        elif token.type in ("softbreak", "hardbreak") or _is_break(token):
            parts.append(" ")
        else:
            parts.append(token.content)
    return " ".join("".join(parts).split())


def _is_break(token: Token) -> bool:
    return token.type == "html_inline" and token.content.replace(" ", "") in ("<br>", "<br/>")


def aligned(rows: Sequence[Sequence[str]], to_the_right: Sequence[bool]) -> Iterator[str]:
    """A table's lines: columns as wide as their cells, and a rule below the first."""
    widths = [
        max(min(WIDEST, columns(cell)) for cell in column) for column in zip(*rows, strict=False)
    ]
    for number, row in enumerate(rows):
        cells = []
        for cell, width, is_right in zip(row, widths, to_the_right, strict=False):
            fill = " " * max(0, width - columns(cell))
            cells.append(fill + cell if is_right else cell + fill)
        yield "  ".join(cells).rstrip()
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def columns(text: str) -> int:
    """How wide a text is where all letters are equally wide."""
    width = wcswidth(text)
    return width if width >= 0 else len(text)
