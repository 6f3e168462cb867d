"""Reads `.env`: one NAME=value a line, with comments, quotes and `export`. An error names the
line and never what stands in it, for that may be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pynchy_cli.config.files import read_text
from pynchy_cli.errors import ConfigInvalid

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)", re.DOTALL)
_BARE_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Entry(NamedTuple):
    """A value of `.env`, and the line (from 1) in which it stands."""

    value: str
    line: int


def entries(path: Path) -> Iterator[tuple[str, Entry] | ConfigInvalid]:
    """All names in the file, in order, and what can't be read of it; the last of a name wins. A
    missing file is empty."""
    try:
        lines = (read_text(path) or "").splitlines()
    except ConfigInvalid as error:
        yield error
        return
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            yield ConfigInvalid(f"{path}, line {number}: not of the form NAME=value.")
            continue
        try:
            yield match[1], Entry(_value(match[2], path, number), number)
        except ConfigInvalid as error:
            yield error


def _value(text: str, path: Path, number: int) -> str:
    quote = text[:1]
    if quote not in ("'", '"'):
        return _BARE_COMMENT.sub("", text).strip()
    body = r"((?:[^'])*)" if quote == "'" else r'((?:[^"\\]|\\.)*)'
    match = re.fullmatch(rf"{quote}{body}{quote}\s*(?:#.*)?", text, re.DOTALL)
    if match is None:
        raise ConfigInvalid(f"{path}, line {number}: the quotes don't match.")
    if quote == "'":
        return match[1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), match[1])
