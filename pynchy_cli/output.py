"""What commands print: data on standard output, talk on standard error. What came from a
chat is never let through to a terminal as control characters."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`, json and re more
if TYPE_CHECKING:
    from typing import Any

# What takes no room, or looks like a blank and is none: format characters, fillers, line marks.
_HIDDEN = (
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028\u2029\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000110bd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def _escape(number: int) -> str:
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


# C0 and C1 controls but tab and newline, and the marks that turn the direction of text.
_CONTROLS = (
    *(*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0)),
    *(*range(0x202A, 0x202F), *range(0x2066, 0x206A)),
)
_VISIBLE = {code: _escape(code) for code in _CONTROLS}
_IN_JSON = {code: f"\\u{code:04x}" for code in _CONTROLS}
_QUOTED = _IN_JSON | {
    ord(one): "\\" + name for one, name in zip('"\\\b\f\n\r\t', '"\\bfnrt', strict=True)
}


def plain(text: str) -> str:
    """The text with control characters made visible, so that a terminal obeys none of them."""
    return text.translate(_VISIBLE)


def revealed(text: str) -> str:
    """The text with all visible that is in it: controls, and what hides between letters. For what
    a person is to agree to; it spoils some emoji."""
    import re

    return re.sub(_HIDDEN, lambda found: _escape(ord(found[0])), plain(text))


def wants_json(flag: bool) -> bool:
    """Whether to print JSON: asked for by `--json`, or because no terminal reads along."""
    return flag or sys.stdout is None or not sys.stdout.isatty()


def print_json(document: object) -> None:
    """One JSON document, indented, on standard output."""
    _out(_indented(document, "\n") + "\n")


def print_facts(document: Mapping[str, object], as_json: bool) -> None:
    """What is known of one thing: a document where JSON is wanted, else a line for each fact."""
    if wants_json(as_json):
        print_json(document)
        return
    for key, value in document.items():
        print_text(f"{key}: {in_words(value)}")


def print_line(row: object) -> None:
    """One row as a line of NDJSON, written out at once."""
    _out(_json(row))


def print_lines(rows: Iterable[object]) -> None:
    """Rows as NDJSON, one a line."""
    for row in rows:
        print_line(row)


def print_text(text: str) -> None:
    """One or more lines of text for a person, on standard output."""
    _out(plain(text) + "\n")


def print_table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None
) -> None:
    """Print what `table` makes of the rows."""
    for line in table(headers, rows, width):
        _out(line + "\n")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], width: int | None = None
) -> list[str]:
    """Rows below their headers, in columns as wide as needed; cells are made one line each.
    Where `width` is known, the last column is cut so that each line fits in it."""
    cells = [[header.upper() for header in headers], *([_cell(one) for one in row] for row in rows)]
    widths = [max(columns(row[at]) for row in cells) for at in range(len(headers))]
    room = None if width is None else max(10, width - sum(widths[:-1]) - 2 * len(widths[:-1]))
    found = []
    for *first, last in cells:
        padded = [cell + " " * (widths[at] - columns(cell)) for at, cell in enumerate(first)]
        found.append("  ".join([*padded, cut(last, room)]).rstrip())
    return found


def folded(text: str, margin: int, width: int | None) -> str:
    """The text on as many lines as it takes where `width` is known, each below the first `margin`
    characters. What stands in backticks is to be copied, and isn't broken."""
    if width is None or width < 2 * margin or columns(text) <= width:
        return text
    head, body = text[:margin], text[margin:].split("`")
    body[1::2] = [quoted.replace(" ", "\0") for quoted in body[1::2]]
    found = [head]
    for word in "`".join(body).split(" "):
        joint = "" if found[-1] in (head, " " * margin) else " "
        if joint and columns(f"{found[-1]} {word}") > width:
            found.append(" " * margin)
            joint = ""
        found[-1] += joint + word
    return "\n".join(found).replace("\0", " ")


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # rarely needed, and not free to load

    return sum((2 if east_asian_width(one) in "WF" else 1) for one in text if not combining(one))


def width() -> int | None:
    """The terminal's columns, or None where it doesn't tell."""
    try:
        return os.get_terminal_size(1).columns or None
    except OSError:
        return None


def height() -> int:
    """The terminal's lines; 24 where it doesn't tell."""
    try:
        return os.get_terminal_size(1).lines or 24
    except OSError:
        return 24


def in_words(value: object) -> str:
    """A field's value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def print_raw(text: str) -> None:
    """Text of our own with orders to the terminal in it, on standard output."""
    _out(text)


def say(text: str) -> None:
    """A line of talk for a person, on standard error. Never fails."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(plain(text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass


def hush() -> None:
    """Print nothing more: whoever read our standard output has gone, and had enough. Python
    would complain again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _json(document: object) -> str:
    """The document on one line. Controls stand in its texts alone, and `json` escapes only some of
    them."""
    import json

    return json.dumps(document, ensure_ascii=False).translate(_IN_JSON) + "\n"


def _indented(value: object, margin: str) -> str:
    """The same on lines of its own, as `json` would indent it, which takes a third of the time of
    `status` to load. `margin` is what a line begins with."""
    if isinstance(value, str):
        return f'"{value.translate(_QUOTED)}"'
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, dict | list | tuple) and not value:
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, dict):
        rows = (
            f"{_indented(str(key), '')}: {_indented(value[key], margin + '  ')}" for key in value
        )
        return "{" + ",".join(f"{margin}  {row}" for row in rows) + margin + "}"
    if isinstance(value, list | tuple):
        rows = (_indented(one, margin + "  ") for one in value)
        return "[" + ",".join(f"{margin}  {row}" for row in rows) + margin + "]"
    if isinstance(value, int):
        return int.__repr__(value)
    return _json(value).removesuffix("\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(str(value)).replace("\n", " ").replace("\t", " ")


def cut(text: str, room: int | None) -> str:
    """The text, or as much of it as takes so many columns, with `…` at its end."""
    if room is None or columns(text) <= room:
        return text
    text = text[:room]
    while columns(text) >= room:
        text = text[:-1]
    return text + "…"


def _out(text: str) -> None:
    if sys.stdout is None:
        return
    # In UTF-8 whatever the locale; a lone surrogate becomes its escape, which JSON reads back.
    data = text.encode("utf-8", "backslashreplace")
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(data.decode("utf-8"))
        return
    sys.stdout.flush()
    binary.write(data)
    binary.flush()
