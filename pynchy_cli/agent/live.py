"""A sandbox that lives: what it is told, what it says, and whether it has ended. It knows
nothing of rows; whoever converses with it stores what it hears."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from agent_runner import protocol
from pynchy_cli.agent.folder import OutputLog, SessionFolder
from pynchy_cli.locks import Lock
from pynchy_cli.model import Session
from pynchy_cli.sandbox.base import Place

if TYPE_CHECKING:
    from pynchy_cli.watch import Watcher

LEAVE_GRACE = 2.0
"""Seconds in which an agent that was asked to leave may do so by itself."""
TAIL = 2000
"""Bytes of standard error that are shown of a sandbox that died."""


class Live:
    """One live sandbox of a lane."""

    def __init__(
        self,
        session: Session,
        folder: SessionFolder,
        place: Place,
        lease: Lock,
        log: Path,
        watcher: Watcher,
    ) -> None:
        self.session = session
        self.folder = folder
        self.place = place
        self.output = OutputLog(folder.output, session.output_offset)
        self.changed = asyncio.Event()
        self.exit_code: int | None = None
        self.refusal: str | None = None
        """Why it was ended by us, in words for the chat."""
        self.is_refused_for_good = False
        """Whether trying again would not help."""
        self.idle: asyncio.TimerHandle | None = None
        self._lease = lease
        self._log = log
        self._watcher = watcher
        watcher.add(folder.output, self.changed.set)
        self._waiting = asyncio.create_task(self._wait(), name=f"wait {place.name}")

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet, as far as we know."""
        return self.exit_code is None

    @property
    def ended(self) -> asyncio.Task[None]:
        """Done when the sandbox has ended."""
        return self._waiting

    async def _wait(self) -> None:
        self.exit_code = await self.place.wait()
        self.changed.set()

    def tell(self, document: protocol.Document) -> None:
        """Hand over the next document."""
        self.folder.hand_over(document)

    def last_words(self) -> str:
        """The end of what it wrote to standard error, in one line."""
        try:
            data = self._log.read_bytes()[-TAIL:]
        except OSError:
            return ""
        lines = data.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def detach(self) -> None:
        """Leave it as it is, for whoever comes after us."""
        self._waiting.cancel()
        self._watcher.remove(self.folder.output)
        self.output.close()
        self._lease.release()

    async def close(self, *, politely: bool) -> None:
        """End it, and wait until all of it is gone. Its folder stays."""
        if self.idle is not None:
            self.idle.cancel()
            self.idle = None
        if politely and self.is_alive:
            self.folder.ask_to_leave()
            await asyncio.wait({self._waiting}, timeout=LEAVE_GRACE)
        await self.place.stop(0)
        await self._waiting
        self._watcher.remove(self.folder.output)
        self.output.close()
        self._lease.release(remove=True)
