"""Holds the connection to one chat network: what comes by it becomes rows, and replies go out."""

from __future__ import annotations

import asyncio

from pynchy_cli import clock
from pynchy_cli.channels import pressing
from pynchy_cli.channels.base import Button, Network
from pynchy_cli.context import Context
from pynchy_cli.delivery import farewell
from pynchy_cli.delivery.deliverer import Deliverer
from pynchy_cli.delivery.host import StageHost
from pynchy_cli.delivery.naming import Naming
from pynchy_cli.delivery.presence import Presence
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import Reply

LAST_WORDS = 5.0
"""Seconds in which what is being sent comes to its end when the stage stops."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a connection that has broken down altogether is made anew."""


class Holder:
    """A network's stage."""

    def __init__(self, context: Context, network: Network) -> None:
        self.context = context
        self.network = network
        self.deliverer = Deliverer(context, network, self._buttons)
        self.host = StageHost(context, network, self._connected)
        self.presence = Presence(context, network)
        self.naming = Naming(context, network, self.host)
        self._pause = 0.0
        self._again_at = 0.0
        self._running: asyncio.Task[PynchyError | None] | None = None

    def drain(self) -> int:
        """See that the connection is held; begin to send what is due."""
        if self._running is not None and self._running.done():
            self._has_broken(self._running)
        if self._running is None and self._now() >= self._again_at:
            self._running = self.context.spawn(self._hold(), f"connection to {self.network.name}")
        self.presence.drain()
        self.naming.drain()
        return self.deliverer.drain()

    def deadline(self) -> float | None:
        """Seconds until something is to be sent or asked, or the connection is made anew."""
        waits = [self.deliverer.deadline(), self.naming.deadline()]
        if self._running is None:
            waits.append(max(0.0, self._again_at - self._now()))
        return min((wait for wait in waits if wait is not None), default=None)

    def is_busy(self) -> bool:
        """Whether something is being sent, or may come."""
        return self.deliverer.is_busy() or self._running is not None

    async def stop(self) -> None:
        """Let what is being sent come to its end, then let go of the connection."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self.deliverer.stop()
        except TimeoutError:
            self.context.log.warning("stopped while a reply was being sent")
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self.host.state(False, None)

    async def _hold(self) -> PynchyError | None:
        """Hold the connection. What only a person can mend is the result: `drain` tells it."""
        try:
            await self.network.run(self.host)
        except PynchyError as error:
            return error
        return None

    def _buttons(self, reply: Reply) -> tuple[Button, ...]:
        if "buttons" not in self.network.capabilities:
            return ()
        return pressing.buttons_for(
            self.context.store.db, reply, self.context.settings, clock.now()
        )

    def _connected(self) -> None:
        self._pause = 0.0
        self.naming.connected()
        self.deliverer.connected()

    def _has_broken(self, running: asyncio.Task[PynchyError | None]) -> None:
        """Nobody holds the connection: only a person can mend it, or it is made anew. Raises what
        only a person can mend."""
        self._running = None
        error = None if running.cancelled() else running.exception() or running.result()
        self.host.state(False, str(error) if error is not None else "the connection was let go")
        if isinstance(error, PynchyError):
            farewell.tell(self.context, self.network.name, error)
            raise error
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self._again_at = self._now() + self._pause

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
