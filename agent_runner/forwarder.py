"""The way from the sandbox's loopback to its gateway: any client of a TCP port reaches the
one unix socket. Bytes go through as they are, both ways; nothing is read of them or kept."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

PIECE = 1 << 16
LINGER = 2.0
"""Seconds for which a refused client may go on sending, so that it sees the answer."""
BODY = (
    b'{"type":"error","error":{"type":"api_error",'
    b'"message":"The gateway does not answer; it may be restarting."}}'
)
REFUSAL = (
    b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
"""An error of the kind that clients of the model's API try again after."""


class Forwarder:
    """Listens on a free port of the loopback while it is open.

    Each connection makes one of its own to the socket, so a gateway that comes back is
    found again.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listen; gives the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=PIECE)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a server's callback is a task"
        self._open.add(task)
        try:
            with contextlib.suppress(OSError):
                await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # Only `stop` cancels, and asyncio would complain of a cancelled callback.
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(
                str(self._socket), limit=PIECE
            )
        except OSError:
            await _refuse(reader, writer)
            return
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pump(reader, far_writer))
                ways.create_task(_pump(far_reader, writer))
            await writer.drain()
        except* OSError:
            pass  # One end broke off; both are closed.
        finally:
            far_writer.transport.abort()
        writer.close()
        await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything from one to the other, and then its end."""
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer, and take in what was being sent: closing before would drop the answer."""
    writer.write(REFUSAL)
    await writer.drain()
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while await reader.read(PIECE):
                pass
