"""The proxy to which the client is told to go: whatever host it names, it gets to our port."""

from __future__ import annotations

import asyncio
import contextlib

CHUNK = 1 << 16


class Proxy:
    """CONNECT, and bytes in both directions. It refuses, and resets, when told to."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: dict[int, asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.refuses = False

    async def start(self) -> int:
        """Listens, and gives the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Ends all."""
        if self._server is not None:
            self._server.close()
        for writer in self._tasks.values():
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self, port: int | None = None) -> None:
        """Resets the tunnel that comes from this port at our own side, or all."""
        for one, writer in list(self._open.items()):
            if port in (None, one):
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            del self._tasks[task]
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            return
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 405 Only CONNECT\r\n\r\n")
            await writer.drain()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        port = int(forth.get_extra_info("sockname")[1])
        self._open[port] = writer
        try:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_pipe(reader, forth), _pipe(back, writer))
        finally:
            del self._open[port]
            forth.transport.abort()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies till the end, which it hands on."""
    try:
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    finally:
        writer.close()
