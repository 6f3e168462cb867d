"""Chooses who answers: the real model, or the rehearsal's script."""

from __future__ import annotations

from aiohttp import web

from pynchy_cli.config.settings import Settings
from pynchy_cli.gateway.doors import Call
from pynchy_cli.gateway.mode import credential_of, mode_of
from pynchy_cli.gateway.patience import Patience
from pynchy_cli.gateway.rehearsal import rehearse
from pynchy_cli.gateway.upstream import Upstream
from pynchy_cli.log import Log


class Model:
    """What stands behind the sockets."""

    def __init__(self, settings: Settings, log: Log, patience: Patience) -> None:
        self._settings = settings
        self._upstream = Upstream(log, patience)

    def use(self, settings: Settings) -> None:
        """Answer further calls as these settings say."""
        self._settings = settings

    async def answer(self, request: web.BaseRequest, call: Call, limit: int) -> web.StreamResponse:
        """Answer one call, whose body may have `limit` bytes."""
        credential = credential_of(self._settings)
        if mode_of(self._settings) == "rehearsal" or credential is None:
            return await rehearse(request, call, limit)
        base = self._settings.gateway.upstream
        return await self._upstream.pass_on(request, base, credential, limit)

    async def close(self) -> None:
        """Let go of the connections to the model."""
        await self._upstream.close()
