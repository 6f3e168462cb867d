"""Files that people share on WhatsApp come as they were shared, or with a plain reason why not."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace

from pynchy_cli.channels.base import Away, NeverSent, NotSent
from pynchy_cli.channels.fetching import PIECE, Files
from pynchy_cli.channels.whatsapp.files import HEADERS, WhatsAppFiles
from pynchy_cli.channels.whatsapp.media import Media
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import SharedFile
from tests.slack_host import Book, until
from tests.whatsapp_media import sealed

LIMIT = 1024**2
PLAIN = bytes(range(256)) * 1000 + b"the end"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Host:
    """The media host. Each request gets what is next of `answers`, and then the file."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.answers: list[Answer] = []
        self.asked: list[web.Request] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.answers:
            return await self.answers.pop(0)(request)
        return web.Response(body=self.files[request.path])


@contextlib.asynccontextmanager
async def serving(*files: tuple[Media, bytes]) -> AsyncIterator[Host]:
    """A host that has these files."""
    host = Host({media.path.partition("?")[0]: content for media, content in files})
    app = web.Application()
    app.router.add_get("/{path:.*}", host.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    host.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore
    try:
        yield host
    finally:
        await runner.cleanup()


async def fetched(
    host: Host, media: Media, part: Path, limit: int = LIMIT, size: int | None = None
) -> bytes:
    await WhatsAppFiles(limit, host.url).fetch(SharedFile(media.remote_id(), "x", size=size), part)
    return part.read_bytes()


def status(code: int, headers: dict[str, str] | None = None) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return answer


def leading(there: str) -> Answer:
    return status(302, {"Location": there})


def stream(content: bytes, told: int | None = None, *, then: str = "end") -> Answer:
    """An answer in pieces, of so many bytes as it says, that ends, breaks off, or stalls."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = told
        await response.prepare(request)
        await response.write(content)
        if then == "stall":
            await until(lambda: request.transport is None)
        if then == "break":
            assert request.transport is not None
            request.transport.abort()
        while then == "go on":
            await response.write(content)
        return response

    return answer


def test_files_come_with_a_message(tmp_path: Path) -> None:
    kinds = {kind: sealed(kind, kind.encode() * 100_000) for kind in ("image", "video", "audio")}
    kinds["document"] = sealed("document", b"")

    async def scenario() -> None:
        async with serving(*kinds.values()) as host:
            book = Book(tmp_path)
            for number, (kind, (media, _)) in enumerate(kinds.items()):
                book.files[1, number] = SharedFile(media.remote_id(), f"{kind}.bin")
            running = asyncio.ensure_future(
                Files(WhatsAppFiles(LIMIT, host.url), book, "whatsapp").run()
            )
            await until(lambda: all(one.state != "waiting" for one in book.files.values()))
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            asked = {request.raw_path for request in host.asked}
            assert asked == {media.path + media.query() for media, _ in kinds.values()}
            queries = {request.query["mms-type"] for request in host.asked}
            assert queries == set(kinds)
            assert all(HEADERS.items() <= request.headers.items() for request in host.asked)
        paths = [file.path for file in book.files.values()]
        assert paths == ["1-image.bin", "1-2-video.bin", "1-3-audio.bin", "1-4-document.bin"]
        assert (tmp_path / "1-3-audio.bin").read_bytes() == b"audio" * 100_000
        assert (tmp_path / "1-4-document.bin").read_bytes() == b""
        assert not list(tmp_path.glob(".*"))

    asyncio.run(scenario())


def test_what_the_disk_does_not_take_is_fetched_once_it_does(tmp_path: Path) -> None:
    media, content = sealed("image", PLAIN)
    (tmp_path / ".1-a.jpg.part").symlink_to("/dev/full")

    async def scenario() -> None:
        async with serving((media, content)) as host:
            book = Book(tmp_path)
            book.files[1, 0] = SharedFile(media.remote_id(), "a.jpg")
            files = Files(WhatsAppFiles(LIMIT, host.url), book, "whatsapp")
            running = asyncio.ensure_future(files.run())
            await until(lambda: book.files[1, 0].state != "waiting")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert len(host.asked) == 2
        assert (tmp_path / "1-a.jpg").read_bytes() == PLAIN

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (status(404), NeverSent, "doesn't keep it any more"),
        (status(410), NeverSent, "doesn't keep it any more"),
        (status(403), NeverSent, "doesn't keep it any more"),
        (status(500), NotSent, "HTTP 500"),
        (status(204), NotSent, "HTTP 204"),
        (status(429, {"Retry-After": "7"}), NotSent, "HTTP 429"),
        (stream(b"x" * 999, 1000, then="break"), NotSent, "broke off"),
        (stream(b"x" * 999, then="break"), NotSent, "broke off"),
        (stream(b"x" * 999), NotSent, "came damaged"),
        (stream(b"", 2 * LIMIT), NeverSent, "larger than 1 MiB"),
        (stream(b"x" * 99_999, then="go on"), NeverSent, "larger than 1 MiB"),
        (leading("http://127.0.0.1:9/"), NeverSent, "outside of WhatsApp"),
        (leading("https://mmg.whatsapp.net.e.com/"), NeverSent, "outside of WhatsApp"),
        (leading("https://e.com#.whatsapp.net"), NeverSent, "outside of WhatsApp"),
        (leading("http://mmg.whatsapp.net/"), NeverSent, "outside of WhatsApp"),
        (leading("https://xwhatsapp.net/"), NeverSent, "outside of WhatsApp"),
        (leading("//[x"), NeverSent, "outside of WhatsApp"),
    ],
)
def test_what_does_not_come_says_why(
    tmp_path: Path, answer: Answer, kind: type[PynchyError], why: str
) -> None:
    media, content = sealed("image", PLAIN)

    async def scenario() -> None:
        async with serving((media, content)) as host:
            host.answers.append(answer)
            with pytest.raises(NotSent, match=why) as raised:
                await fetched(host, media, tmp_path / "part")
            assert type(raised.value) is kind
            assert raised.value.retry_after == (7.0 if "429" in why else None)
            assert len(host.asked) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("told", "waited"), [("7", 7.0), ("9" * 400, 600.0), ("soon", None), ("²", None), ("-1", None)]
)
def test_a_host_has_us_wait_for_a_while_only(
    tmp_path: Path, told: str, waited: float | None
) -> None:
    media, _ = sealed("image", PLAIN)

    async def scenario() -> None:
        async with serving() as host:
            host.answers.append(status(429, {"Retry-After": told}))
            with pytest.raises(NotSent) as raised:
                await fetched(host, media, tmp_path / "part")
            assert raised.value.retry_after == waited

    asyncio.run(scenario())


def test_what_leads_on_within_whatsapp_is_followed_for_a_while(tmp_path: Path) -> None:
    media, content = sealed("image", PLAIN)

    async def scenario() -> None:
        async with serving((media, content)) as host:
            path = media.path.partition("?")[0]
            host.answers += [leading("/else"), leading(f"{host.url}{path}")]
            assert await fetched(host, media, tmp_path / "part") == PLAIN
            host.answers += [leading("/else")] * 10
            with pytest.raises(NeverSent, match="from one address to the next"):
                await fetched(host, media, tmp_path / "part")
            assert len(host.asked) == 3 + 5

    asyncio.run(scenario())


def test_what_is_said_to_be_packed_is_taken_as_it_is(tmp_path: Path) -> None:
    media, content = sealed("image", PLAIN)

    async def packed(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, headers={"Content-Encoding": "gzip"})

    async def scenario() -> None:
        async with serving() as host:
            host.answers.append(packed)
            assert await fetched(host, media, tmp_path / "part") == PLAIN

    asyncio.run(scenario())


def test_what_is_too_large_is_not_asked_for(tmp_path: Path) -> None:
    media, content = sealed("image", PLAIN)
    size = len(PLAIN)

    async def scenario() -> None:
        async with serving((media, content)) as host:
            assert await fetched(host, media, tmp_path / "part", limit=size) == PLAIN
            for told, lied in ((size, size), (size - 1, size), (size, 0)):
                shared = replace(media, length=told)
                with pytest.raises(NeverSent, match="larger than"):
                    await fetched(host, shared, tmp_path / "part", limit=size - 1, size=lied)
            assert len(host.asked) == 1
            unknown = replace(media, length=None)
            with pytest.raises(NeverSent, match="larger than"):
                await fetched(host, unknown, tmp_path / "part", limit=size - 1)
            with pytest.raises(NeverSent, match=f"has {size} bytes instead of 5"):
                await fetched(host, replace(media, length=5), tmp_path / "part")

    asyncio.run(scenario())


def test_where_nobody_answers_nothing_is_said_of_the_file(tmp_path: Path) -> None:
    media, _ = sealed("image", PLAIN)
    file = SharedFile(media.remote_id(), "x")
    with pytest.raises(Away, match="can't be reached"):
        asyncio.run(WhatsAppFiles(LIMIT, "http://127.0.0.1:9").fetch(file, tmp_path / "part"))


def test_what_stalls_is_not_waited_for(tmp_path: Path) -> None:
    media, content = sealed("image", PLAIN)

    async def scenario() -> None:
        async with serving((media, content)) as host:
            host.answers.append(stream(content[:999], then="stall"))
            file = SharedFile(media.remote_id(), "x")
            with pytest.raises(NotSent, match="broke off"):
                await WhatsAppFiles(LIMIT, host.url, 0.1).fetch(file, tmp_path / "part")

    asyncio.run(scenario())


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    media, content = sealed("video", bytes(16 * LIMIT))

    async def in_pieces(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, len(content), PIECE):
            await response.write(content[at : at + PIECE])
        return response

    async def scenario() -> int:
        async with serving() as host:
            host.answers.append(in_pieces)
            files = WhatsAppFiles(len(content), host.url)
            tracemalloc.start()
            try:
                await files.fetch(SharedFile(media.remote_id(), "x"), tmp_path / "part")
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert asyncio.run(scenario()) < 6 * LIMIT
    assert (tmp_path / "part").stat().st_size == 16 * LIMIT
