"""What somebody gave for a setting, and where in a TOML text it stands."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_HEADER = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+")
_ASSIGNMENT = re.compile(r"\s*([A-Za-z0-9_.\-\"' ]+?)\s*=")

LONGEST = 200
"""Characters of a line that are looked at."""


ENVIRONMENT = "environment"
DEFAULT = "default"


class Origin(NamedTuple):
    """Where a value comes from: config.toml, .env, environment or default; the line (from 1) where
    it stands in a file, and the variable that holds it."""

    source: str
    line: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        line = f" line {self.line}" if self.line else ""
        variable = f" {self.variable}" if self.source == ENVIRONMENT else ""
        return f"{self.source}{line}{variable}"


class Given(NamedTuple):
    """A value for one setting. `where` names it to a person; `is_text` says that it comes
    from a variable and is still to be read as a number, a list or a boolean."""

    section: str
    key: str
    value: Any
    where: str
    is_text: bool
    origin: Origin


def find_line(text: str, section: str, key: str | None) -> int | None:
    """The line (from 1) of a section, or of a key in it; None where it isn't written plainly."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line[:LONGEST])
        if header:
            current = _bare(header[1])
            if key is None and f"{current}.".startswith(f"{section}."):
                return number
            if key is not None and current == f"{section}.{key}":
                return number
            continue
        name = _ASSIGNMENT.match(line[:LONGEST])
        if name is None:
            continue
        full = f"{current}.{_bare(name[1])}".lstrip(".")
        if full == (section if key is None else f"{section}.{key}"):
            return number
        if key is None and full.startswith(f"{section}."):
            return number
    return None


def _bare(name: str) -> str:
    return re.sub(r"[\s\"']", "", name)
