"""A sandbox's only way out: the folder of a socket of its own, behind which a gateway listens, the
stage or, where none runs, we ourselves."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.errors import GatewayUnavailable
from pynchy_cli.gateway import sockets
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.loop import Context
from pynchy_cli.model import Session

LOCK = "gateway.lock"
PATIENCE = 10.0
"""Seconds in which the gateway must open a new sandbox's socket."""
STEP = 0.005


class WayOut:
    """Opens and closes the sockets of one worker's sandboxes."""

    def __init__(self, context: Context, gateway: Gateway) -> None:
        self.home = context.home
        self._gateway = gateway
        self._opened: set[Path] = set()

    async def open(self, session: Session) -> Path:
        """The folder of the sandbox's own socket, once somebody listens there. Raises
        GatewayUnavailable."""
        folder = self._folder(session)
        time = asyncio.get_running_loop().time
        until = time() + PATIENCE
        while time() < until:
            if not locks.is_held(self.home.locks / LOCK):
                self._opened.add(folder)
                await self._gateway.open(folder)
                return folder
            if await _answers(folder / sockets.NAME):
                for path in (folder.parent.parent, folder.parent, folder):
                    sockets.require_ours(path)
                return folder
            await asyncio.sleep(STEP)
        raise GatewayUnavailable(
            f"The gateway opened no socket within {PATIENCE:g} s. Is `pynchy gateway` well?"
        )

    async def close(self, session: Session) -> None:
        """Close the sandbox's way to the model, where it was us who opened it."""
        folder = self._folder(session)
        if folder in self._opened:
            self._opened.discard(folder)
            await self._gateway.close(folder)

    async def stop(self) -> None:
        """Let go of what we held ourselves."""
        await self._gateway.stop()

    def _folder(self, session: Session) -> Path:
        return self.home.sockets(os.environ) / str(session.folder)


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True
