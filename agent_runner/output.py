"""Where records go: a log that is only ever appended to, each record by a single write, or
standard output. No record is dropped for its size; no text waits longer than a moment."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from agent_runner.bounds import within
from agent_runner.protocol import Record, Text

PAUSE = 0.1
"""Seconds between two records of text that is being written; what comes meanwhile is
gathered in one."""


class OutputLost(Exception):
    """The records can't be written any more: nobody reads, or the disk is full."""


class Output:
    """Writes records to a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._text: list[str] = []
        self._turn = ""
        self._timer: asyncio.TimerHandle | None = None
        self._lost: OSError | None = None

    @classmethod
    def open(cls, path: Path | None) -> Output:
        """Appends to the file, or writes to standard output. Raises OSError."""
        if path is None:
            return cls(sys.stdout.fileno())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return cls(os.open(path, flags, 0o644))

    def write(self, record: Record) -> None:
        """Write a record now; text at most every `PAUSE`, and always before what follows it.

        Raises OutputLost.
        """
        if self._lost is not None:
            raise OutputLost(f"the records can't be written: {self._lost.strerror}")
        if not isinstance(record, Text):
            self.flush()
            self._write(record)
            return
        if record.turn != self._turn:
            self.flush()
        self._turn = record.turn
        self._text.append(record.text)
        if self._timer is None:
            self._gathered()
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._due)

    def flush(self) -> None:
        """Write the text that waits. Raises OutputLost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._gathered()

    def _due(self) -> None:
        self._timer = None
        try:
            self._gathered()
        except OutputLost:
            return  # The next one to write will hear of it.

    def _gathered(self) -> None:
        if self._text:
            text, self._text = "".join(self._text), []
            self._write(Text(turn=self._turn, text=text))

    def _write(self, record: Record) -> None:
        data = within(record)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._lost = error
            raise OutputLost(f"the records can't be written: {error.strerror}") from error
