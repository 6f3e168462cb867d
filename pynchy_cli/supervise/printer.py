"""Puts the lines of several processes into one stream, each with its process's name before it,
and into the logbook. A reader that has gone, or doesn't read, never stops the processes."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Mapping
from typing import TextIO

from pynchy_cli import clock, journal
from pynchy_cli.log_lines import as_text
from pynchy_cli.output import plain
from pynchy_cli.supervise.logbook import Logbook

LONGEST = 64 * 1024
"""Characters of one line; a longer one is printed in pieces."""
COLOURS = ("36", "33", "32", "35", "34", "31")
OWN = "up"
HELD = 1024**2
"""Characters that are kept for a reader who doesn't read; lines that come then are left out."""
LAST_SECONDS = 2.0
"""How long the last lines may take to be read."""


class Printer:
    """Prints lines of text with a prefix, coloured on a terminal; or each as a JSON object."""

    def __init__(
        self, out: TextIO, names: list[str], *, as_json: bool, book: Logbook | None = None
    ) -> None:
        self._outlet = Outlet(out)
        self._left_out = 0
        self._as_json = as_json
        self._book = book
        self._has_colours = out.isatty()
        self._to_journal = journal.is_journal(out, os.environ)
        self._names: list[str] = []
        self._width = 0
        for name in (OWN, *names):
            self._know(name)

    def say(self, text: str, level: str = "info") -> None:
        """A line of the supervisor's own."""
        line = {"timestamp": clock.now(), "level": level, "stage": OWN, "event": text}
        self._put(line, self._text(OWN, plain(text)))

    def print(self, name: str, line: str) -> None:
        """A line of one process."""
        found = _object(line)
        if found is None:
            said = {"timestamp": clock.now(), "stage": name, "event": line}
            self._put(said, self._text(name, plain(line)))
            return
        told = {key: value for key, value in found.items() if key != "stage"}
        self._put({"stage": name, **found}, self._text(name, as_text(told, self._has_colours)))

    def close(self) -> None:
        """Wait a little until what was printed was read, and let go of the logbook."""
        self._outlet.close()
        if self._book is not None:
            self._book.close()

    def _put(self, line: Mapping[str, object], text: str) -> None:
        data = json.dumps(line)
        if self._book is not None:
            self._book.write(data)
        if self._left_out and self._outlet.has_room():
            left_out, self._left_out = self._left_out, 0
            self.say(f"nobody read along: {left_out} lines are left out", "warning")
        shown = data if self._as_json else text
        if self._to_journal:
            shown = journal.prefixed(shown, str(line.get("level", "info")))
        self._left_out += not self._outlet.put(shown)

    def _text(self, name: str, text: str) -> str:
        self._know(name)
        prefix = f"{name:{self._width}} |"
        if self._has_colours:
            colour = COLOURS[self._names.index(name) % len(COLOURS)]
            prefix = f"\033[{colour}m{prefix}\033[0m"
        return "\n".join(f"{prefix} {line}" for line in text.split("\n"))

    def _know(self, name: str) -> None:
        if name not in self._names:
            self._names.append(name)
            self._width = max(self._width, len(name))


class Outlet:
    """Writes to a stream in a thread of its own, for whoever reads may not do so for a while."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: deque[str] = deque()
        self._held = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, daemon=True).start()

    def has_room(self) -> bool:
        """Whether a line would be taken."""
        return self._held < HELD

    def put(self, line: str) -> bool:
        """Have a line written; False where too much waits already."""
        with self._changed:
            if not self.has_room():
                return False
            self._lines.append(line)
            self._held += len(line) + 1
            self._changed.notify()
        return True

    def close(self) -> None:
        """Wait until all is written, but not for long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held, LAST_SECONDS)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines)
                line = self._lines.popleft()
            with contextlib.suppress(OSError, ValueError):
                self._out.write(line + "\n")
                self._out.flush()
            with self._changed:
                self._held -= len(line) + 1
                self._changed.notify()


def _object(line: str) -> dict[str, object] | None:
    """The JSON object that a line is, if it is one."""
    try:
        found = json.loads(line) if line.startswith("{") else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


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
