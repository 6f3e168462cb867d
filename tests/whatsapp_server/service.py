"""The server: who connects is shaken hands with, logged in or linked, and answered."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag

from tests.whatsapp_server import arrivals, peers, queries
from tests.whatsapp_server.arrivals import Arrivals
from tests.whatsapp_server.delivery import Delivery
from tests.whatsapp_server.nodes import Node
from tests.whatsapp_server.noise import Root
from tests.whatsapp_server.pairing import Pairing
from tests.whatsapp_server.proxy import Proxy
from tests.whatsapp_server.streams import Stream
from tests.whatsapp_server.world import PHONES, SERVER, World

ENDS = (EOFError, OSError, InvalidTag, ConnectionError)


class Service:
    """All connections of one server; there is one client at most that is logged in."""

    def __init__(self, world: World, root: Root) -> None:
        self.world = world
        self.delivery = Delivery(world)
        self.arrivals = Arrivals(world)
        self.arrivals.peer = functools.partial(peers.answer, world, self.delivery)
        self.pairing: Pairing | None = None
        self.proxy: Proxy | None = None
        self._root = root
        self._streams: set[Stream] = set()

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """One connection, till it ends."""
        socket = web.WebSocketResponse(max_msg_size=0, compress=False, autoping=True)
        await socket.prepare(request)
        assert request.transport is not None
        port = int(request.transport.get_extra_info("peername")[1])
        stream = Stream(socket, port, self.world.faults)
        self._streams.add(stream)
        try:
            with contextlib.suppress(*ENDS):
                payload = await stream.shake(self._root)
                await self._serve(stream, payload)
        finally:
            self._streams.discard(stream)
            self._gone(stream)
        return socket

    async def _serve(self, stream: Stream, payload: Any) -> None:
        writing = asyncio.ensure_future(stream.write())
        try:
            self._greet(stream, payload)
            while True:
                self._handle(stream, await stream.read())
        finally:
            writing.cancel()
            await asyncio.wait([writing])

    def reset(self) -> None:
        """The line of who is there is cut now."""
        assert self.proxy is not None
        for stream in self._streams:
            self.proxy.reset(stream.port)
            self._gone(stream)

    def send(self, node: Node) -> None:
        """To the client that is logged in. Raises ValueError where none is."""
        if self.delivery.stream is None:
            raise ValueError("nobody is logged in")
        self.delivery.stream.put(node)

    def end_stream(self, node: Node) -> None:
        """A last word to whoever is there."""
        for stream in self._streams:
            stream.put(node)
            stream.end()
            self._gone(stream)

    def _greet(self, stream: Stream, payload: Any) -> None:
        failure = self.world.faults.next_login()
        if payload.username and failure is None:
            failure = self._refusal(payload)
        if failure is not None:
            self.world.books.note("refused", **failure)
            stream.put(Node("failure", {**failure, "location": "cco"}))
            stream.end()
        elif payload.username:
            self._log_in(stream, payload)
        else:
            self.world.books.note("unpaired")
            self.pairing = Pairing(self.world, stream, payload)
            self.pairing.start()

    def _refusal(self, payload: Any) -> dict[str, str] | None:
        linked = self.world.linked
        is_ours = str(payload.username) == self.world.owner_phone
        if linked is not None and is_ours and payload.device == linked.number:
            return None
        return {"reason": "401"}

    def _log_in(self, stream: Stream, payload: Any) -> None:
        before, self.delivery.stream = self.delivery.stream, stream
        if before is not None:
            before.put(Node("stream:error", {}, [Node("conflict", {"type": "replaced"})]))
            before.end()
        lid = f"{self.world.owner.lid}:{payload.device}@lid"
        attrs = {"t": str(int(time.time())), "props": "27", "companion_enc_static": "", "lid": lid}
        self.world.books.note("online", device=payload.device, passive=bool(payload.passive))
        stream.put(Node("success", attrs))

    def _gone(self, stream: Stream) -> None:
        if self.pairing is not None and self.pairing.stream is stream:
            self.pairing = None
        if self.delivery.stream is stream:
            self.delivery.stream = None
            self.world.books.note("offline")

    def _handle(self, stream: Stream, node: Node) -> None:
        if node.tag == "iq":
            self._query(stream, node)
        elif node.tag == "message":
            answer, resets = self.arrivals.message(node)
            if answer is not None:
                stream.put(answer)
            if resets:
                self.reset()
        elif node.tag == "receipt":
            self.delivery.receipt(node)
            attrs = {"class": "receipt", "id": node.attrs["id"]}
            stream.put(Node("ack", {**attrs, "from": node.attrs.get("to", SERVER)}))
        elif node.tag == "ack":
            self.delivery.ack(node)
        elif node.tag == "chatstate":
            arrivals.chat_state(self.world, node)
        elif node.tag == "presence":
            arrivals.presence(self.world, node)

    def _query(self, stream: Stream, node: Node) -> None:
        kind = node.attrs.get("type")
        if kind in ("result", "error"):
            if self.pairing is not None and self.pairing.signed(node):
                self.pairing = None
                stream.put(Node("stream:error", {"code": "515"}))
                stream.end()
            return
        names = queries.names(node)
        code = self.world.faults.next_query(*names)
        self.world.books.note("query", xmlns=names[0], name=names[1], type=kind, fault=code)
        if code == 0:
            return
        attrs = {"from": node.attrs.get("to", SERVER), "id": node.attrs["id"]}
        if code is not None:
            error = Node("error", {"code": str(code), "text": "a fault of the test's"})
            stream.put(Node("iq", {**attrs, "type": "error"}, [error]))
            return
        try:
            content = self._answer(stream, node, names[1])
        except (ValueError, PermissionError) as why:
            code = 403 if isinstance(why, PermissionError) else 404
            error = Node("error", {"code": str(code), "text": str(why)})
            stream.put(Node("iq", {**attrs, "type": "error"}, [error]))
            return
        stream.put(Node("iq", {**attrs, "type": "result"}, content))
        self._afterwards(stream, node, names)

    def _answer(self, stream: Stream, node: Node, name: str) -> list[Node]:
        if name == "md link_code_companion_reg" and self.pairing is not None:
            inner = node.within("link_code_companion_reg")
            if inner.attrs.get("stage") == "companion_hello":
                return self.pairing.hello(inner)
            return self.pairing.finish(inner)
        return queries.answer(self.world, node)

    def _afterwards(self, stream: Stream, node: Node, names: tuple[str, ...]) -> None:
        if names[0] == "passive" and node.child("active") is not None:
            stream.is_active = True
            self.delivery.catch_up()
        if names[1] == "logout":
            self.world.unlink()
            self.world.books.note("logout", by="device")
            stream.end()


def own_jid(world: World) -> str:
    """The linked device's address. Raises ValueError where none is linked."""
    if world.linked is None:
        raise ValueError("no device is linked")
    return f"{world.owner_phone}:{world.linked.number}@{PHONES}"
