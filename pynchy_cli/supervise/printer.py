"""Puts the lines of several processes into one stream, each with its process's name before
it. A reader that has gone never stops the processes."""

from __future__ import annotations

import contextlib
import json
from typing import TextIO

from pynchy_cli.output import plain

LONGEST = 64 * 1024
"""Characters of one line; a longer one is printed in pieces."""
COLOURS = ("36", "33", "32", "35", "34", "31")
OWN = "up"


class Printer:
    """Prints lines of text with a prefix, coloured on a terminal; or each as a JSON object."""

    def __init__(self, out: TextIO, names: list[str], *, as_json: bool) -> None:
        self._out = out
        self._as_json = as_json
        self._width = max(len(name) for name in [OWN, *names])
        self._colours = {
            name: COLOURS[at % len(COLOURS)] if out.isatty() else ""
            for at, name in enumerate([OWN, *names])
        }

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self.print(OWN, text)

    def print(self, name: str, line: str) -> None:
        """A line of one process."""
        text = json.dumps(_object(name, line)) if self._as_json else self._text(name, line)
        with contextlib.suppress(OSError, ValueError):
            self._out.write(text + "\n")
            self._out.flush()

    def _text(self, name: str, line: str) -> str:
        prefix = f"{name:{self._width}} |"
        if colour := self._colours.get(name):
            prefix = f"\033[{colour}m{prefix}\033[0m"
        return f"{prefix} {plain(line)}"


def _object(name: str, line: str) -> dict[str, object]:
    """The JSON object that a line is, or one that holds it."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return {"stage": name, **(found if isinstance(found, dict) else {"event": line})}


class Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are whole now; with no data, what is left."""
        self._rest += data.decode("utf-8", "replace")
        *lines, self._rest = self._rest.split("\n")
        if self._rest and (not data or len(self._rest) > LONGEST):
            lines.append(self._rest)
            self._rest = ""
        return lines
