"""The channel of pipes: each line of standard input is a message, as plain text or as a JSON
object. A line that can't be read is told of and never stops the rest."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pynchy_cli import clock
from pynchy_cli.channels.base import Channel, Incoming, Unreadable
from pynchy_cli.errors import GroupInvalid
from pynchy_cli.model import NewMessage
from pynchy_cli.plugins import hookimpl
from pynchy_cli.security.senders import OWNER
from pynchy_cli.store.groups import require_jid

NAME = "stdin"
LINE_LIMIT = 16 * 1024 * 1024
"""Bytes in one line; a longer one is unreadable."""
PIECE = 64 * 1024
Format = Literal["auto", "text", "json"]


class StdinChannel:
    """Takes messages from a descriptor, by default standard input."""

    name = NAME
    capabilities = frozenset({"inbox"})

    async def incoming(self, options: Mapping[str, Any]) -> AsyncIterator[Incoming | Unreadable]:
        """A message a line. Options: `chat`, `sender`, `format` (text, json, or auto: what
        begins with a brace is JSON, and so is all that follows), `descriptor`."""
        wanted: Format = options.get("format", "auto")
        number = 0
        async for line in lines(options.get("descriptor", 0)):
            number += 1
            if line is None:
                yield Unreadable(f"line {number}", f"is longer than {LINE_LIMIT} bytes")
                continue
            text = line.decode("utf-8", "replace").strip("\r\n")
            if not text.strip():
                continue
            if wanted == "auto" and text.lstrip().startswith("{"):
                wanted = "json"
            try:
                read = _from_json if wanted == "json" else _from_text
                yield Incoming(read(text, options))
            except (ValueError, RecursionError) as error:
                yield Unreadable(f"line {number}", str(error))


def _from_text(text: str, options: Mapping[str, Any]) -> NewMessage:
    return _message({"text": text}, options)


def _from_json(line: str, options: Mapping[str, Any]) -> NewMessage:
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(given, dict):
        raise ValueError("is not a JSON object")
    return _message(given, options)


def _message(given: Mapping[str, Any], options: Mapping[str, Any]) -> NewMessage:
    text = given.get("text", given.get("content"))
    if not isinstance(text, str):
        raise ValueError('has no "text" that is a string')
    sender = _word(given, "sender", options.get("sender") or OWNER)
    return NewMessage(
        id=_id(given),
        chat_jid=_chat(given, options),
        sender=sender,
        sender_name=_word(given, "sender_name", sender),
        content=text,
        timestamp=_time(given.get("timestamp")),
    )


def _word(given: Mapping[str, Any], name: str, otherwise: str) -> str:
    value = given.get(name)
    if value is None:
        return otherwise
    if not isinstance(value, str) or not value:
        raise ValueError(f'has a "{name}" that is not a name')
    return value


def _id(given: Mapping[str, Any]) -> str:
    value = given.get("id")
    if value is None:
        return f"{NAME}-{uuid.uuid4().hex}"
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError('has an "id" that is neither a string nor a number')
    return str(value)


def _chat(given: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    jid = _word(given, "chat", options.get("chat") or "local:main")
    try:
        require_jid(jid)
    except GroupInvalid as error:
        raise ValueError(f'has a "chat" that can\'t be: {error}') from error
    return jid


def _time(value: object) -> str:
    """The time in the file's form: from ISO-8601 with a zone, or seconds since 1970."""
    try:
        if value is None:
            return clock.now()
        if isinstance(value, str):
            return clock.stamp(clock.parse(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return clock.stamp(datetime.fromtimestamp(value, UTC))
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f'has a "timestamp" that can\'t be: {error}') from error
    raise ValueError('has a "timestamp" that is neither a string nor a number')


async def lines(descriptor: int) -> AsyncIterator[bytes | None]:
    """The lines of a descriptor, without their ends, as they come; None for one that is too
    long. What follows the last newline is a line too."""
    rest, skipping = bytearray(), False
    async for piece in pieces(descriptor):
        *whole, last = piece.split(b"\n")
        for part in whole:
            rest += part
            yield None if skipping or len(rest) > LINE_LIMIT else bytes(rest)
            rest, skipping = bytearray(), False
        rest += last
        if len(rest) > LINE_LIMIT:
            rest, skipping = bytearray(), True
    if rest or skipping:
        yield None if skipping else bytes(rest)


async def pieces(descriptor: int) -> AsyncIterator[bytes]:
    """What comes from a descriptor, as it comes."""
    while piece := await _read(descriptor):
        yield piece


async def _read(descriptor: int) -> bytes:
    """The next piece; b"" at the end. Waits without a thread, so that a signal is heard."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:
        # A plain file can't be waited for, and needn't be.
        return os.read(descriptor, PIECE)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, PIECE)


class _Plugin:
    @hookimpl
    def pynchy_channel(self, name: str) -> Channel | None:
        """This channel, by its name."""
        return StdinChannel() if name == NAME else None


plugin = _Plugin()
