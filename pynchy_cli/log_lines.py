"""What a log line that is a JSON object looks like to people. It needs nothing of what writes such
lines, for whoever shows them may be small."""

from __future__ import annotations

from collections.abc import Mapping

FIRST = ("timestamp", "level", "stage", "event")
LEFT_OUT = (*FIRST, "logger", "exception")
COLOURS = {"debug": "2", "warning": "33", "error": "31"}
"""Level -> how a terminal shows it; others as they come."""


def as_text(line: Mapping[str, object], colours: bool) -> str:
    """A line such as `2026-01-31T08:00:00.000Z info    route: queued run=5`; a traceback follows
    on lines of its own. What a line doesn't have is left out. No control character gets through."""
    level = _visible(line.get("level", ""))
    stage = _visible(line.get("stage", ""))
    parts = [
        _visible(line.get("timestamp", "")),
        f"{level:<7}" if level else "",
        f"{stage}:" if stage else "",
        _visible(line.get("event", "")),
        *(f"{_visible(key)}={_visible(line[key])}" for key in line if key not in LEFT_OUT),
    ]
    text = " ".join(part for part in parts if part)
    if exception := line.get("exception"):
        text = "\n".join([text, *map(_visible, str(exception).splitlines())])
    colour = COLOURS.get(level) if colours else None
    return f"\033[{colour}m{text}\033[0m" if colour else text


def _visible(value: object) -> str:
    text = str(value)
    return text if text.isprintable() else repr(text)[1:-1]
