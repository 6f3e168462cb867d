"""The connection of Socket Mode against a Slack that does what Slack does to connections: in each
case it stands again by itself, what was said meanwhile is there, and the state was told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pynchy_cli.channels.slack.api import Api
from pynchy_cli.channels.slack.channel import lock_of, only_one
from pynchy_cli.channels.slack.socket import REST, Socket
from pynchy_cli.errors import AlreadyRunning, LoggedOut
from tests.slack_host import Book, channel, held, rules, until
from tests.slack_server import SlackServer

FAST = 0.05
"""Seconds between two signs of life, where we are to wait for many of them."""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer(ack=1.0, app="A0PYNCHY01") as server:
        server.person("alice", "Alice Doe")
        yield server


@pytest.fixture
def dev(slack: SlackServer) -> str:
    return slack.channel("dev", "alice")


async def hears(slack: SlackServer, book: Book, text: str) -> None:
    """Something is said, and comes."""
    slack.say("alice", "dev", text)
    await until(lambda: text in book.texts)


def test_it_connects_and_tells_so(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            await hears(slack, book, "hello")
            assert book.states[-1] == (True, None)
            event = book.events[0]
            assert event.message.sender_name == "Alice Doe"
            assert event.chat_name == "#dev"
            await until(lambda: f"slack:{dev}" in book.chats_met)
            await until(lambda: not slack.unacked())

    asyncio.run(scenario())


@pytest.mark.parametrize("reason", ["refresh_requested", "warning"])
def test_slack_asks_for_another_connection(
    slack: SlackServer, dev: str, tmp_path: Path, reason: str
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            opened = len(slack.calls("apps.connections.open"))
            slack.disconnect(reason)
            await until(lambda: len(slack.calls("apps.connections.open")) > opened)
            slack.say("alice", "dev", "meanwhile")
            await until(lambda: "meanwhile" in book.texts)
            await until(lambda: slack.sockets() == 1)

    asyncio.run(scenario())


def test_the_connection_is_reset(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.kill()
            slack.say("alice", "dev", "lost", silent=True)
            await until(lambda: "lost" in book.texts)
            await hears(slack, book, "after")
            assert book.states.count((True, None)) == 2
            assert any(not connected for connected, _ in book.states[1:])

    asyncio.run(scenario())


def test_a_connection_that_falls_silent_is_noticed(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.stall()
            slack.say("alice", "dev", "into the silence", silent=True)
            await until(lambda: not book.is_connected)
            opened = len(slack.calls("apps.connections.open"))
            await until(lambda: len(slack.calls("apps.connections.open")) >= opened + 2)
            assert not book.is_connected, "a server that greets nobody is no connection"
            slack.stall(False)
            await until(lambda: book.is_connected)
            await until(lambda: "into the silence" in book.texts)

    asyncio.run(scenario())


def test_a_server_that_never_greets_is_left(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.stall()
        running = asyncio.ensure_future(channel(slack, tmp_path).run(book))
        try:
            await until(lambda: len(slack.calls("apps.connections.open")) >= 3)
            assert not book.is_connected
            slack.stall(False)
            await until(lambda: book.is_connected)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


async def a_mute_server(
    greets: list[bool],
    link: Callable[[web.Request], Awaitable[web.WebSocketResponse]] | None = None,
) -> tuple[web.AppRunner, str]:
    """A Slack that answers every ping and greets nobody before it is told to; or whose connections
    are as `link` makes them."""

    async def api(request: web.Request) -> web.Response:
        url = f"ws://{request.host}/link"
        return web.json_response({"ok": True, "url": url, "bot_id": "B1", "user_id": "U1"})

    async def mute(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if greets:
            await socket.send_json({"type": "hello", "num_connections": 1})
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_route("*", "/api/{method}", api)
    app.router.add_get("/link", link or mute)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/api/"


def test_a_server_that_is_alive_and_never_greets_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        greets: list[bool] = []
        runner, url = await a_mute_server(greets)
        book = Book(tmp_path)
        made = channel(None, tmp_path, base_url=url, ping_interval=FAST)
        running = asyncio.ensure_future(made.run(book))
        try:
            await until(lambda: book.states)
            greets.append(True)
            await until(lambda: book.is_connected)
            assert book.states[0] == (False, "connecting")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await runner.cleanup()

    asyncio.run(scenario())


class Told:
    """Who is told of a connection; what, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_connected = False

    def frame(self, envelope: Mapping[str, Any]) -> None:
        """Nothing comes here."""

    def up(self) -> None:
        self.calls.append("up")

    def down(self) -> None:
        self.calls.append("down")

    def tell(self, connected: bool, why: str | None) -> None:
        self.is_connected = connected


