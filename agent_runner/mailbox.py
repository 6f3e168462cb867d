"""What the host writes, sorted as it comes: a further turn waits until the one under way is
over, what concerns that one reaches the core at once. For a turn that is over it is void: the
host knows from the turn's end what was not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agent_runner.cores.base import Core
from agent_runner.protocol import Document, FollowUp, Interrupt, RunInput, Steer

Turn = RunInput | FollowUp


class Mailbox:
    """The host's documents, read in the background."""

    def __init__(self, given: AsyncIterator[Document]) -> None:
        self._given = given
        self._turns: asyncio.Queue[Turn | None] = asyncio.Queue()
        self._held: list[Steer | Interrupt] = []
        self._turn = ""
        self._core: Core | None = None
        self._reading: asyncio.Task[None] | None = None

    async def next(self, idle: float) -> Turn | None:
        """The next turn; None where none comes any more, or none within `idle` seconds (0: any
        time). Raises what reading a document raises."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="documents")
        try:
            async with asyncio.timeout(idle or None):
                turn = await self._turns.get()
        except TimeoutError:
            return None
        if turn is None:
            await self._reading
        return turn

    async def begin(self, turn: str, core: Core) -> None:
        """From now on the core may be told what concerns the turn."""
        self._turn, self._core = turn, core
        held, self._held = self._held, []
        for document in held:
            await self._tell(document)

    def end(self) -> None:
        """The turn is over."""
        self._core = None

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for document in self._given:
                if isinstance(document, Steer | Interrupt):
                    await self._tell(document)
                else:
                    self._held.clear()
                    self._turns.put_nowait(document)
        finally:
            self._turns.put_nowait(None)

    async def _tell(self, document: Steer | Interrupt) -> None:
        if self._core is None:
            self._held.append(document)  # its turn may be about to begin
        elif document.turn == self._turn:
            if isinstance(document, Steer):
                await self._core.steer(document)
            else:
                await self._core.interrupt()
