"""The sandboxes' way to a model: one socket for each, by which it is known who speaks. What
speaks HTTP (aiohttp) is loaded when the first call comes, so that an idle gateway is light."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pynchy_cli.config.settings import Settings
from pynchy_cli.gateway import sockets
from pynchy_cli.gateway.mode import mode_of
from pynchy_cli.gateway.patience import PATIENCE, Patience
from pynchy_cli.log import Log

if TYPE_CHECKING:
    from aiohttp import web

    from pynchy_cli.gateway.model import Model

STOP_GRACE = 5.0
"""Seconds that answers in flight get when the gateway stops."""


CLOSE_GRACE = 0.1
"""Seconds that they get when their sandbox has gone."""


class Gateway:
    """All sockets of one process. Made and used on the running event loop."""

    def __init__(self, settings: Settings, log: Log, *, patience: Patience = PATIENCE) -> None:
        mode_of(settings)
        self._settings = settings
        self._log = log
        self._patience = patience
        self._listeners: dict[Path, _Listener] = {}
        self._model: Model | None = None

    @property
    def folders(self) -> set[Path]:
        """The folders in which we listen."""
        return set(self._listeners)

    def use(self, settings: Settings) -> None:
        """Answer from now on as these settings say; what is in flight ends as it began.

        Raises ConfigInvalid; then everything stays as it was.
        """
        mode_of(settings)
        self._settings = settings
        if self._model is not None:
            self._model.use(settings)

    def is_open(self, folder: Path) -> bool:
        """Whether the socket in the folder is one of ours."""
        listener = self._listeners.get(folder)
        return listener is not None and listener.identity == sockets.identity(folder)

    def listen(self, folder: Path) -> None:
        """Have a socket at `folder/gateway.sock` that can be connected to when this returns.

        Raises GatewayUnavailable.
        """
        if self.is_open(folder):
            return
        old = self._listeners.pop(folder, None)
        self._listeners[folder] = _Listener(self, folder, sockets.listen(folder))
        if old is not None:
            old.deaf()

    async def open(self, folder: Path) -> None:
        """The same as `listen`, for who awaits it."""
        self.listen(folder)

    async def close(self, folder: Path) -> None:
        """End a sandbox's way: its answers in flight, its socket, its folder."""
        listener = self._listeners.pop(folder, None)
        if listener is None:
            return
        is_ours = listener.identity == sockets.identity(folder)
        await listener.close(CLOSE_GRACE)
        if is_ours:
            sockets.remove(folder)

    async def stop(self) -> None:
        """End everything. The folders stay, for sandboxes that have them bound."""
        listeners, self._listeners = dict(self._listeners), {}
        for folder, listener in listeners.items():
            listener.deaf()
            if listener.identity == sockets.identity(folder):
                (folder / sockets.NAME).unlink(missing_ok=True)
        await asyncio.gather(*(one.close(STOP_GRACE) for one in listeners.values()))
        if self._model is not None:
            await self._model.close()
            self._model = None

    def model(self) -> Model:
        """What answers; made when it is needed first."""
        if self._model is None:
            from pynchy_cli.gateway.model import Model

            self._model = Model(self._settings, self._log, self._patience)
        return self._model


class _Listener:
    """One sandbox's socket. Until somebody connects it costs a descriptor and no more."""

    def __init__(self, gateway: Gateway, folder: Path, server: socket.socket) -> None:
        self.identity = sockets.identity(folder)
        self._gateway = gateway
        self._name = folder.name
        self._socket = server
        self._loop = asyncio.get_running_loop()
        self._serving: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._web: web.Server | None = None
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
        if self._web is not None:
            self._web.pre_shutdown()
            await self._web.shutdown(grace)

    def _called(self) -> None:
        """Somebody connects for the first time."""
        self._loop.remove_reader(self._socket.fileno())
        self._serving = self._loop.create_task(self._serve(), name=f"gateway {self._name}")

    async def _serve(self) -> None:
        from pynchy_cli.gateway.serving import doorkeeper, factory

        self._web = doorkeeper(self._gateway.model())
        self._server = await self._loop.create_unix_server(factory(self._web), sock=self._socket)
