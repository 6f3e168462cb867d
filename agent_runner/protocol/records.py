"""What an agent writes to its host: records, each a single JSON line between two marker lines;
whatever else stands on its output is noise."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from agent_runner.protocol.documents import VERSION

START = b"---PYNCHY_OUTPUT_START---"
END = b"---PYNCHY_OUTPUT_END---"
RECORD_LIMIT = 1 << 20
"""Bytes in one record; a longer one is noise."""

DEPTH = 100
"""Levels of lists and objects in a record; one with more is noise, because how deep a reader
or a writer can go depends on where it is called."""

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What reading may raise: no JSON or the wrong shape, no UTF-8, nested without end."""


class Started(msgspec.Struct, tag="started", kw_only=True):
    """The core is up. `session_id` is the conversation's name, once it is known."""

    turn: str
    session_id: str | None = None
    version: int = VERSION


class Text(msgspec.Struct, tag="text", kw_only=True):
    """A further piece of the answer as it is being written."""

    turn: str
    text: str


class Thinking(msgspec.Struct, tag="thinking", kw_only=True):
    """What the model thinks aloud."""

    turn: str
    text: str


class ToolUse(msgspec.Struct, tag="tool_use", kw_only=True):
    """The agent calls a tool."""

    turn: str
    tool_id: str
    name: str
    input: dict[str, Any] = {}


class ToolResult(msgspec.Struct, tag="tool_result", kw_only=True):
    """What a tool gave; `content` is cut to a bound by the agent's side."""

    turn: str
    tool_id: str
    content: str
    is_error: bool = False


class Notice(msgspec.Struct, tag="notice", kw_only=True):
    """Something about the conversation itself: a retry, a compaction, a warning."""

    turn: str
    subtype: str
    data: dict[str, Any] = {}


class Replied(msgspec.Struct, tag="replied", kw_only=True):
    """An answer is whole, but the turn goes on with what was said meanwhile. The text that
    follows belongs to the next answer. `read` is the number of the last `Steer` that this
    one takes into account, 0 for none."""

    turn: str
    reply: str = ""
    read: int = 0
    session_id: str | None = None


class TurnEnded(msgspec.Struct, tag="turn_ended", kw_only=True):
    """The turn is over. With `error` None, `reply` is the answer in full ("" = nothing
    to say); otherwise `error` says what failed, and `session_id` may still be good. `read`
    is as in `Replied`; an interrupted turn's text is what was written until then."""

    turn: str
    reply: str = ""
    error: str | None = None
    session_id: str | None = None
    seconds: float = 0.0
    is_permanent: bool = False
    """With `error`: trying again can't help (a wrong key, an unknown model)."""
    read: int = 0
    is_interrupted: bool = False


Record = Started | Text | Thinking | ToolUse | ToolResult | Notice | Replied | TurnEnded


_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_encode = msgspec.json.Encoder().encode


def read_record(line: bytes) -> Record:
    """Raises one of UNREADABLE where the line is not a record."""
    record = _decoder.decode(line)
    if is_deep(record):
        raise RecursionError(f"a record of more than {DEPTH} levels")
    return record


def is_deep(record: Record) -> bool:
    """Whether a record has more levels than it may have."""
    level = _within([getattr(record, name) for name in record.__struct_fields__])
    for _ in range(DEPTH):
        level = _within([inner for one in level for inner in one])
    return bool(level)


def _within(values: list[Any]) -> list[Collection[Any]]:
    """What the lists and objects among the values hold."""
    objects = [value.values() for value in values if isinstance(value, dict)]
    return [*objects, *(value for value in values if isinstance(value, list | tuple))]


def write_record(record: Record) -> bytes:
    """A record with its markers, ready to be appended."""
    return START + b"\n" + _encode(record) + b"\n" + END + b"\n"


class RecordReader:
    """Takes an output log in pieces and gives its records.

    `feed` gives pairs (record, bytes of the log it ends at, counted from where the reader
    began); what is no record is counted in `noise`. A record that is cut off stays inside
    until its rest comes. Memory is bounded by `RECORD_LIMIT` and one piece.
    """

    def __init__(self) -> None:
        self.position = 0
        self.noise = 0
        self._rest = b""
        self._payload: bytes | None = None
        self._inside = False
        self._skipping = False

    def feed(self, piece: bytes) -> list[tuple[Record, int]]:
        """Each record that became whole, with the position just after it."""
        found: list[tuple[Record, int]] = []
        data, at = self._rest + piece, 0
        while (newline := data.find(b"\n", at)) >= 0:
            line = data[at:newline]
            self.position += newline + 1 - at
            at = newline + 1
            if self._skipping:
                self._skipping = False
                self._noise(len(line) + 1)
                continue
            record = self._line(line)
            if record is not None:
                found.append((record, self.position))
        self._rest = self._bounded(data[at:])
        return found

    def _bounded(self, rest: bytes) -> bytes:
        """What is kept of an unfinished line: an endless one is forgotten as it comes."""
        if len(rest) <= RECORD_LIMIT and not self._skipping:
            return rest
        self._leave(len(rest))
        self.position += len(rest)
        self._skipping = True
        return b""

    def _line(self, line: bytes) -> Record | None:
        if len(line) > RECORD_LIMIT:
            self._leave(len(line) + 1)
        elif line.endswith(START):  # somebody may have printed without ending their line
            self._leave(len(line) - len(START))
            self._inside = True
        elif not self._inside:
            self._noise(len(line) + 1)
        elif line == END:
            return self._record()
        elif self._payload is None:
            self._payload = line
        else:
            self._leave(len(line) + 1)
        return None

    def _record(self) -> Record | None:
        payload, self._inside, self._payload = self._payload, False, None
        if payload is not None:
            try:
                return read_record(payload)
            except UNREADABLE:
                self._noise(len(payload) + 1)
        self._noise(len(START) + len(END) + 2)
        return None

    def _leave(self, size: int) -> None:
        """Give up what seemed to be a record; `size` bytes of the line are noise too."""
        if self._inside:
            self._noise(len(START) + 1 + (0 if self._payload is None else len(self._payload) + 1))
        self._inside, self._payload = False, None
        self._noise(size)

    def _noise(self, size: int) -> None:
        self.noise += size