def test_a_connection_that_was_taken_for_lost_is_read_up_to_again(tmp_path: Path) -> None:
    # After a long silence slack_sdk counts it until the first pong of the new connection, so that
    # this looks lost for a moment although it was greeted.
    told = Told()

    async def link(request: web.Request) -> web.WebSocketResponse:
        is_second = "up" in told.calls
        if is_second:
            await asyncio.sleep(1.5)  # it counts in whole seconds
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.send_json({"type": "hello", "num_connections": 1})
        async for came in socket:
            await socket.pong(came.data)
            if not is_second and told.is_connected:
                await socket.close()
        return socket

    async def scenario() -> None:
        runner, url = await a_mute_server([], link)
        api = Api(rules(None, base_url=url, ping_interval=FAST))
        socket = Socket(api, told, told.tell)
        running = asyncio.ensure_future(socket.run())
        try:
            await until(lambda: told.calls.count("up") >= 2 and told.is_connected)
            assert told.calls[-1] == "up", told.calls
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await api.close()
            await runner.cleanup()

    asyncio.run(scenario())


def test_a_refused_address_is_not_tried_for_ever(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.refuse_links(1)
        async with held(slack, book):
            assert book.is_connected
            slack.refuse_links(2)
            slack.kill()
            await until(lambda: not book.is_connected)
            await until(lambda: book.is_connected)
            await hears(slack, book, "after")

    asyncio.run(scenario())


def test_the_server_goes_and_comes_back(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.stop()
            await until(lambda: not book.is_connected)
            slack.start()
            slack.say("alice", "dev", "while it came", silent=True)
            await until(lambda: book.is_connected)
            await until(lambda: "while it came" in book.texts)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("reason", "words"), [("link_disabled", "turned off"), ("too_many_websockets", "too many")]
)
def test_slack_wants_no_connection_for_a_while(
    slack: SlackServer, dev: str, tmp_path: Path, reason: str, words: str
) -> None:
    async def scenario() -> None:
        book, loop = Book(tmp_path, dev), asyncio.get_running_loop()
        async with held(slack, book, ping_interval=FAST):
            slack.disconnect(reason, close=True)
            await until(lambda: any(words in (why or "") for _, why in book.states))
            since = loop.time()
            await until(lambda: book.is_connected)
            assert loop.time() - since > REST * FAST / 2, "it was not left in peace"
            await hears(slack, book, "after")

    asyncio.run(scenario())


def test_slack_has_no_address_for_a_while(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.fault("auth.test", "500")
        slack.fault("apps.connections.open", "429", retry_after=1)
        slack.fault("apps.connections.open", "drop")
        async with held(slack, book):
            slack.fault("apps.connections.open", "500")
            slack.kill()
            await until(lambda: not book.is_connected)
            await until(lambda: book.is_connected)

    asyncio.run(scenario())


BAD = [
    ("invalid_auth", "the token isn't valid"),
    ("account_inactive", "was removed"),
    ("token_revoked", "was revoked"),
    ("token_expired", "has expired"),
]


@pytest.mark.parametrize(("code", "words"), BAD)
def test_a_bad_token_ends_it_with_plain_words(
    slack: SlackServer, tmp_path: Path, code: str, words: str
) -> None:
    slack.token_error(code)
    with pytest.raises(LoggedOut, match=words) as raised:
        asyncio.run(channel(slack, tmp_path).run(Book(tmp_path)))
    assert raised.value.exit_code == 100
    assert "pynchy auth slack main" in str(raised.value)


def test_tokens_in_each_others_place(slack: SlackServer, tmp_path: Path) -> None:
    for given in ({"app_token": "xoxb-pynchy"}, {"bot_token": ""}, {"app_token": "xapp-1-A0-no"}):
        with pytest.raises(LoggedOut):
            asyncio.run(channel(slack, tmp_path, **given).run(Book(tmp_path)))


def test_a_token_that_is_revoked_meanwhile(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        made = channel(slack, tmp_path)
        running = asyncio.ensure_future(made.run(book))
        await until(lambda: book.is_connected)
        slack.token_error("token_revoked")
        slack.kill()
        with pytest.raises(LoggedOut, match="revoked"):
            await running
        assert len(slack.calls("apps.connections.open")) >= 4, "a single no may be a mistake"

    asyncio.run(scenario())


def test_the_network_is_away_at_first(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        slack.stop()
        running = asyncio.ensure_future(channel(slack, tmp_path).run(book))
        try:
            await until(lambda: bool(book.states))
            assert not book.states[-1][0]
            assert "can't be reached" in (book.states[-1][1] or "")
            slack.start()
            await until(lambda: book.is_connected)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


def test_one_connection_for_an_app(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with only_one("A0PYNCHY01", environ):
        assert lock_of("A0PYNCHY01", environ).exists()
        with pytest.raises(AlreadyRunning, match="A0PYNCHY01"):
            asyncio.run(channel(slack, tmp_path).run(Book(tmp_path, dev)))
