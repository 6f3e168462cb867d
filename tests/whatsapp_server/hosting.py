"""The media host: files go up by POST and come down by GET, behind the same proxy."""

from __future__ import annotations

import asyncio
import base64
import secrets
from hashlib import sha256

from aiohttp import web

from tests.whatsapp_server.world import World

CHUNK = 1 << 16
SLOW_SECONDS = 0.02


class Hosting:
    """Files by their path, with or without what is behind a question mark."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._files: dict[str, bytes] = {}
        self._held: list[asyncio.Event] = []

    def keep(self, path: str, content: bytes) -> None:
        """A file that somebody shares."""
        self._files[path.partition("?")[0]] = content

    def content(self, path: str) -> bytes:
        """A file that lies there. Raises ValueError where none does."""
        place = path.partition("?")[0]
        if place not in self._files:
            raise ValueError(f"nothing was uploaded to {place}")
        return self._files[place]

    def release(self) -> None:
        """Lets go all transfers that stall."""
        for gate in self._held:
            gate.set()

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """A file of the client's; answers where it lies."""
        content = await request.read()
        fault = self._world.faults.next_media("upload")
        kind = request.path.split("/")[2]
        self._world.books.note("upload", kind=kind, size=len(content), fault=fault)
        if fault:
            return await self._wrong(request, fault, content)
        told = base64.urlsafe_b64decode(request.path.rsplit("/", 1)[1] + "==")
        if told != sha256(content).digest():
            return web.Response(status=400, text="the hash is another one")
        path = f"/v/t62.7119-24/{secrets.token_hex(8)}.enc"
        self._files[path] = content
        url = f"https://mmg.whatsapp.net{path}"
        return web.json_response({"url": url, "direct_path": f"{path}?ccb=11-4&oe=1", "handle": ""})

    async def download(self, request: web.Request) -> web.StreamResponse:
        """A file that somebody shared, or the client itself."""
        fault = self._world.faults.next_media("download")
        content = self._files.get(request.path)
        size = len(content) if content is not None else -1
        self._world.books.note("download", path=request.path, size=size, fault=fault)
        if content is None:
            return web.Response(status=404)
        if fault:
            return await self._wrong(request, fault, content)
        return web.Response(body=content, content_type="application/octet-stream")

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """The client needs a file no more."""
        self._files.pop(request.path, None)
        return web.Response()

    async def _wrong(self, request: web.Request, fault: str, content: bytes) -> web.StreamResponse:
        if fault.isdecimal():
            return web.Response(status=int(fault), headers={"Retry-After": "1"})
        if fault == "drop" and request.transport is not None:
            request.transport.abort()
            return web.Response()
        if fault == "stall":
            gate = asyncio.Event()
            self._held.append(gate)
            await gate.wait()
        if fault == "garbage":
            return web.Response(body=secrets.token_bytes(len(content)))
        try:
            return await self._trickle(request, fault, content)
        except ConnectionError:  # the client has had enough
            return web.Response()

    async def _trickle(
        self, request: web.Request, fault: str, content: bytes
    ) -> web.StreamResponse:
        """`short` ends early, `long` doesn't end, `slow` takes its time."""
        answer = web.StreamResponse()
        if fault == "short":
            answer.content_length = len(content)
        await answer.prepare(request)
        for start in range(0, len(content) if fault == "slow" else 0, CHUNK):
            await answer.write(content[start : start + CHUNK])
            await asyncio.sleep(SLOW_SECONDS)
        if fault == "short":
            await answer.write(content[: len(content) // 2])
            if request.transport is not None:
                request.transport.close()
        while fault == "long" and request.transport is not None:
            await answer.write(content or b"more")
            await asyncio.sleep(0)  # a write alone lets nothing else happen
        return answer
