"""One connection of Socket Mode, held whatever happens to it. slack_sdk's client connects and
reconnects; beside it a watchdog looks, because that client can wait for ever on an address that is
refused, on a server that says nothing, and on an app whose Socket Mode was turned off."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMessage
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from pynchy_cli import log
from pynchy_cli.channels.base import NotSent
from pynchy_cli.channels.slack.api import Api, hushed
from pynchy_cli.channels.slack.outcomes import Denied, Refused
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, LoggedOut, PynchyError

STALE, USELESS, REST = 3, 20, 20
"""How many ping intervals without a connection an address is kept, a client, and how many are let
pass where Slack wants no connection from us just now."""
DENIALS = 3
"""So often Slack must say that it doesn't let us in before a connection that was is given up."""
LOOK = 0.25
"""Seconds between two looks at the connection, at most."""
SLOWEST = 15.0
ACK = 1.0
"""Seconds that sending an acknowledgement may take; Slack would say it all again."""
WANTED_AWAY = {
    "link_disabled": "Socket Mode is turned off: turn it on in the app's settings at"
    " https://api.slack.com/apps, under Socket Mode",
    "too_many_websockets": "the app has too many connections: other programs use its token",
}


class Listener(Protocol):
    """Who hears what comes by the connection. Nothing here may wait."""

    def frame(self, envelope: Mapping[str, Any]) -> None:
        """An event, a press of a button or a slash command, in the order in which they come."""

    def up(self) -> None:
        """A connection stands; another one than before."""

    def down(self) -> None:
        """There is none any more."""


class Socket:
    """Holds the connection. `tell` is told when it comes and goes, and why."""

    def __init__(
        self, api: Api, listener: Listener, tell: Callable[[bool, str | None], None]
    ) -> None:
        self.api = api
        self.listener = listener
        self.ping = api.rules.ping_interval
        self.log = log.get("slack")
        self._tell = tell
        self._told: tuple[bool, str | None] | None = None
        self._client: _Client | None = None
        self._stirred = asyncio.Event()
        self._greeted: ClientWebSocketResponse | None = None
        self._is_up = False
        self._url: str | None = None
        self._failures = 0
        self._denied: PynchyError | None = None
        self._unwanted: str | None = None
        self._patient_until = 0.0
        self._why: str | None = None

    async def run(self, url: str | None = None) -> None:
        """Hold a connection until cancelled, the first one by this address. Raises LoggedOut where
        Slack no longer lets us in."""
        self._url = url
        while True:
            await self._hold()
            if self._unwanted is not None:
                self._say(False, f"Slack ended the connection: {self._unwanted}.")
                self._unwanted = None
                await asyncio.sleep(REST * self.ping)

    async def ack(self, envelope_id: str, payload: Mapping[str, Any] | None) -> bool:
        """Tell Slack that something was taken in; whether that could be said."""
        session = self._client.current_session if self._client is not None else None
        if session is None or session.closed:
            return False
        said: dict[str, Any] = {"envelope_id": envelope_id}
        if payload is not None:
            said["payload"] = payload
        try:
            async with asyncio.timeout(ACK):
                await session.send_str(json.dumps(said))
        except (TimeoutError, OSError, aiohttp.ClientError, RuntimeError):
            return False
        return True

    async def address(self) -> str:
        """An address for the next connection; slower each time that there is none to be had."""
        url, self._url = self._url, None
        if url is not None:
            return url
        try:
            url = await self.api.open_socket()
        except (Denied, Refused) as error:
            self._failures += 1
            if self._failures >= DENIALS:
                self._denied = LoggedOut(f"{error} `pynchy auth slack` tells more.")
            await self._failed(error)
            raise
        except PynchyError as error:
            self._failures += 1
            await self._failed(error)
            raise
        self._failures = 0
        return url

    async def _failed(self, error: PynchyError) -> None:
        self._why = str(error)
        self._stirred.set()
        wait = min(SLOWEST, self.ping * 2 ** (self._failures - 1) - self.ping)
        asked = error.retry_after if isinstance(error, NotSent) else None
        await asyncio.sleep(max(wait, asked or 0.0))

    async def _hold(self) -> None:
        """One client's life, until it is of no use any more."""
        client = self._client = _Client(self)
        connecting = asyncio.ensure_future(client.connect())  # type: ignore[no-untyped-call]
        try:
            await self._watch(client)
        finally:
            self._client = None
            await client.end(connecting)

    async def _watch(self, client: _Client) -> None:
        """Look at the connection again and again; ends where the client is to be replaced."""
        loop = asyncio.get_running_loop()
        since = renewed = loop.time()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK, self.ping / 8)):
                    await self._stirred.wait()
            self._stirred.clear()
            now = loop.time()
            is_open = await client.is_connected()
            if self._look(client, is_open=is_open, now=now):
                since = renewed = now
                continue
            if self._denied is not None:
                raise self._denied
            is_mute = is_open and now - since > STALE * self.ping
            is_dead = client.is_dead() and now - since > self.ping
            if self._unwanted is not None or is_mute or is_dead:
                return
            if now - since > USELESS * self.ping + SLOWEST:
                return
            if now - renewed > STALE * self.ping:
                # The address may have been used, or be too old: slack_sdk never asks for another.
                client.wss_uri, renewed = None, now

    def _look(self, client: _Client, *, is_open: bool, now: float) -> bool:
        """Whether the connection stands; whoever wants to know is told."""
        session = client.current_session
        stands = is_open and session is not None and session is self._greeted
        if stands:
            if not self._is_up:  # it was taken for lost, and wasn't: what came meanwhile is fetched
                self._is_up = True
                self.listener.up()
            self._why = None
            self._say(True, None)
        elif now >= self._patient_until:
            if self._is_up:
                self._is_up = False
                self.listener.down()
            lost = "the connection was lost" if self._greeted is not None else "connecting"
            self._say(False, self._why or lost)
        return stands

    def _say(self, connected: bool, why: str | None) -> None:
        if self._told == (connected, why):
            return
        with contextlib.suppress(DatabaseBusy, DatabaseFull):  # it is said at the next look
            self._tell(connected, why)
            self._told = (connected, why)

    async def heard(self, client: _Client, message: WSMessage) -> None:
        """What comes, before slack_sdk deals with it."""
        try:
            envelope = json.loads(message.data)
        except ValueError:
            return
        if not isinstance(envelope, dict) or client is not self._client:
            return
        kind = envelope.get("type")
        if kind == "hello":
            self._greeted, self._is_up = client.current_session, True
            self.listener.up()
            if (count := envelope.get("num_connections") or 1) > 1:
                self.log.warning("others are connected as this app, too", connections=count)
        elif kind == "disconnect":
            reason = str(envelope.get("reason"))
            self._unwanted = WANTED_AWAY.get(reason)
            client.closed = client.closed or self._unwanted is not None
            # It is about to be replaced, which is nothing to be told of.
            self._patient_until = asyncio.get_running_loop().time() + min(1.0, self.ping)
            self._why = f"Slack ended the connection: {reason}"
        elif envelope.get("envelope_id"):
            self.listener.frame(envelope)
        self._stirred.set()


