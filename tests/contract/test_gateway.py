"""The gateway between a sandbox's socket and a fake of the Messages API: what passes, what
doesn't, and that the key stays where it belongs."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import logging
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pynchy_cli.config.settings import Gateway as GatewaySettings
from pynchy_cli.config.settings import Secrets, Settings
from pynchy_cli.errors import ConfigInvalid, GatewayUnavailable
from pynchy_cli.gateway import serving
from pynchy_cli.gateway.mask import Mask
from pynchy_cli.gateway.mode import described, mode_of
from pynchy_cli.gateway.patience import Patience
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.log import Log

CANARY = "sk-ant-api03-CANARY-0123456789abcdef"
LIMIT = 30.0
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="gw"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class World:
    """A gateway with one sandbox's socket, in front of a fake model."""

    def __init__(self, folder: Path, gateway: Gateway, client: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.gateway = gateway
        self.client = client

    def post(self, path: str = "/v1/messages", **options: object):
        return self.client.post(f"http://gateway{path}", **options)


def settings_for(port: int, *, key: str = CANARY, token: str = "", path: str = "") -> Settings:
    return Settings(
        gateway=GatewaySettings(upstream=f"http://127.0.0.1:{port}{path}"),
        secrets=Secrets(anthropic_api_key=key, claude_code_oauth_token=token),
    )


@asynccontextmanager
async def world(
    folder: Path, answer: Answer, *, patience: Patience | None = None, **options: str
) -> AsyncIterator[World]:
    fake = web.Server(answer, handler_cancellation=True, access_log=None)
    listening = await asyncio.get_running_loop().create_server(fake, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    log = Log(logging.getLogger("pynchy.gateway"))
    gateway = Gateway(
        settings_for(port, **options), log, patience=patience or Patience(5.0, LIMIT, LIMIT)
    )
    place = folder / "s1-1"
    await gateway.open(place)
    connector = aiohttp.UnixConnector(str(place / "gateway.sock"))
    try:
        async with aiohttp.ClientSession(connector=connector) as client:
            yield World(place, gateway, client)
    finally:
        await gateway.close(place)
        await gateway.stop()
        listening.close()
        await fake.shutdown(0.1)


def run(work: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


async def json_back(request: web.BaseRequest) -> web.Response:
    """Tells what arrived."""
    body = await request.read() if (request.content_length or 0) < 1000 else b""
    return web.json_response(
        {
            "method": request.method,
            "path": str(request.rel_url),
            "headers": [[name.lower(), value] for name, value in request.headers.items()],
            "body": body.decode(),
        }
    )


SENT = {
    "Authorization": "Bearer of-the-sandbox",
    "X-Api-Key": "of-the-sandbox",
    "Proxy-Authorization": "Basic of-the-sandbox",
    "Cookie": "of=the-sandbox",
    "Host": "evil.example",
    "X-Forwarded-For": "of-the-sandbox",
    "Connection": "keep-alive, x-app",
    "TE": "trailers",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "tools-1,tools-2",
    "User-Agent": "claude-cli/1",
    "x-app": "cli",
    "Content-Type": "application/json",
}


async def headers_at_the_model(folder: Path, **options: str) -> dict[str, str]:
    seen: list[web.BaseRequest] = []

    async def quiet(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        return web.json_response({})

    async with world(folder, quiet, **options) as it:
        async with it.post("/v1/messages?beta=true", data=b"{}", headers=SENT) as received:
            assert received.status == 200
        assert str(seen[0].rel_url) == "/v1/messages?beta=true"
        names = [name.lower() for name in seen[0].headers]
        assert len(names) == len(set(names))
        return {name.lower(): value for name, value in seen[0].headers.items()}


def test_the_real_key_takes_the_place_of_whatever_the_sandbox_sent(short: Path) -> None:
    async def work() -> None:
        headers = await headers_at_the_model(short)
        assert headers["x-api-key"] == CANARY
        assert "of-the-sandbox" not in json.dumps(headers)
        assert headers["host"].startswith("127.0.0.1:")
        assert "authorization" not in headers
        assert "cookie" not in headers
        assert "te" not in headers
        assert headers["anthropic-version"] == "2023-06-01"
        assert headers["anthropic-beta"] == "tools-1,tools-2"
        assert headers["user-agent"] == "claude-cli/1"
        assert headers["x-app"] == "cli"
        assert headers["content-length"] == "2"

    run(work())


def test_a_claude_login_is_a_bearer_with_its_beta(short: Path) -> None:
    async def work() -> None:
        headers = await headers_at_the_model(short, key="", token=CANARY)
        assert headers["authorization"] == f"Bearer {CANARY}"
        assert headers["anthropic-beta"] == "tools-1,tools-2,oauth-2025-04-20"
        assert "x-api-key" not in headers

    run(work())


def test_a_stream_passes_piece_by_piece_before_its_end(short: Path) -> None:
    async def work() -> None:
        go_on = asyncio.Event()

        async def slowly(request: web.BaseRequest) -> web.StreamResponse:
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await answer.prepare(request)
            await answer.write(b"event: ping\ndata: 1\n\n")
            await go_on.wait()
            await answer.write(b"event: ping\ndata: 2\n\n")
            return answer

        async with world(short, slowly) as it, it.post(data=b"{}") as received:
            assert received.content_type == "text/event-stream"
            assert await received.content.readany() == b"event: ping\ndata: 1\n\n"
            go_on.set()
            assert await received.content.read() == b"event: ping\ndata: 2\n\n"

    run(work())


def test_who_hangs_up_ends_the_call_to_the_model(short: Path) -> None:
    async def work() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def thinking(request: web.BaseRequest) -> web.StreamResponse:
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await answer.prepare(request)
            await answer.write(b"data: begun\n\n")
            begun.set()
            try:
                await asyncio.sleep(600)
            finally:
                ended.set()
            return answer

        async with world(short, thinking) as it:
            received = await it.post(data=b"{}")
            await begun.wait()
            received.close()
            async with asyncio.timeout(LIMIT):
                await ended.wait()

    run(work())


def test_a_big_call_passes_and_one_over_the_limit_is_refused(short: Path) -> None:
    megabytes = serving.BODY_LIMIT // 1024**2

    async def work() -> None:
        sizes: list[int] = []

        async def measure(request: web.BaseRequest) -> web.Response:
            size = 0
            async for piece in request.content.iter_any():
                size += len(piece)
            sizes.append(size)
            return web.json_response({})

        async def pieces(count: int) -> AsyncIterator[bytes]:
            for _ in range(count):
                yield b"x" * 1024**2

        async with world(short, measure) as it:
            async with it.post(data=io.BytesIO(b"x" * 7 * 1024**2)) as received:
                assert received.status == 200
            async with it.post(data=pieces(megabytes)) as received:
                assert received.status == 200
            assert sizes == [7 * 1024**2, serving.BODY_LIMIT]
            async with it.post(
                data=b"{}", headers={"Content-Length": str(serving.BODY_LIMIT + 1)}
            ) as refused:
                assert refused.status == 413
                assert (await refused.json())["error"]["type"] == "request_too_large"
            try:
                async with it.post(data=pieces(megabytes + 1)) as refused:
                    assert refused.status == 413
            except aiohttp.ClientConnectionError:
                pass  # it hung up while we were still sending
            async with it.post(data=b"{}") as received:
                assert received.status == 200
            assert sizes == [7 * 1024**2, serving.BODY_LIMIT, 2]

    run(work())


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 529])
def test_the_models_errors_pass_as_they_are(short: Path, status: int) -> None:
    body = {"type": "error", "error": {"type": "some_error", "message": "no"}}

    async def work() -> None:
        async def refuse(request: web.BaseRequest) -> web.Response:
            return web.json_response(
                body, status=status, headers={"Retry-After": "7", "Set-Cookie": "a=b"}
            )

        async with world(short, refuse) as it, it.post(data=b"{}") as received:
            assert received.status == status
            assert await received.json() == body
            assert received.headers["Retry-After"] == "7"
            assert "Set-Cookie" not in received.headers

    run(work())


def test_a_key_that_the_model_says_is_masked_everywhere(
    short: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(
            status=401, headers={"X-Echo": request.headers["x-api-key"], "Content-Type": "text/x"}
        )
        await answer.prepare(request)
        half = len(CANARY) // 2
        await answer.write(b"you sent " + CANARY[:half].encode())
        await asyncio.sleep(0.05)
        await answer.write(CANARY[half:].encode() + b" and " + CANARY.encode() + b"!")
        return answer

    async def work() -> None:
        stars = "*" * len(CANARY)
        async with world(short, echo) as it:
            for _ in range(2):
                async with it.post(data=b"{}") as received:
                    assert await received.text() == f"you sent {stars} and {stars}!"
                    assert received.headers["X-Echo"] == stars

    with caplog.at_level(logging.DEBUG):
        run(work())
    assert CANARY not in caplog.text
    assert caplog.text.count("The model refuses the key in ANTHROPIC_API_KEY") == 1


def test_a_key_stays_out_of_printed_forms() -> None:
    settings = settings_for(1)
    from pynchy_cli.gateway.mode import credential_of

    assert CANARY not in repr(credential_of(settings)) + described(settings)
    with pytest.raises(ConfigInvalid) as wrong:
        mode_of(settings_for(1, key=CANARY + "\nX-Evil: 1"))
    assert CANARY not in str(wrong.value)


def test_the_mask_holds_back_no_more_than_it_must() -> None:
    mask = Mask(b"secret")
    assert mask.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert mask.feed(b"a sec") == b"a "
    assert mask.feed(b"ond sssecre") == b"second ss"
    assert mask.feed(b"t.") == b"******."
    assert mask.feed(b"s") == b""
    assert mask.end() == b"s"


def test_an_unreachable_model_is_an_error_that_clients_retry(
    short: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang_up(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def work() -> None:
        async with world(short, hang_up) as it:
            async with it.post(data=b"{}") as received:
                assert received.status == 502
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
            it.gateway.use(settings_for(port))
            async with it.post(data=b"{}") as received:
                assert received.status == 502
                error = await received.json()
        assert error["type"] == "error"
        assert error["error"]["type"] == "api_error"
        assert "127.0.0.1 can't be reached" in error["error"]["message"]

    run(work())
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    "named", ["http://me:HIDDEN@{}", "me:HIDDEN@{}", "http://me:HIDDEN@{}9999"]
)
@pytest.mark.parametrize("said", [b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", b"rubbish\r\n"])
def test_a_login_at_a_proxy_is_told_to_the_proxy_alone(
    short: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    said: bytes,
) -> None:
    heard: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(said)
        writer.close()

    async def work() -> None:
        listening = await asyncio.start_server(proxy, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()
        monkeypatch.setenv("https_proxy", named.format(f"{host}:{port}"))
        async with world(short, json_back) as it:
            secrets = Secrets(anthropic_api_key=CANARY)
            far = GatewaySettings(upstream="https://model.example")
            it.gateway.use(Settings(gateway=far, secrets=secrets))
            async with it.post(data=b"{}") as received:
                assert received.status == 502
                assert "HIDDEN" not in await received.text()
        listening.close()

    run(work())
    assert "HIDDEN" not in caplog.text
    login = b"Proxy-Authorization: Basic " + base64.b64encode(b"me:HIDDEN")
    assert all(login in head for head in heard)
    assert bool(heard) != named.endswith("9999")


def test_a_silent_model_is_given_up(short: Path) -> None:
    async def silent(request: web.BaseRequest) -> web.StreamResponse:
        if request.rel_url.query.get("beta") == "begin":
            answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await answer.prepare(request)
            await answer.write(b"data: begun\n\n")
        await asyncio.sleep(600)
        raise AssertionError

    async def work() -> None:
        async with world(short, silent, patience=Patience(5.0, 0.2, 0.2)) as it:
            async with it.post(data=b"{}") as received:
                assert received.status == 504
            async with it.post("/v1/messages?beta=begin", data=b"{}") as received:
                assert received.status == 200
                with pytest.raises(aiohttp.ClientPayloadError):
                    await received.read()

    run(work())


def test_a_stream_that_breaks_off_is_seen_to_break_off(short: Path) -> None:
    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: begun\n\n")
        assert request.transport is not None
        request.transport.close()
        return answer

    async def work() -> None:
        async with world(short, broken) as it, it.post(data=b"{}") as received:
            assert await received.content.readany() == b"data: begun\n\n"
            with pytest.raises(aiohttp.ClientPayloadError):
                await received.content.read()

    run(work())


def test_no_redirect_carries_the_key_elsewhere(short: Path) -> None:
    async def elsewhere(request: web.BaseRequest) -> web.Response:
        assert request.rel_url.path == "/v1/messages"
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async def work() -> None:
        async with (
            world(short, elsewhere) as it,
            it.post(data=b"{}", allow_redirects=False) as received,
        ):
            assert received.status == 307

    run(work())


CLOSED = [
    ("GET", "/v1/messages"),
    ("POST", "/v1/complete"),
    ("POST", "/v1/messages/"),
    ("POST", "/v1/messages/batches"),
    ("POST", "/v1/messages/../organizations"),
    ("POST", "//v1/messages"),
    ("POST", "/v1/%6dessages"),
    ("GET", "/v1/models/../organizations"),
    ("GET", "/v1/models/.."),
    ("GET", "/v1/models/a/b"),
    ("GET", "/v1/organizations/me"),
    ("DELETE", "/v1/models/x"),
    ("GET", "http://evil.example/v1/messages"),
    ("CONNECT", "evil.example:443"),
    ("OPTIONS", "*"),
]


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_every_other_path_does_not_exist(short: Path, method: str, path: str) -> None:
    async def work() -> None:
        called: list[str] = []

        async def note(request: web.BaseRequest) -> web.Response:
            called.append(str(request.rel_url))
            return web.Response()

        async with world(short, note) as it:
            reader, writer = await asyncio.open_unix_connection(str(it.folder / "gateway.sock"))
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                "Connection: close\r\n\r\n{}".encode()
            )
            status = await reader.readline()
            rest = await reader.read()
            writer.close()
        assert status.split()[1] in (b"404", b"400")
        if status.split()[1] == b"404":
            assert json.loads(rest.partition(b"\r\n\r\n")[2])["error"]["type"] == "not_found_error"
        assert called == []

    run(work())


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_fills_no_log(
    short: Path, caplog: pytest.LogCaptureFixture, rubbish: bytes
) -> None:
    async def work() -> None:
        async with world(short, json_back) as it:
            reader, writer = await asyncio.open_unix_connection(str(it.folder / "gateway.sock"))
            writer.write(rubbish)
            assert (await reader.readline()).split()[1] in (b"400", b"502")
            writer.close()

    run(work())
    assert "Traceback" not in caplog.text
    assert len(caplog.records) <= 1


def test_models_and_counting_pass_and_a_greeting_stays_here(short: Path) -> None:
    async def work() -> None:
        async with world(short, json_back, path="/base/") as it:
            async with it.client.get("http://gateway/v1/models?limit=5") as received:
                assert (await received.json())["path"] == "/base/v1/models?limit=5"
            async with it.post("/v1/messages/count_tokens", data=b'{"a": 1}') as received:
                seen = await received.json()
                assert (seen["method"], seen["path"]) == ("POST", "/base/v1/messages/count_tokens")
                assert seen["body"] == '{"a": 1}'
                assert CANARY not in json.dumps(seen)
            async with it.client.head("http://gateway/api/hello") as received:
                assert received.status == 200

    run(work())


def test_a_new_key_is_used_from_the_next_call_on(short: Path) -> None:
    async def work() -> None:
        keys: list[str] = []

        async def note(request: web.BaseRequest) -> web.Response:
            keys.append(request.headers["x-api-key"])
            return web.json_response({}, status=401 if len(keys) == 1 else 200)

        async with world(short, note) as it:
            port = 0
            async with it.post(data=b"{}") as received:
                assert received.status == 401
            port = int(it.gateway._settings.gateway.upstream.rpartition(":")[2])
            it.gateway.use(settings_for(port, key="sk-ant-new"))
            async with it.post(data=b"{}") as received:
                assert received.status == 200
        assert keys == [CANARY, "sk-ant-new"]

    run(work())


def test_one_sandbox_cannot_take_the_connections_of_another(short: Path) -> None:
    async def work() -> None:
        async with world(short, json_back) as it:
            greedy = [
                await asyncio.open_unix_connection(str(it.folder / "gateway.sock"))
                for _ in range(serving.CONNECTIONS + 8)
            ]
            ends = [asyncio.ensure_future(reader.read()) for reader, _ in greedy]
            async with asyncio.timeout(LIMIT):
                for refused in itertools.islice(asyncio.as_completed(ends), 8):
                    assert await refused == b""
            other = it.folder.with_name("s1-2")
            await it.gateway.open(other)
            connector = aiohttp.UnixConnector(str(other / "gateway.sock"))
            async with (
                aiohttp.ClientSession(connector=connector) as client,
                client.post("http://gateway/v1/messages", data=b"{}") as received,
            ):
                assert received.status == 200
            assert sum(end.done() for end in ends) == 8
            for _, writer in greedy:
                writer.close()
            await asyncio.gather(*ends)
            await it.gateway.close(other)

    run(work())


def test_the_socket_is_for_its_sandbox_and_its_folder_for_nobody_else(short: Path) -> None:
    async def work() -> None:
        async with world(short, json_back) as it:
            assert (it.folder / "gateway.sock").stat().st_mode & 0o777 == 0o666
            assert it.folder.parent.stat().st_mode & 0o777 == 0o700
            assert [path.name for path in it.folder.iterdir()] == ["gateway.sock"]
        assert not it.folder.exists()

    run(work())


def test_a_second_gateway_takes_a_socket_over_and_keeps_it(short: Path) -> None:
    async def work() -> None:
        async with world(short, json_back) as it:
            before = it.folder.stat().st_ino
            log = Log(logging.getLogger("pynchy.gateway"))
            second = Gateway(settings_for(1, key=""), log)
            second.listen(it.folder)
            assert not it.gateway.is_open(it.folder)
            assert it.folder.stat().st_ino == before
            await it.gateway.close(it.folder)
            assert second.is_open(it.folder)
            async with it.post(data=b"{}") as received:
                assert received.status == 400  # the rehearsal's: no messages
            await second.stop()
            assert it.folder.exists()
            await second.close(it.folder)

    run(work())


def test_a_folder_of_somebody_elses_is_not_used(short: Path) -> None:
    async def work() -> None:
        log = Log(logging.getLogger("pynchy.gateway"))
        gateway = Gateway(Settings(), log)
        (short / "root").mkdir()
        (short / "root").chmod(0o777)
        with pytest.raises(GatewayUnavailable, match="no folder of ours alone"):
            await gateway.open(short / "root" / "s1-1")
        (short / "link").symlink_to(short)
        with pytest.raises(GatewayUnavailable, match="no folder of ours alone"):
            await gateway.open(short / "link")
        with pytest.raises(GatewayUnavailable, match="path too long"):
            await gateway.open(short / ("x" * 100))
        await gateway.stop()

    run(work())
