"""What the host and a sandbox say to each other, typed, and imported by both sides.

The host writes documents (`RunInput`, then `FollowUp`s, and during a turn `Steer`s and an
`Interrupt`); the agent writes records, each a
single JSON line between two marker lines; whatever else stands on its output is noise. No
record carries authority: there is no group, right or cost in any of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

VERSION = 1
START = b"---PYNCHY_OUTPUT_START---"
END = b"---PYNCHY_OUTPUT_END---"
RECORD_LIMIT = 1 << 20
"""Bytes in one record; a longer one is noise."""

DEPTH = 100
"""Levels of lists and objects in a record; one with more is noise, because how deep a reader
or a writer can go depends on where it is called."""

INPUT = "input"
OUTPUT = "output"
REQUESTS = "requests"
RESPONSES = "responses"
CLOSE = "_close"
"""Its presence among the input documents asks the agent to leave."""


class RunInput(msgspec.Struct, tag="run", forbid_unknown_fields=True, kw_only=True):
    """The first document: who the agent is and its first turn.

    `turn` names the turn in every record that belongs to it. `session_id` continues an
    earlier conversation. `system_prompt` is appended to the core's own.
    """

    turn: str
    prompt: str
    core: str = "claude"
    session_id: str | None = None
    model: str | None = None
    system_prompt: str = ""
    version: int = VERSION
    stay: bool = False
    """Wait for follow-ups after the turn (a folder of documents), or leave."""
    idle: float = 0.0
    """Seconds without a turn and without a document after which the agent leaves by itself,
    because its host may never come back; 0 = never."""


class FollowUp(msgspec.Struct, tag="follow_up", forbid_unknown_fields=True, kw_only=True):
    """A later turn of the same conversation."""

    turn: str
    prompt: str


class Steer(msgspec.Struct, tag="steer", forbid_unknown_fields=True, kw_only=True):
    """More was said while the turn is under way. `through` numbers it: the answers that take
    it into account say so in `read`. For a turn that is over it means nothing."""

    turn: str
    prompt: str
    through: int


class Interrupt(msgspec.Struct, tag="interrupt", forbid_unknown_fields=True, kw_only=True):
    """Somebody wants the turn to end now; the conversation goes on later."""

    turn: str


Document = RunInput | FollowUp | Steer | Interrupt


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


class Error(msgspec.Struct, forbid_unknown_fields=True):
    """Why something was not done: a stable code and a sentence."""

    code: str
    message: str


class Answer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The one envelope of everything that the host answers."""

    ok: bool
    result: Any = None
    error: Error | None = None


_documents: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Document)
_records: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_answers = msgspec.json.Decoder(Answer)
_encode = msgspec.json.Encoder().encode


UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What reading may raise: no JSON or the wrong shape, no UTF-8, nested without end."""


def read_document(data: bytes | str) -> Document:
    """Raises one of UNREADABLE where it is not a document, or one of another version."""
    document = _documents.decode(data)
    if isinstance(document, RunInput) and document.version != VERSION:
        raise msgspec.ValidationError(f"it is of version {document.version}, not {VERSION}")
    return document


def write_document(document: Document) -> bytes:
    """A document as one line of JSON."""
    return _encode(document) + b"\n"


def read_record(line: bytes) -> Record:
    """Raises one of UNREADABLE where the line is not a record."""
    record = _records.decode(line)
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


def read_answer(data: bytes | str) -> Answer:
    """An answer; whatever can't be read as one is a refusal, never a yes."""
    try:
        answer = _answers.decode(data)
    except UNREADABLE as error:
        return Answer(ok=False, error=Error("answer_unreadable", str(error)))
    if answer.ok and answer.error is not None:
        return Answer(ok=False, error=answer.error)
    if not answer.ok and answer.error is None:
        return Answer(ok=False, error=Error("refused", "no reason was given"))
    return answer


def write_answer(answer: Answer) -> bytes:
    """An answer as one line of JSON."""
    return _encode(answer) + b"\n"


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
