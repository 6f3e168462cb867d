"""Whoever is slow over HTTP: a head or a body that doesn't come, news that nobody takes. The doors
are the real ones, with less patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.store import events
from pynchy_cli.store.connection import Store
from pynchy_cli.watch import Watcher
from pynchy_cli.web import sockets
from pynchy_cli.web.listening import Listening
from pynchy_cli.web.patience import Patience
from pynchy_cli.web.site import Site
from tests.people import People

LIMIT = 60.0
LONG = Patience(idle=LIMIT, body=LIMIT, taken=LIMIT, heartbeat=LIMIT)
SHORT = 0.05
HEAD = b"POST /api/send HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
FOLLOW = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 0-0-0\r\n\r\n"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Doors:
    """One door of a home."""

    def __init__(self, site: Site, store: Store, listening: Listening) -> None:
        self.site = site
        self.store = store
        self.port = listening.address[1]

    async def connected(self, data: bytes) -> Ends:
        """A connection on which that was sent; of what comes little is taken unasked."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2048)
        writer.write(data)
        return reader, writer


@asynccontextmanager
async def doors(home: People, patience: Patience) -> AsyncIterator[Doors]:
    with home.store() as store, closing(Watcher()) as watcher:
        context = Context("serve", home.home, Settings(), store, 1, watcher, once=False)
        site = Site(context, patience)
        listening = Listening(site, sockets.tcp("127.0.0.1", 0))
        try:
            yield Doors(site, store, listening)
        finally:
            site.stop()
            await listening.close(0.1)
            await context.end_tasks()
            site.close()


@pytest.fixture
def home(environment: dict[str, str], tmp_path: Path) -> People:
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", is_admin=True)
    return made


def run(home: People, patience: Patience, story: Callable[[Doors], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(LIMIT / 2), doors(home, patience) as opened:
            await story(opened)

    asyncio.run(told())


async def rest(ends: Ends) -> bytes:
    """All that comes until the other side ends it."""
    try:
        return await ends[0].read()
    except ConnectionResetError:
        return b""
    finally:
        ends[1].close()


@pytest.mark.parametrize("head", [b"", b"GET /status HTTP/1.1\r\nHost: local"])
def test_a_head_that_does_not_come_is_not_waited_for(home: People, head: bytes) -> None:
    async def story(opened: Doors) -> None:
        assert await rest(await opened.connected(head)) == b""

    run(home, Patience(idle=SHORT), story)


def test_nor_is_a_next_call(home: People) -> None:
    async def story(opened: Doors) -> None:
        call = b"GET /api/groups HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert (await rest(await opened.connected(call))).startswith(b"HTTP/1.1 200")

    run(home, Patience(idle=SHORT), story)


def test_nor_is_a_body(home: People) -> None:
    async def story(opened: Doors) -> None:
        answer = await rest(await opened.connected(HEAD + b"Content-Length: 9\r\n\r\n{"))
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"too_slow"' in answer

    run(home, Patience(idle=LIMIT, body=SHORT, linger=SHORT), story)


def test_who_follows_is_given_signs_of_life(home: People) -> None:
    async def story(opened: Doors) -> None:
        reader, writer = await opened.connected(FOLLOW)
        for _ in range(3):
            await reader.readuntil(b": alive\n\n")
        writer.close()

    run(home, Patience(heartbeat=SHORT), story)


def test_who_takes_nothing_is_ended_and_gives_his_place_back(
    home: People, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(opened: Doors) -> None:
        with opened.store.atomic() as db:
            for _ in range(1000):
                events.add(db, "text", {"text": "x" * 20_000}, clock.now())
        ends = await opened.connected(FOLLOW)
        for number in (1, 0):
            while opened.site.followers != number:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert len(await rest(ends)) < 20_000_000

    run(home, Patience(taken=SHORT), story)
    assert not caplog.records  # a line for each would let anybody fill the log


def test_the_patience_is_what_ends_them(home: People) -> None:
    """Else the tests above could not fail."""

    async def story(opened: Doors) -> None:
        slow = [
            await opened.connected(data) for data in (b"", HEAD + b"Content-Length: 9\r\n\r\n{")
        ]
        call = b"GET /api/groups HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert (await rest(await opened.connected(call))).startswith(b"HTTP/1.1 200")
        for reader, writer in slow:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 4 * SHORT)
            writer.close()

    run(home, LONG, story)


def test_our_own_faults_are_told_as_such(home: People, caplog: pytest.LogCaptureFixture) -> None:
    """They don't end the process, and the log has them."""

    async def story(opened: Doors) -> None:
        with opened.store.atomic() as db:
            db.execute("UPDATE registered_groups SET allowed_users = 'no JSON'")
        call = b"GET /api/groups HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for _ in range(2):
            answer = await rest(await opened.connected(call))
            assert answer.startswith(b"HTTP/1.1 500")
            assert b'{"error":{"code":"failed"' in answer

    run(home, LONG, story)
    assert len(caplog.records) == 2
