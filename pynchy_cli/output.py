"""What commands print: data on standard output, talk on standard error. What came from a
chat is never let through to a terminal as control characters."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence

TYPE_CHECKING = False  # the module typing takes a tenth of the time of `status`
if TYPE_CHECKING:
    from typing import Any

# C0 and C1 controls but tab and newline, and the marks that turn the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

# What takes no room, or looks like a blank and is none: format characters, fillers, line marks.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028\u2029\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000110bd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def plain(text: str) -> str:
    """The text with control characters made visible, so that a terminal obeys none of them."""
    return _CONTROLS.sub(lambda found: _escape(ord(found[0])), text)


def revealed(text: str) -> str:
    """The text with all visible that is in it: controls, and what hides between letters. For what
    a person is to agree to; it spoils some emoji."""
    return _HIDDEN.sub(lambda found: _escape(ord(found[0])), plain(text))


def wants_json(flag: bool) -> bool:
    """Whether to print JSON: asked for by `--json`, or because no terminal reads along."""
    return flag or sys.stdout is None or not sys.stdout.isatty()


def print_json(document: object) -> None:
    """One JSON document, indented, on standard output."""
    _out(_json(document, indent=2))


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
    """Rows below their headers, in columns as wide as needed; cells are made one line each.
    Where `width` is known, the last column is cut so that each line fits in it."""
    cells = [[header.upper() for header in headers], *([_cell(one) for one in row] for row in rows)]
    widths = [max(columns(row[at]) for row in cells) for at in range(len(headers))]
    room = None if width is None else max(10, width - sum(widths[:-1]) - 2 * len(widths[:-1]))
    for *first, last in cells:
        padded = [cell + " " * (widths[at] - columns(cell)) for at, cell in enumerate(first)]
        _out("  ".join([*padded, _cut(last, room)]).rstrip() + "\n")


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


def in_words(value: object) -> str:
    """A field's value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


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


def _json(document: object, indent: int | None = None) -> str:
    """The document on lines of its own. Controls stand in its texts alone, and `json` escapes
    only some of them."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _escape(number: int) -> str:
    if number > 0xFFFF:
        return f"\\U{number:08x}"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(str(value)).replace("\n", " ").replace("\t", " ")


def _cut(text: str, room: int | None) -> str:
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
