"""A sandbox that outlived its worker: its next worker takes it as it is and hears the turn to its
end. A turn that it never heard of goes back to the queue, and the sandbox stays warm for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container
from dataclasses import replace
from typing import TypeVar

from pynchy_cli import locks
from pynchy_cli.agent import earlier
from pynchy_cli.agent.folder import SessionFolder
from pynchy_cli.agent.identity import labels, lease_path
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.agent.turn import RunLost, Turn
from pynchy_cli.errors import GatewayUnavailable, SandboxUnavailable
from pynchy_cli.loop import Context
from pynchy_cli.model import TASK_LANE, Run, Session, is_conversation
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.store import sessions

T = TypeVar("T")
PAUSE = 1.0
"""Seconds between questions to a runtime that doesn't answer."""

Taken = Callable[[Live, Turn | None], None]


def may_outlive(lane: str) -> bool:
    """Whether a lane's turn goes on without its worker: neither a shell nor another agent waits
    for it there."""
    return is_conversation(lane) or lane.startswith(TASK_LANE)


class Adoption:
    """Takes over live sandboxes for one worker; `taken` gets each, with the turn that is at work
    in it."""

    def __init__(self, context: Context, runtime: Runtime, sandboxes: Sandboxes, taken: Taken):
        self.context = context
        self.runtime = runtime
        self.sandboxes = sandboxes
        self._taken = taken

    async def tried(self, session: Session, run: Run | None) -> bool:
        """Whether the session's sandbox lives, and is ours now with its run, already claimed.

        Waits as long as the runtime can't tell. Raises DatabaseBusy, DatabaseFull.
        """
        if not self.runtime.outlives_worker or not may_outlive(session.lane):
            return False
        if not await self._patiently(lambda: self.runtime.alive(labels(self.context, session))):
            return False
        try:
            live = await self._live(session)
        except (SandboxUnavailable, GatewayUnavailable, OSError) as error:
            name = session.sandbox
            self.context.log.warning("can't be taken over", sandbox=name, error=str(error))
            return False
        if live is None:
            return False
        try:
            turn = await self._turn(live, run) if run is not None else None
        except BaseException:
            live.detach()
            raise
        self.context.log.info("took over", sandbox=session.sandbox, run=run and run.id)
        self.sandboxes.disk.watch(live)
        self._taken(live, turn)
        return True

    async def end(self, session: Session) -> None:
        """End what there is of a sandbox in which nobody goes on: it doesn't follow its worker.
        Waits as long as the runtime can't be asked."""
        if not self.runtime.outlives_worker:
            return
        folder = self.context.home.session(session.group_folder, str(session.folder))
        place = await self._patiently(
            lambda: self.runtime.adopt(labels(self.context, session), folder / "stderr")
        )
        if place is not None:
            await place.stop(0)

    async def sweep(self) -> None:
        """Have the runtime remove what it has of this home and no session knows."""
        known = _Known(self.context)
        home = self.context.home.id
        for name in await self._patiently(lambda: self.runtime.sweep(home, known)):
            self.context.log.warning("removed an orphan", sandbox=name)

    async def gone(self, session: Session) -> bool:
        """Whether the runtime is done with the session's sandbox, as far as no lease tells;
        raises nothing, and doesn't wait."""
        try:
            return not await self.runtime.alive(labels(self.context, session))
        except SandboxUnavailable:
            return False

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        told = False
        while True:
            try:
                return await ask()
            except SandboxUnavailable as error:
                if not told:
                    self.context.log.warning("the runtime can't be asked", error=str(error))
                told = True
                await asyncio.sleep(PAUSE)

    async def _live(self, session: Session) -> Live | None:
        home = self.context.home
        folder = SessionFolder(home.session(session.group_folder, str(session.folder)))
        folder.count()
        lease = locks.take(lease_path(home, str(session.folder)), shared=True)
        if lease is None:
            return None
        try:
            log = folder.path / "stderr"
            place = await self.runtime.adopt(labels(self.context, session), log)
            if place is None:
                lease.release()
                return None
            await self.sandboxes.connect(session)
            # Who takes it over must not take it for the conversation that began since.
            forgotten = sessions.is_forgotten(self.context.store.db, session)
            known = replace(session, generation=-1) if forgotten else session
            return Live(known, folder, place, lease, log, self.context.watcher)
        except BaseException:
            lease.release()
            raise

    async def _turn(self, live: Live, run: Run) -> Turn | None:
        """The run's turn in the sandbox; None where it was never told of it."""
        context = self.context
        turn = Turn(context.store, context.settings.queue, run, live.session)
        if live.folder.holds(run.turn):
            offset = live.session.output_offset
            turn.resume(await earlier.said(live.folder.output, run.turn, offset))
            return turn
        try:
            turn.give_back("its worker died before the agent was asked")
        except RunLost as error:
            context.log.warning("run lost", run=run.id, reason=str(error))
        return None


class _Known(Container[str]):
    """The session folders that there are rows of, as of each question."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __contains__(self, folder: object) -> bool:
        return any(one.folder == folder for one in sessions.live(self._context.store.db))
