"""The forwarder between a real client and a real server on a unix socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
from aiohttp import web

from agent_runner.forwarder import Forwarder

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT = 60


@asynccontextmanager
async def gateway(socket: Path, talk: Talk) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, str(socket))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        socket.unlink(missing_ok=True)


@asynccontextmanager
async def forwarded(socket: Path) -> AsyncIterator[int]:
    forwarder = Forwarder(socket)
    try:
        yield await forwarder.start()
    finally:
        await forwarder.stop()


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(work, LIMIT)

    asyncio.run(limited())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1000):
        writer.write(piece)
        await writer.drain()


def test_bytes_go_both_ways_as_they_come(tmp_path: Path) -> None:
    async def work() -> None:
        async with gateway(tmp_path / "s", echo), forwarded(tmp_path / "s") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for word in (b"one", b"two", b"three"):
                writer.write(word)
                assert await reader.readexactly(len(word)) == word
            writer.close()

    run(work())


def test_an_end_is_passed_on_and_the_answer_still_comes(tmp_path: Path) -> None:
    async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(hashlib.sha256(await reader.read()).hexdigest().encode())
        await writer.drain()

    async def work() -> None:
        data = os.urandom(20 << 20)
        async with gateway(tmp_path / "s", digest), forwarded(tmp_path / "s") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == hashlib.sha256(data).hexdigest().encode()
            writer.close()

    run(work())


def test_many_connections_at_once_are_kept_apart(tmp_path: Path) -> None:
    async def one(port: int, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        data = f"{number} ".encode() * 10_000
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data
        writer.close()

    async def work() -> None:
        async with gateway(tmp_path / "s", echo), forwarded(tmp_path / "s") as port:
            await asyncio.gather(*(one(port, number) for number in range(100)))

    run(work())


def test_without_a_gateway_the_client_hears_so_in_the_models_words(tmp_path: Path) -> None:
    async def work() -> None:
        async with forwarded(tmp_path / "s") as port, aiohttp.ClientSession() as client:
            url = f"http://127.0.0.1:{port}/v1/messages"
            async with client.post(url, data=b"x" * 1_000_000) as response:
                assert response.status == 502
                body = json.loads(await response.read())
            assert (body["type"], body["error"]["type"]) == ("error", "api_error")
            assert "gateway does not answer" in body["error"]["message"]

    run(work())


def test_a_gateway_that_comes_back_is_found_again(tmp_path: Path) -> None:
    async def talk(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def work() -> None:
        async with forwarded(tmp_path / "s") as port:
            async with gateway(tmp_path / "s", echo):
                assert await talk(port) == b"hello"
            assert b"502" in await talk(port)
            (tmp_path / "s").touch()
            assert b"502" in await talk(port)
            (tmp_path / "s").unlink()
            async with gateway(tmp_path / "s", echo):
                assert await talk(port) == b"hello"

    run(work())


def test_a_gateway_that_breaks_off_ends_the_connection(tmp_path: Path) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half an ans")
        await writer.drain()
        await reader.read(1)
        writer.transport.abort()

    async def work() -> None:
        async with gateway(tmp_path / "s", breaks), forwarded(tmp_path / "s") as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.readexactly(11) == b"half an ans"
            writer.write(b"more")
            assert await reader.read() == b""
            writer.close()

    run(work())


def test_a_streamed_answer_arrives_piece_by_piece(tmp_path: Path) -> None:
    async def work() -> None:
        heard = asyncio.Event()

        async def stream(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first")
            await heard.wait()
            await response.write(b"second")
            return response

        app = web.Application()
        app.router.add_get("/", stream)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "s")).start()
        async with (
            forwarded(tmp_path / "s") as port,
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/") as response,
        ):
            assert await response.content.readany() == b"first"
            heard.set()
            assert await response.content.read() == b"second"
        await runner.cleanup()

    run(work())


def test_stopping_closes_what_is_open(tmp_path: Path) -> None:
    async def work() -> None:
        async with gateway(tmp_path / "s", echo):
            async with forwarded(tmp_path / "s") as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()

    run(work())
