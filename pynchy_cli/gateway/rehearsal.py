"""A stand-in for the Messages API, for when there is no key: the same forms and the same
stream of events, answered by the script. It sends nothing anywhere."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web

from pynchy_cli.gateway.body import Body, TooLarge
from pynchy_cli.gateway.conversation import Asked, moment_of
from pynchy_cli.gateway.doors import Call
from pynchy_cli.gateway.refusals import refusal
from pynchy_cli.gateway.script import Tool, next_step

MODEL = "rehearsal"
PIECE = 40
"""Characters in one piece of a streamed text."""
BYTES_PER_TOKEN = 4
LARGEST = 8 << 20
"""Bytes in one call: fewer than a model takes, because the script reads all of it here."""

_read = msgspec.json.Decoder(Asked).decode


async def rehearse(request: web.BaseRequest, call: Call, limit: int) -> web.StreamResponse:
    """Answer one call."""
    if call == "models":
        return _models(request.rel_url.path)
    limit = min(limit, LARGEST)
    try:
        data = await Body(request.content, limit).whole()
    except TooLarge:
        return refusal(413, f"A call may have {limit} bytes.")
    if call == "count_tokens":
        return web.json_response({"input_tokens": tokens(data)})
    try:
        # Elsewhere, because the sockets of all sandboxes are served here.
        asked, message = await asyncio.to_thread(_answered, data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refusal(400, f"The request can't be read: {error}")
    if not asked.stream:
        return web.json_response(message)
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await answer.prepare(request)
    for event in events(message):
        await answer.write(event)
    await answer.write_eof()
    return answer


def _answered(data: bytes) -> tuple[Asked, dict[str, Any]]:
    """A request and its answer. Raises DecodeError, UnicodeDecodeError and RecursionError."""
    asked = _read(data)
    if not asked.messages:
        raise msgspec.ValidationError("messages: at least one message is required")
    return asked, message_for(asked, data)


def message_for(asked: Asked, data: bytes) -> dict[str, Any]:
    """The whole answer to a request whose body was `data`."""
    step = next_step(moment_of(asked.messages), asked.tool_names())
    name = hashlib.sha256(data).hexdigest()[:24]
    block: dict[str, Any]
    if isinstance(step, Tool):
        block = {"type": "tool_use", "id": f"toolu_{name}", "name": step.name, "input": step.input}
    else:
        block = {"type": "text", "text": step}
    return {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [block],
        "stop_reason": "tool_use" if isinstance(step, Tool) else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens(data),
            "output_tokens": tokens(json.dumps(block).encode()),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def events(message: dict[str, Any]) -> Iterator[bytes]:
    """The answer as the stream of events that the API would send."""
    usage = message["usage"]
    start = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": 1},
    }
    yield _event("message_start", message=start)
    for index, block in enumerate(message["content"]):
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        yield _event("content_block_start", index=index, content_block=empty)
        yield _event("ping")
        for delta in _deltas(block):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    yield _event(
        "message_delta",
        delta={"stop_reason": message["stop_reason"], "stop_sequence": None},
        usage={"output_tokens": usage["output_tokens"]},
    )
    yield _event("message_stop")


def _deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        return
    text = block["text"]
    for at in range(0, len(text), PIECE):
        yield {"type": "text_delta", "text": text[at : at + PIECE]}


def _event(kind: str, **facts: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **facts})}\n\n".encode()


def tokens(data: bytes) -> int:
    """About as many tokens as a model would count."""
    return math.ceil(len(data) / BYTES_PER_TOKEN)


def _models(path: str) -> web.Response:
    entry = {
        "type": "model",
        "id": MODEL,
        "display_name": "Rehearsal (no model)",
        "created_at": "2025-01-01T00:00:00Z",
    }
    name = path.removeprefix("/v1/models").strip("/")
    if not name:
        page = {"data": [entry], "has_more": False, "first_id": MODEL, "last_id": MODEL}
        return web.json_response(page)
    return web.json_response({**entry, "id": name})
