"""One connection of the client's: frames in and out, nodes, and the faults of a line."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import WSMsgType, web

from tests.whatsapp_server.faults import Faults
from tests.whatsapp_server.nodes import Node, decode, encode
from tests.whatsapp_server.noise import Frames, Responder, Root, Transport, framed

GRACE_SECONDS = 0.3
"""After a last word. The client reads no more of what it has got once the line is closed."""


class Stream:
    """What is put goes out in order. Whoever reads gets nodes, until the line ends."""

    def __init__(self, socket: web.WebSocketResponse, port: int, faults: Faults) -> None:
        self._socket = socket
        self._faults = faults
        self._frames = Frames()
        self._ready: list[bytes] = []
        self._queue: asyncio.Queue[tuple[float, Node] | None] = asyncio.Queue()
        self._transport: Transport | None = None
        self._is_open = True
        self.port = port
        """Where the connection comes from, by which the proxy knows it."""
        self.is_active = False
        """Whether it is logged in, and takes messages."""

    async def shake(self, root: Root) -> Any:
        """The handshake; gives what the client says of itself. Raises EOFError if it goes."""
        responder = Responder(root, int(time.time()))
        hello = responder.hello(await self._frame())
        while self._faults.stalls:
            await self._frame()
        await self._socket.send_bytes(framed(hello))
        payload, self._transport = responder.finish(await self._frame())
        return payload

    def put(self, node: Node) -> None:
        """Sends a node, after those that were put before."""
        due = asyncio.get_running_loop().time() + self._faults.seconds
        self._queue.put_nowait((due, node))

    def end(self) -> None:
        """Closes, when all is sent."""
        self._queue.put_nowait(None)

    async def write(self) -> None:
        """Sends what is put, until the end. What comes while the line stalls is lost."""
        assert self._transport is not None
        while (item := await self._queue.get()) is not None:
            due, node = item
            if (left := due - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(left)
            if not self._faults.stalls and not self._socket.closed:
                await self._socket.send_bytes(framed(self._transport.seal(encode(node))))
        if self._is_open:
            await asyncio.sleep(GRACE_SECONDS)
            await self._socket.close()

    async def read(self) -> Node:
        """The next node. Raises EOFError if there is none."""
        assert self._transport is not None
        while True:
            node = decode(self._transport.open(await self._frame()))
            if not self._faults.stalls:
                return node

    async def _frame(self) -> bytes:
        while not self._ready:
            message = await self._socket.receive()
            if message.type != WSMsgType.BINARY:
                self._is_open = False
                raise EOFError
            self._ready = self._frames.feed(message.data)
        return self._ready.pop(0)
