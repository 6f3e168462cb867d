"""Makes any record fit: text that is too long is cut with a note, what can't be written as
JSON is replaced. It must never lose a record, and never fail."""

from __future__ import annotations

from typing import Any

import msgspec

from agent_runner.protocol import DEPTH, END, RECORD_LIMIT, START, Record, is_deep, write_record

FRAME = len(START) + len(END) + 3
SHORT = RECORD_LIMIT // 64
"""Characters; a field of no more is left alone when a record is made to fit."""


def within(record: Record) -> bytes:
    """The record with its markers; its line is at most `RECORD_LIMIT` bytes."""
    if is_deep(record):
        record = _plain(record)
    try:
        data = write_record(record)
    except (UnicodeError, RecursionError, OverflowError, TypeError):
        record = _plain(record)
        data = write_record(record)
    share = 1.0
    while len(data) - FRAME > RECORD_LIMIT:
        share *= 0.95 * RECORD_LIMIT / len(data)
        data = write_record(_share(record, share))
    return data


def cut(text: str, length: int) -> str:
    """The text, or its first `length` characters and a note of how many are missing."""
    if len(text) <= length:
        return text
    return f"{text[:length]}\n[cut: {len(text) - length} more characters]"


def whole(text: str) -> str:
    """The text with halves of characters joined, and those that stay alone replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _share(record: Record, share: float) -> Record:
    """The record with that share of each long field."""
    fields: dict[str, Any] = msgspec.structs.asdict(record)
    for name, value in fields.items():
        if isinstance(value, str) and len(value) > SHORT:
            fields[name] = cut(value, int(len(value) * share))
        elif isinstance(value, dict):
            text = msgspec.json.encode(value).decode()
            if len(text) > SHORT:
                fields[name] = {"cut": cut(text, int(len(text) * share))}
    return type(record)(**fields)


def _plain(record: Record) -> Record:
    """The record in characters and shapes that can be written."""
    fields: dict[str, Any] = msgspec.structs.asdict(record)
    return type(record)(**{name: _tame(value, DEPTH) for name, value in fields.items()})


def _tame(value: Any, depth: int) -> Any:
    match value:
        case str():
            return whole(value)
        case None | bool() | float():
            return value
        case int():
            return value if abs(value) < 1 << 63 else str(value)
        case _ if depth == 0:
            return "[cut: nested too deeply]"
        case dict():
            return {whole(str(key)): _tame(item, depth - 1) for key, item in value.items()}
        case list() | tuple():
            return [_tame(item, depth - 1) for item in value]
    return whole(repr(value))
