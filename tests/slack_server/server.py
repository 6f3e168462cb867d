"""The server in a thread of its own, and the hand of a test on one in another process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.serving import Served
from tests.slack_server.backend import Backend, Options
from tests.slack_server.control import Control
from tests.slack_server.desk import Desk, finish, run
from tests.slack_server.files import download, login, upload
from tests.slack_server.responses import answer
from tests.slack_server.state import SlackError
from tests.slack_server.web_api import WebApi


class Site:
    """The public port; it can go and come back."""

    def __init__(self, back: Backend) -> None:
        self._back = back
        self._runner: web.AppRunner | None = None
        self.port = back.options.port

    async def start(self) -> None:
        """Listens. Does nothing if it does already."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/api/{method}", WebApi(self._back).handle)
        app.router.add_get("/link/", self._back.sockets.link)
        app.router.add_route("*", "/upload/{file}", upload(self._back))
        app.router.add_post("/actions/{team}/{name}", answer(self._back))
        app.router.add_get("/", login)
        app.router.add_get("/files-pri/{file}/{name:.*}", download(self._back))
        self._runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        self._back.work.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Refuses, and cuts what is open."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await _accept_no_more(runner)
        self._back.sockets.tickets.clear()
        for connection in list(runner.server.connections if runner.server else []):
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()
        await _abort_strays(self.port)


class Service:
    """A backend with its site, and the calls that tests make of it."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self._back = Backend(options, clock)
        self._desk = Desk(self._back)
        self.site = Site(self._back)

    @property
    def back(self) -> Backend:
        """The state."""
        return self._back

    async def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """What the named call gives. Raises `SlackError`, `ValueError`, `TypeError`."""
        if name in ("start", "stop"):
            return await (self.site.start() if name == "start" else self.site.stop())
        return await finish(run(self._desk, name, arguments))

    async def end(self) -> None:
        """Stops for good."""
        await self._back.sockets.close()
        await self.site.stop()


class SlackServer(Control):
    """A server in this process: `with SlackServer() as slack:`, also in a test with a loop."""

    def __init__(self, clock: Callable[[], float] = time.time, **options: Any) -> None:
        self.options = Options(**options)
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._service: Service

    @property
    def app(self) -> str:
        """The app's id."""
        return self.options.app

    @property
    def url(self) -> str:
        """The base_url: `http://127.0.0.1:PORT/api/`."""
        return f"{self._service.back.work.url}/api/"

    def __enter__(self) -> Self:
        self._thread.start()
        self._service = self._do(self._make())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._do(self._service.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    async def _make(self) -> Service:
        service = Service(self.options, self._clock)
        await service.site.start()
        return service

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(_rest())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _call(self, op: str, /, **arguments: Any) -> Any:
        try:
            told = self._do(self._service.call(op, arguments))
        except SlackError as error:
            raise RuntimeError(error.name) from None
        return json.loads(json.dumps(told))


async def _rest() -> None:
    """Ends what is in hand still, such as a call that was to sleep or came at the last moment."""
    for _ in range(5):  # what was accepted becomes a task some turns later
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            # Where an acceptance is cancelled, nobody closes what was accepted.
            if "accept" not in getattr(task.get_coro(), "__qualname__", ""):
                task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    await _abort_strays()


async def _accept_no_more(runner: web.AppRunner) -> None:
    """Before a server is closed: asyncio loses what is being accepted while it closes."""
    loop = asyncio.get_running_loop()
    for site in runner.sites:
        server = getattr(site, "_server", None)
        for listening in server.sockets if server is not None else ():
            loop.remove_reader(listening.fileno())
    for _ in range(5):
        await asyncio.sleep(0)


async def _abort_strays(port: int | None = None) -> None:
    """aiohttp loses sight of connections that are made while it shuts down."""
    for _ in range(5):  # what was accepted has a transport some turns later
        await asyncio.sleep(0)
        for transport in list(getattr(asyncio.get_running_loop(), "_transports", {}).values()):
            where = transport.get_extra_info("sockname")
            if port is None or (where and where[1] == port):
                transport.abort()


class SlackProcess(Served, Control):
    """A server in a process of its own: it outlives everything else that a test kills."""

    def __init__(self, **options: Any) -> None:
        super().__init__("tests.slack_server", options)
        self.url: str = self.told["url"]
        self.app: str = self.told["app"]
