"""A socket on which nobody has called yet: it costs a descriptor and no more. What speaks HTTP is
loaded when the first call comes."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from pynchy_cli.web.site import Site
from pynchy_cli.web.sockets import BACKLOG

if TYPE_CHECKING:
    from pynchy_cli.web.connections import Connections
    from pynchy_cli.web.guard import Door


class Listening:
    """One socket. Made and used on the running event loop."""

    def __init__(self, site: Site, server: socket.socket, *, is_beyond: bool = False) -> None:
        self.is_unix = server.family == socket.AF_UNIX
        self.is_beyond = is_beyond
        self.address = server.getsockname()
        self._site = site
        self._socket = server
        self._loop = asyncio.get_running_loop()
        self._serving: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._connections: Connections | None = None
        self._loop.add_reader(server.fileno(), self._called)

    def deaf(self) -> None:
        """Take no further connections; as often as one likes."""
        if self._socket.fileno() < 0:
            return
        if self._serving is None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            return
        self._serving.cancel()
        if self._server is not None:
            self._server.close()
        else:
            self._socket.close()

    async def close(self, grace: float) -> None:
        """End; answers in flight get `grace` seconds."""
        self.deaf()
        if self._connections is not None:
            await self._connections.close(grace)

    def _called(self) -> None:
        """Somebody connects for the first time."""
        self._loop.remove_reader(self._socket.fileno())
        self._serving = self._site.context.spawn(self._serve(), "serve")

    async def _serve(self) -> None:
        from pynchy_cli.web.connections import Connections

        self._connections = Connections(self._site, self._door())
        make = self._connections.protocol
        if self.is_unix:
            self._server = await self._loop.create_unix_server(
                make, sock=self._socket, backlog=BACKLOG
            )
        else:
            self._server = await self._loop.create_server(make, sock=self._socket, backlog=BACKLOG)

    def _door(self) -> Door:
        from pynchy_cli.web.guard import Door

        return Door(self.is_unix, self.is_beyond)
