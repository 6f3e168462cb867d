"""Markdown as WhatsApp writes it. It knows a few marks and no way to say that one isn't meant, so
that what was said with such a character is written with one that looks like it, but only where it
would be taken for a mark; in code and in addresses nothing is changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pynchy_cli.channels.base import Outgoing, Piece
from pynchy_cli.channels.chunks import Measure, split
from pynchy_cli.channels.markdown import Names, Notation, aligned, columns, names_in, written
from pynchy_cli.channels.passage import utf16

LIMIT = 4_000
"""UTF-16 code units in one message. WhatsApp takes far more, but a phone folds what is long."""
LONGEST = 100_000
"""Characters of a reply that are sent: who sends hundreds of messages at once is banned, and until
they are written nothing else is done."""
REST = "✂️ {more:,} more characters are not sent to WhatsApp; `pynchy outbox show` has all of it."
WIDEST = 32
"""Columns of a table that a phone shows without breaking its lines."""
_MARKS = "*_~`"
_OURS = "\ufdd0\ufdd1\ufdd2\ufdd3"
"""What stands for a mark while a text is written, and is no character that anybody may use."""
_SAID = "\ufdd4\ufdd5\ufdd6\ufdd7"
"""Likewise for one that somebody said, and that is to be read as it stands."""
_LIKE = "∗ˍ∼ˋ"
_BLOCK = "\ufdd8"
_AS_SAID = str.maketrans(_MARKS, _SAID)
_UNUSED = dict.fromkeys(range(0xFDD0, 0xFDF0), "\ufffd")
_URL = r"(?:https?://|www\.)"
_ADDRESS = re.compile(rf"({_URL}[^\s<>]*)", re.I)
_IN_ADDRESS = str.maketrans({" ": "%20", "(": "%28", ")": "%29"})
_ADDRESSES = re.compile(rf"((?:[ \t]*+\(?+{_URL}[^\s\ufdd0-\ufdd3]*+)++)([\ufdd0-\ufdd2]*+)", re.I)
_EMPTY = re.compile(r"([\ufdd0-\ufdd2])\1")
_CODE = re.compile("\ufdd3[^\ufdd3\n]*\ufdd3")
_CODE_BLOCK = re.compile(f"{_BLOCK}([^{_BLOCK}]*){_BLOCK}")
_PLAIN = str.maketrans(_OURS + _SAID, _MARKS + _MARKS)


class _WhatsApp(Notation):
    marks: Mapping[str, str] = MappingProxyType(
        dict(zip(("strong", "em", "s", "code"), _OURS, strict=True))
    )

    def escaped(self, text: str) -> str:
        parts = _ADDRESS.split(text.translate(_UNUSED))
        return "".join(
            part if number % 2 else part.translate(_AS_SAID) for number, part in enumerate(parts)
        )

    def link(self, label: str, url: str) -> str:
        there = url.removeprefix("mailto:")
        if not there or label in ("", url, there):
            return self.escaped(there.replace(" ", "%20") or label)
        return f"{self.escaped(label)} ({self.escaped(there.translate(_IN_ADDRESS))})"

    def code(self, text: str) -> str:
        return text.translate(_UNUSED).replace("`", "ˋ")

    def block(self, text: str) -> str:
        # Three in a row would end it, wherever they stand.
        apart = re.sub("`(?=`)", "`\u200b", text.translate(_UNUSED))
        return f"{_BLOCK}\n{apart}\n{_BLOCK}"

    def table(self, rows: Sequence[Sequence[str]], to_the_right: Sequence[bool]) -> str:
        if max(map(columns, aligned(rows, to_the_right))) <= WIDEST or len(rows) < 2:
            return super().table(rows, to_the_right)
        # Its lines would be broken, and nobody could tell what belongs together.
        return "\n\n".join(self._entry(rows[0], row) for row in rows[1:])

    def _entry(self, heading: Sequence[str], row: Sequence[str]) -> str:
        """A row of a table, by itself."""
        bold = self.marks["strong"]
        lines = [f"{bold}{self.escaped(row[0])}{bold}"] if row[0] else []
        for name, cell in zip(heading[1:], row[1:], strict=False):
            if cell:
                lines.append("• " + self.escaped(f"{name}: {cell}" if name else cell))
        return "\n".join(lines)


def formatted(text: str, names: Names | None = None) -> str:
    """A text in Markdown, as WhatsApp's messages are written; `names` are those of addresses that
    are told elsewhere."""
    parts = _CODE_BLOCK.split(written(text, _WhatsApp(), names))
    for number, part in enumerate(parts):
        if number % 2:
            parts[number] = _block(parts[number - 1].rpartition("\n")[2], part)
        else:
            parts[number] = "\n".join(_settled(line) for line in part.split("\n"))
    return "".join(parts)


def measure(names: Names | None = None) -> Measure:
    """UTF-16 code units of a text when it is written for WhatsApp."""
    return lambda text: utf16(formatted(text, names))


def render(reply: Outgoing, limit: int = LIMIT) -> list[Piece]:
    """The messages that show a reply, each `limit` UTF-16 code units at most."""
    content = reply.content
    if len(content) > LONGEST:
        content = content[: max(content.rfind("\n", LONGEST // 2, LONGEST), 0) or LONGEST]
    names = names_in(content)
    texts = [formatted(one, names) for one in split(content, limit, measure(names))]
    if more := len(reply.content) - len(content):
        texts.append(formatted(REST.format(more=more)))
    return [Piece(text) for text in texts if text.strip()]


def _block(lead: str, text: str) -> str:
    """Code that stands by itself, behind what is before it on its first line. In a quote each line
    of it is code of its own, since quotes are read line by line."""
    if not lead.startswith(_WhatsApp.quote):
        return f"```{text}```"
    at = len(lead)
    lines = [(line[:at], line[at:].replace("`", "ˋ")) for line in text.split("\n")[1:-1]]
    coded = "\n".join(f"{before}`{code}`" if code.strip() else before for before, code in lines)
    return coded.removeprefix(lead)


def _settled(line: str) -> str:
    """A line with its marks as they are written in the end."""
    return _as_read(_apart(line)).translate(_PLAIN)


def _apart(line: str) -> str:
    """No mark behind an address: WhatsApp would take it for a part of that."""
    line = _ADDRESSES.sub(_moved, line)
    while (fewer := _EMPTY.sub("", line)) != line:
        line = fewer
    return line


def _moved(found: re.Match[str]) -> str:
    """Marks that end behind an address end before it; one that begins there stays away from it."""
    if not found[2]:
        return found[0]
    before = found.string[: found.start(2)]
    closing = [mark for mark in found[2] if before.count(mark) % 2]
    opening = [mark for mark in found[2] if not before.count(mark) % 2]
    gap = " " if opening else ""
    return "".join([*closing, found[1], gap, *opening])


def _as_read(line: str) -> str:
    """What was said with a mark's character, said with one that looks like it, where WhatsApp would
    take two of them, or one with a mark of ours, for the ends of something."""
    if not any(said in line for said in _SAID):
        return line
    shown = _CODE.sub(lambda found: "\ufffc" * len(found[0]), line).translate(_PLAIN)
    letters = list(line)
    for mark, said, like in zip(_MARKS, _SAID, _LIKE, strict=True):
        places = [at for at, one in enumerate(shown) if one == mark]
        opening = next((at for at in places if _may_open(shown, at)), len(shown))
        closing = next((at for at in reversed(places) if _may_close(shown, at)), -1)
        for at in places:
            is_read = (_may_open(shown, at) and closing > at) or (
                _may_close(shown, at) and opening < at
            )
            if line[at] == said and is_read:
                letters[at] = like
    return "".join(letters)


def _may_open(line: str, at: int) -> bool:
    return not line[at - 1 : at].isalnum() and line[at + 1 : at + 2].strip() != ""


def _may_close(line: str, at: int) -> bool:
    return line[at - 1 : at].strip() != "" and not line[at + 1 : at + 2].isalnum()