class _Client(SocketModeClient):
    """slack_sdk's client, which asks us for addresses, and tells us what it hears."""

    def __init__(self, socket: Socket) -> None:
        super().__init__(
            socket.api.rules.app_token,
            logger=hushed(),
            web_client=socket.api.web,
            ping_interval=socket.ping,
            on_message_listeners=[lambda message: socket.heard(self, message)],
        )
        self._socket = socket
        self._dealing: set[asyncio.Task[Any]] = set()
        self.proxy = socket.api.web.proxy

    async def issue_new_wss_url(self) -> str:
        """An address, from whoever counts how often there was none."""
        return await self._socket.address()

    async def connect_to_new_endpoint(self, force: bool = False) -> None:
        """Connect anew, unless we are to stay away."""
        if not self.closed:
            await super().connect_to_new_endpoint(force)

    async def run_message_listeners(self, message: dict[str, Any], raw_message: str) -> None:
        """Deal with what came, in a task that slack_sdk lets out of its sight."""
        if (task := asyncio.current_task()) is not None:
            self._dealing.add(task)
            task.add_done_callback(self._dealing.discard)
        await super().run_message_listeners(message, raw_message)

    def is_dead(self) -> bool:
        """Whether one of its tasks has ended, without which it hears nothing."""
        tasks = (self.message_processor, self.message_receiver, self.current_session_monitor)
        return any(task is not None and task.done() for task in tasks)

    async def end(self, connecting: asyncio.Future[None]) -> None:
        """End its tasks, and the connection, without waiting for the other side."""
        self.closed, self.auto_reconnect_enabled = True, False
        await _ended([connecting, self.message_processor, *self._dealing])
        # Only now nobody makes others of these.
        await _ended([self.message_receiver, self.current_session_monitor])
        if self.current_session is not None:
            with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError):
                async with asyncio.timeout(ACK):
                    await self.current_session.close()
        await self.aiohttp_client_session.close()


async def _ended(tasks: Sequence[asyncio.Future[Any] | None]) -> None:
    """End tasks, and wait until they have."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
