"""The connection to WhatsApp, held whatever happens to it. The first one is dialled by us again and
again, since whatsmeow doesn't; later ones it makes itself, for a while."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynchy_cli import log
from pynchy_cli.channels.base import Away
from pynchy_cli.channels.whatsapp import library
from pynchy_cli.channels.whatsapp.noise import kept_off

if TYPE_CHECKING:
    from pynchy_cli.channels.whatsapp.ear import Ear
    from pynchy_cli.channels.whatsapp.life import Life

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to connect."""


class Link:
    """The connection. `database` is where the library keeps the device. `code` is the shared object
    if not neonize's; `uniform` gives numbers from 0 to 1."""

    def __init__(
        self,
        database: Path,
        ear: Ear,
        code: Any = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._ear = ear
        self._code = code
        self._uniform = uniform
        self._log = log.get("whatsapp")
        self._names = itertools.count(1)
        self._life: Life | None = None

    @property
    def client(self) -> Any:
        """neonize's NewAClient, where it is connected, else None."""
        life = self._life
        return life.client if life is not None and life.is_up else None

    @property
    def me(self) -> Any:
        """Our own Device, with JID and LID; None before the first connection."""
        return self._life.me if self._life is not None else None

    def require(self) -> Any:
        """The client. Raises Away where it isn't connected."""
        client = self.client
        if client is None:
            raise Away("WhatsApp isn't connected.")
        return client

    async def hold(self) -> None:
        """Hold the connection until cancelled. Raises LoggedOut and ChannelBroken, with what a
        person is to do, and what storing raises but where the database is only busy or full."""
        library.load()
        asyncio.get_running_loop().set_default_executor(library.DaemonThreads())
        pause = FIRST_PAUSE
        with kept_off(lambda line: self._log.debug("neonize", said=line)):
            while True:
                self._life = life = self._new_life()
                why = await life.run()
                if life.was_up:
                    pause = FIRST_PAUSE
                self._ear.state(False, why)
                await asyncio.sleep(pause * (0.5 + self._uniform() / 2))
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _new_life(self) -> Life:
        """A client that nobody has used, under a name of its own."""
        # These import neonize, which isn't there before it was asked for.
        from neonize._binder import gocode
        from neonize.aioze.client import NewAClient

        from pynchy_cli.channels.whatsapp.life import Life
        from pynchy_cli.channels.whatsapp.wire import Wire

        name = f"pynchy-{next(self._names)}"
        code = self._code or gocode
        client = NewAClient(str(self._database), uuid=name)
        client._stop_finalizer.detach()  # it would stop the client at the process's end, and wait
        return Life(client, lambda life: Wire(code, name, self._database, life), self._ear)
