"""What the host writes to an agent: `RunInput`, then `FollowUp`s, and during a turn `Steer`s and an
`Interrupt`."""

from __future__ import annotations

from typing import Any

import msgspec

VERSION = 1


class ServiceTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A tool that the host carries out: its name, what it does, and the JSON Schema (an object's)
    of its arguments."""

    name: str
    description: str
    schema: dict[str, Any]


class Offer(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What the agent may ask of the host: the types of its requests, and services. It is for the
    model's eyes; what is asked is decided by the host each time."""

    requests: tuple[str, ...] = ()
    services: tuple[ServiceTool, ...] = ()


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
    offer: Offer = Offer()
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


_decoder: msgspec.json.Decoder[Document] = msgspec.json.Decoder(Document)
_encode = msgspec.json.Encoder().encode


def read_document(data: bytes | str) -> Document:
    """Raises one of UNREADABLE where it is not a document, or one of another version."""
    document = _decoder.decode(data)
    if isinstance(document, RunInput) and document.version != VERSION:
        raise msgspec.ValidationError(f"it is of version {document.version}, not {VERSION}")
    return document


def write_document(document: Document) -> bytes:
    """A document as one line of JSON."""
    return _encode(document) + b"\n"
