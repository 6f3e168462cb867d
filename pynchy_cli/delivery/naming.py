"""Has the names of a network's chats be asked for: once a day, and when somebody wants it."""

from __future__ import annotations

import asyncio
from typing import cast

from pynchy_cli import clock
from pynchy_cli.channels.base import Host, Named, Network
from pynchy_cli.context import Context
from pynchy_cli.errors import PynchyError
from pynchy_cli.store import naming

PAUSE = 300.0
"""Seconds until it is tried again where it failed."""


class Naming:
    """For networks with `names`; for all others it does nothing."""

    def __init__(self, context: Context, network: Network, host: Host) -> None:
        self.context = context
        self.network = network if "names" in network.capabilities else None
        self.host = host
        self._task: asyncio.Task[None] | None = None
        self._not_before = float("inf")

    def connected(self) -> None:
        """The network can be asked again."""
        self._not_before = 0.0

    def drain(self) -> None:
        """Ask, if it is time."""
        if self.network is None or self._task is not None or self._now() < self._not_before:
            return
        if naming.is_due(self.context.store.db, self.network.name, clock.now()):
            self._task = self.context.spawn(self._ask(self.network), f"names {self.network.name}")
            self._task.add_done_callback(self._ended)

    def deadline(self) -> float | None:
        """Seconds until it is tried again; None where nothing is waited for."""
        left = self._not_before - self._now()
        return left if self.network is not None and 0 < left < PAUSE + 1 else None

    async def _ask(self, network: Network) -> None:
        self._not_before = self._now() + PAUSE
        begun = clock.now()
        try:
            found = await cast("Named", network).names()
            self.host.met(found)
            with self.context.store.atomic() as db:
                naming.synced(db, network.name, begun)
        except PynchyError as error:
            self.context.log.warning("chats not named", channel=network.name, why=str(error))
            return
        self._not_before = 0.0
        self.context.log.info("chats named", channel=network.name, chats=len(found))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
