"""What the host answers a request: one envelope, and nothing else is a yes."""

from __future__ import annotations

from typing import Any

import msgspec

from agent_runner.protocol.records import UNREADABLE


class Error(msgspec.Struct, forbid_unknown_fields=True):
    """Why something was not done: a stable code and a sentence."""

    code: str
    message: str


class Answer(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The one envelope of everything that the host answers."""

    ok: bool
    result: Any = None
    error: Error | None = None


_decoder = msgspec.json.Decoder(Answer)
_encode = msgspec.json.Encoder().encode


def read_answer(data: bytes | str) -> Answer:
    """An answer; whatever can't be read as one is a refusal, never a yes."""
    try:
        answer = _decoder.decode(data)
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
