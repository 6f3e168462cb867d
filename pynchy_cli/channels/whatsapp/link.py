"""The connection to WhatsApp, held whatever happens to it. The first one is dialled by us again and
again, since whatsmeow doesn't; later ones it makes itself, for a while."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynchy_cli import log
from pynchy_cli.channels.base import Away
from pynchy_cli.channels.whatsapp import keys, library, reach
from pynchy_cli.channels.whatsapp.asked import Asked
from pynchy_cli.channels.whatsapp.noise import kept_off
from pynchy_cli.errors import ProcessWorn

if TYPE_CHECKING:
    from pynchy_cli.channels.whatsapp.ear import Ear
    from pynchy_cli.channels.whatsapp.life import Life

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts to connect."""
LIVES = 50
"""So many clients a process may have had: Go keeps an open file and 0.27 MB of each for good."""


def pause(failures: int, uniform: Callable[[], float] = random.random) -> float:
    """Seconds until the next attempt after so many that failed, 1 at least; at random, so that not
    all come at once."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + uniform() / 2)


class Link:
    """The connection. `database` is where the library keeps the device. For tests: the shared
    object, what is in the way of dialling, and the seconds after so many failures."""

    def __init__(
        self,
        database: Path,
        ear: Ear,
        code: Any = None,
        obstacle: Callable[[], Awaitable[str | None]] = reach.obstacle,
        pause: Callable[[int], float] = pause,
    ) -> None:
        self._database = database
        self._ear = ear
        self._code = code
        self._obstacle = obstacle
        self._pause = pause
        self._log = log.get("whatsapp")
        self._lives = itertools.count(1)
        self._asked = Asked()
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

    def renew(self, why: str) -> None:
        """Have the connection be made anew, by another client: this one is no good."""
        if self._life is not None:
            self._life.give_up(why)

    async def hold(self) -> None:
        """Hold the connection until cancelled. Raises LoggedOut and ChannelBroken, with what a
        person is to do, ProcessWorn, and what storing raises but where the database is only busy or
        full."""
        library.load()
        asyncio.get_running_loop().set_default_executor(library.DaemonThreads())
        failures = 0
        with kept_off(lambda line: self._log.debug("neonize", said=line)):
            while True:
                why = await self._obstacle()
                if why is None:
                    self._life = life = self._new_life()
                    why = await life.run()
                    failures = 0 if life.was_up else failures
                    await self._forget(life)
                failures += 1
                self._ear.state(False, why)
                await asyncio.sleep(self._pause(failures))

    def _new_life(self) -> Life:
        """A client under a name that none before it had."""
        # These import neonize, which isn't there before it was asked for.
        from neonize._binder import gocode
        from neonize.aioze.client import NewAClient

        from pynchy_cli.channels.whatsapp.life import Life
        from pynchy_cli.channels.whatsapp.wire import Wire

        number = next(self._lives)
        if number > LIVES:
            raise ProcessWorn(f"This process has had {LIVES} connections to WhatsApp.")
        name = f"pynchy-{number}"
        code = self._code or gocode
        client = NewAClient(str(self._database), uuid=name)
        client._stop_finalizer.detach()  # it would stop the client at the process's end, and wait
        make = partial(Wire, code, name, self._database)
        return Life(client, make, self._ear, self._asked)

    async def _forget(self, life: Life) -> None:
        """Have what was missed asked for again."""
        if not life.missed:
            return
        self._log.warning("asked for again", messages=len(life.missed))
        try:
            await asyncio.to_thread(keys.forget, self._database, life.missed)
        except sqlite3.Error as error:  # it is told of when it comes again
            self._log.warning("keys not forgotten", error=str(error))
