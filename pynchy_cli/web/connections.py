"""The connections of one listening socket: who may have one, how many there are, and which has to
make room. Slow and silent ones are ended; whoever calls is always heard."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pynchy_cli.web import guard
from pynchy_cli.web.answering import answer, broken
from pynchy_cli.web.guard import Door
from pynchy_cli.web.site import Site
from pynchy_cli.web.sockets import peer_uid

MOST = 256
"""Connections at the same time; a further one takes the place of the one that is idle longest."""


class Connections:
    """Those of one socket."""

    def __init__(self, site: Site, door: Door) -> None:
        self.site = site
        self.door = door
        log = logging.getLogger("pynchy.serve.http")
        log.addFilter(_is_our_fault)
        self.server = web.Server(self._answer, handler_cancellation=True)
        self._options = {"logger": log, "access_log": None, "auto_decompress": False}
        self._idle: dict[web.RequestHandler, None] = {}
        self._busy: dict[web.RequestHandler, web.BaseRequest] = {}
        self._told: str | None = None

    def protocol(self) -> asyncio.Protocol:
        """What speaks with one more connection."""
        loop = asyncio.get_running_loop()
        return _Connection(
            self,
            self.server,
            loop=loop,
            keepalive_timeout=self.site.patience.idle,
            lingering_time=self.site.patience.linger,
            **self._options,
        )

    def came(self, connection: _Connection, transport: asyncio.Transport) -> None:
        """A connection was made; one that may not be, or finds no room, is ended."""
        if not self._may(transport):
            transport.abort()
            return
        if len(self._idle) + len(self._busy) >= MOST:
            longest = next(iter(self._idle), None) or self._unfinished()
            if longest is None:
                transport.abort()
                return
            self.went(longest)
            longest.force_close()
        self._idle[connection] = None

    def went(self, connection: web.RequestHandler) -> None:
        """A connection has ended."""
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)

    def _unfinished(self) -> web.RequestHandler | None:
        """The one whose call is waited for longest, and still hasn't come as a whole."""
        return next((one for one, call in self._busy.items() if not call.content.is_eof()), None)

    async def close(self, grace: float) -> None:
        """End all; answers in flight get `grace` seconds."""
        self.server.pre_shutdown()
        await self.server.shutdown(grace)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._idle.pop(connection, None)
        self._busy[connection] = request
        try:
            return await answer(self.site, self._door_of(request), request)
        finally:
            if connection in self._busy:
                del self._busy[connection]
                self._idle[connection] = None

    def _door_of(self, request: web.BaseRequest) -> Door:
        if self.door.is_unix or request.transport is None:
            return self.door
        address = _address(request.transport.get_extra_info("sockname"))
        return Door(False, self.door.is_beyond, address)

    def _may(self, transport: asyncio.Transport) -> bool:
        if self.door.is_unix:
            uid = peer_uid(transport.get_extra_info("socket"))
            return uid in (0, self.site.uid)
        peer = _address(transport.get_extra_info("peername"))
        ours = _address(transport.get_extra_info("sockname"))
        if guard.is_trusted(peer, ours, self.site.settings.serve):
            return True
        if peer != self._told:  # not a line for each of its attempts
            self._told = peer
            self.site.log.warning("nobody may call from there: [serve] trusted_networks", peer=peer)
        return False


class _Connection(web.RequestHandler):
    """One connection, which tells when it comes and goes."""

    def __init__(self, owner: Connections, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._owner.came(self, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.went(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)
        told = broken(status)
        told.force_close()
        return told


def _is_our_fault(record: logging.LogRecord) -> bool:
    """What is no HTTP is answered with 400; a line for each would let anybody fill the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _address(name: object) -> str:
    """The address in a socket's name, as people write it."""
    if not isinstance(name, tuple) or not name:
        return ""
    return str(name[0]).removeprefix("::ffff:")
