"""A Messages API that does what the newest user text says, for tests with the real client.

    TOOL <name> <json>   the model calls the tool; what it gives is told in the next answer
    TOOLS <n> <name> <json>  it calls it n times at once
    FULL <text>          an answer with which the conversation is as long as it may be
    HANG                 never an answer
    SAY <text>           exactly that text
    THINK <text>         a block of thinking before the answer
    SLOW <count>         that many words, 50 ms apart
    ERR <status> [n]     that HTTP error, the first n times (always, without n)
    EMPTY                an answer without any content
    anything else        `echo: <text>`

A transcript's last message counts as the text, or what a task's prompt says of the task. In a
test: `with AnthropicServer() as server:`; as a process: `python -m tests.anthropic_server
PORT-OR-SOCKET [LOG]`, where LOG gets each request as a line of JSON. It stands for the network's
other end; nothing of ours is in it.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import sys
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

MESSAGE = re.compile(r"<message\b[^>]*>(.*?)</message>", re.DOTALL)
FULL = 2_000_000
"""Tokens, more than any model takes."""
USAGE = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 1,
}
Block = dict[str, Any]


class AnthropicServer:
    """The server in a thread of its own, on a free port or a unix socket.

    `requests` holds the body of every call for an answer, `headers` their headers.
    """

    def __init__(self, place: int | Path = 0, log: Path | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self._place = place
        self._log = log
        self._errors: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> AnthropicServer:
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def texts(self, number: int = -1) -> str:
        """All that one request says, as JSON text."""
        return json.dumps(self.requests[number]["messages"])

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _start(self) -> web.AppRunner:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/messages", self._messages)
        app.router.add_post("/v1/messages/count_tokens", self._count)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        if isinstance(self._place, Path):
            await web.UnixSite(runner, str(self._place)).start()
        else:
            await web.TCPSite(runner, "127.0.0.1", self._place).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _count(self, request: web.Request) -> web.Response:
        return web.json_response({"input_tokens": 1234})

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        if self._log is not None:
            with self._log.open("a") as log:
                log.write(json.dumps(body) + "\n")
        text, result = newest(body["messages"])
        if result is None and (status := self._error(text)):
            error = {"type": "api_error", "message": f"scripted {status}"}
            return web.json_response({"type": "error", "error": error}, status=status)
        message = {
            "id": f"msg_{uuid.uuid4().hex[:20]}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "stop_sequence": None,
        }
        if result is None and text.startswith("HANG"):
            while request.transport is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            return web.Response()
        blocks = answer(text, result)
        usage = {**USAGE, "input_tokens": FULL} if text.startswith("FULL") else USAGE
        if not body.get("stream"):
            stop = {"content": blocks, "stop_reason": "end_turn", "usage": usage}
            return web.json_response({**message, **stop})
        start = {**message, "content": [], "stop_reason": None, "usage": usage}
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        async for event in events(start, blocks, pause=0.05 if text.startswith("SLOW") else 0):
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            await response.write(data.encode())
        return response

    def _error(self, text: str) -> int | None:
        words = text.split()
        if not words or words[0] != "ERR":
            return None
        self._errors[text] += 1
        if len(words) > 2 and self._errors[text] > int(words[2]):
            return None
        return int(words[1])


def newest(messages: list[dict[str, Any]]) -> tuple[str, Block | None]:
    """The text that counts, and the tool's result if that is what came last."""
    content = next(m["content"] for m in reversed(messages) if m["role"] == "user")
    if isinstance(content, str):
        return _said(content), None
    told = [
        block
        for block in content
        if block.get("type") == "tool_result"
        or (block.get("type") == "text" and not block["text"].lstrip().startswith("<system-rem"))
    ]
    if told and told[-1]["type"] == "tool_result":
        return "", told[-1]
    return (_said(told[-1]["text"]) if told else ""), None


def _said(text: str) -> str:
    found = MESSAGE.findall(text)
    if found:
        return html.unescape(found[-1])
    return text.rpartition("\nThe task:\n")[2].strip()


def answer(text: str, result: Block | None) -> list[Block]:
    """The content that the model answers with."""
    if result is not None:
        return [_text(f"tool said: {json.dumps(result.get('content'))}")]
    command, _, rest = text.partition(" ")
    match command:
        case "TOOL":
            name, _, given = rest.partition(" ")
            return [_text(f"calling {name}"), _use(name, given)]
        case "TOOLS":
            count, name, given = rest.split(" ", 2)
            return [_use(name, given) for _ in range(int(count))]
        case "SAY":
            return [_text(rest)]
        case "THINK":
            return [{"type": "thinking", "thinking": rest, "signature": "c2ln"}, _text("thought")]
        case "SLOW":
            return [_text(" ".join(f"w{number}" for number in range(int(rest or 60))))]
        case "EMPTY":
            return []
    return [_text(f"echo: {text}")]


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _use(name: str, given: str) -> Block:
    tool_id = f"toolu_{uuid.uuid4().hex[:20]}"
    return {"type": "tool_use", "id": tool_id, "name": name, "input": json.loads(given)}


async def events(
    start: dict[str, Any], blocks: list[Block], pause: float
) -> AsyncIterator[dict[str, Any]]:
    """The stream of one answer."""
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(blocks):
        empty, deltas = _pieces(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            await asyncio.sleep(pause)
        yield {"type": "content_block_stop", "index": index}
    is_tool = any(block["type"] == "tool_use" for block in blocks)
    stop = {"stop_reason": "tool_use" if is_tool else "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 50}}
    yield {"type": "message_stop"}


def _pieces(block: Block) -> tuple[Block, list[Block]]:
    """The block as it begins, and the deltas that make it whole."""
    match block["type"]:
        case "tool_use":
            given = json.dumps(block["input"])
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": given}]
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
    words = re.findall(r"\S*\s*", block["text"])
    return {"type": "text", "text": ""}, [
        {"type": "text_delta", "text": word} for word in words if word
    ]


def main() -> None:
    """Serves until it is killed; says its address on standard output."""
    place = int(sys.argv[1]) if sys.argv[1].isdigit() else Path(sys.argv[1])
    log = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with AnthropicServer(place, log) as server:
        print(server.url or place, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
