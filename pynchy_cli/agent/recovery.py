"""What a dead worker left: its runs and sandboxes become ours in one transaction; then, once
the sandbox is gone, what its log still holds is stored. A turn whose end is in there is
finished, not repeated; any other goes back without costing an attempt."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from pynchy_cli import locks
from pynchy_cli.agent import earlier
from pynchy_cli.agent.adoption import Adoption
from pynchy_cli.agent.conversation import PAUSE
from pynchy_cli.agent.folder import BadLog, OutputLog, SessionFolder
from pynchy_cli.agent.identity import lease_path
from pynchy_cli.agent.turn import RunLost, Turn
from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseFull,
    DatabaseReplaced,
)
from pynchy_cli.loop import Context
from pynchy_cli.model import Run, Session
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.store import processes, runs, sessions

T = TypeVar("T")
DEATH_WAIT = 20.0
"""Seconds in which a sandbox must have followed its worker."""
STEP = 0.02


class Recovery:
    """Takes over for one worker."""

    def __init__(self, context: Context, runtime: Runtime, adoption: Adoption) -> None:
        self.context = context
        self.runtime = runtime
        self.adoption = adoption
        self._tasks: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._swept = False
        self._sweeping: asyncio.Task[None] | None = None

    def is_busy(self) -> bool:
        """Whether something that was taken over is not settled yet, or left to be removed."""
        return bool(self._tasks) or not (self._sweeping is None or self._sweeping.done())

    def settling(self, lane: tuple[str, str]) -> list[asyncio.Task[None]]:
        """What must end before the lane is free of what a dead worker left."""
        return [task for task, where in self._tasks.items() if where == lane]

    def drain(self) -> int:
        """Take over from every owner that is dead; how many there were."""
        if not self._swept:
            self._swept = True
            if left := list(self._left_folders()):
                self._sweeping = self.context.spawn(_removed(left), "sweep folders")
            if self.runtime.outlives_worker:
                self.context.spawn(self.adoption.sweep(), "sweep sandboxes")
        dead = [owner for owner in runs.owners(self.context.store.db) if self._is_dead(owner)]
        for owner in dead:
            self._take_over(owner)
        return len(dead)

    def _is_dead(self, owner: int) -> bool:
        if owner == self.context.owner:
            return False
        return not locks.is_held(processes.owner_lock(self.context.home.locks, owner))

    def _take_over(self, dead: int) -> None:
        with self.context.store.atomic() as db:
            left = sessions.adopt(db, dead, self.context.owner)
            orphans = runs.adopt(db, dead, self.context.owner)
        if not (left or orphans):
            return  # somebody else was first
        self.context.log.warning(
            "took over from a dead worker", owner=dead, runs=len(orphans), sandboxes=len(left)
        )
        lanes: dict[tuple[str, str], tuple[Session | None, Run | None]] = {}
        for run in orphans:
            lanes[run.group_folder, run.lane] = (None, run)
        for session in left:
            lane = (session.group_folder, session.lane)
            lanes[lane] = (session, lanes.get(lane, (None, None))[1])
        for lane, (sandbox, work) in lanes.items():
            task = self.context.spawn(self._settle(sandbox, work), f"settle {'/'.join(lane)}")
            self._tasks[task] = lane
            task.add_done_callback(self._tasks.pop)

    async def _settle(self, session: Session | None, run: Run | None) -> None:
        """Bring both to an end, whatever happens: nobody else looks after these rows as long as
        we live."""
        settled = False
        try:
            await self._settled(session, run)
            settled = True
        except asyncio.CancelledError:
            settled = True  # whoever comes next takes over from us
            raise
        except DatabaseReplaced:
            settled = True  # whoever has the file that is there now finds what it tells
        finally:
            if not settled:
                await self._written(partial(self._give_up, session, run))

    async def _settled(self, session: Session | None, run: Run | None) -> None:
        """Wait for the sandbox to be gone, store what it left, and forget it."""
        gone = True
        if session is not None:
            if await self._written(partial(self.adoption.tried, session, run)):
                return
            await self.adoption.end(session)
            gone = await self._gone(session)
            if not gone:
                self.context.log.error("a sandbox outlives its worker", sandbox=session.sandbox)
        if run is not None:
            folder = None if session is None else session.folder
            await self._written(partial(self._finish, run, folder))
        if session is not None:
            await self._written(partial(self._end, session))
            if gone and session.folder:
                await asyncio.to_thread(self._folder(session).remove)

    async def _written(self, step: Callable[[], Awaitable[T]]) -> T:
        """The step, as soon as the database can be written."""
        while True:
            try:
                return await step()
            except (DatabaseBusy, DatabaseFull):
                await asyncio.sleep(PAUSE)

    async def _end(self, session: Session) -> None:
        with self.context.store.atomic() as db:
            sessions.end(db, session)

    async def _give_up(self, session: Session | None, run: Run | None) -> None:
        """What we failed at ourselves counts as an attempt. What there may still be of the
        sandbox is an orphan now."""
        if run is not None:
            known = sessions.get(self.context.store.db, run.group_folder, run.lane)
            turn = Turn(self.context.store, self.context.settings.queue, run, known)
            with contextlib.suppress(RunLost):
                turn.fail("pynchy itself failed; its log says why")
        if session is not None:
            await self._end(session)
        self._swept = False

    async def _finish(self, run: Run, folder: str | None) -> None:
        store = self.context.store
        # Anew each time: a part may have been stored before the database was full.
        session = sessions.get(store.db, run.group_folder, run.lane)
        turn = Turn(store, self.context.settings.queue, run, session)
        with contextlib.suppress(RunLost):
            if folder is None or session.folder != folder or not await self._read(turn, session):
                turn.give_back("its worker died")

    async def _read(self, turn: Turn, session: Session) -> bool:
        """Store what the log holds; whether the end of the turn is in it."""
        output = self._folder(session).output
        turn.resume(await earlier.said(output, turn.run.turn, session.output_offset))
        log = OutputLog(output, session.output_offset)
        try:
            while (piece := log.read())[0]:
                if piece[1] and turn.take(piece[1]) is not None:
                    return True
                await asyncio.sleep(0)
        except (BadLog, OSError) as error:
            self.context.log.warning("a dead worker's log can't be read", error=str(error))
        finally:
            log.close()
        return False

    async def _gone(self, session: Session) -> bool:
        lease = lease_path(self.context.home, str(session.folder))
        until = time.monotonic() + DEATH_WAIT
        while locks.is_held(lease) or not await self.adoption.gone(session):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(STEP)
        lease.unlink(missing_ok=True)
        return True

    def _folder(self, session: Session) -> SessionFolder:
        return SessionFolder(self.context.home.session(session.group_folder, str(session.folder)))

    def _left_folders(self) -> Iterator[SessionFolder]:
        """The folders of sandboxes that nobody knows and that hold no lease: their maker died
        before there was a row, or after it was gone."""
        known = {session.folder for session in sessions.live(self.context.store.db)}
        ipc = self.context.home.ipc
        if not ipc.is_dir():
            return
        for group in os.scandir(ipc):
            if not group.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(group.path):
                if entry.name in known or self._may_be_young(entry.name):
                    continue
                lease = lease_path(self.context.home, entry.name)
                if not locks.is_held(lease):
                    lease.unlink(missing_ok=True)
                    yield SessionFolder(self.context.home.session(group.name, entry.name))

    def _may_be_young(self, name: str) -> bool:
        """Whether its maker, whose number is in the name, still lives."""
        owner = name[1:].partition("-")[0]
        return owner.isdigit() and not self._is_dead(int(owner))


async def _removed(folders: Iterable[SessionFolder]) -> None:
    """Remove what agents left, however much that is; nobody else is to wait for it."""
    for folder in folders:
        await asyncio.to_thread(folder.remove)
