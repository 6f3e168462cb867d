"""What a dead worker left: its runs and sandboxes become ours in one transaction; then, once
the sandbox is gone, what its log still holds is stored. A turn whose end is in there is
finished, not repeated; any other goes back without costing an attempt."""

from __future__ import annotations

import asyncio
import os
import time

from pynchy_cli import locks
from pynchy_cli.agent.folder import BadLog, OutputLog, SessionFolder
from pynchy_cli.agent.sandboxes import lease_path
from pynchy_cli.agent.turn import RunLost, Turn
from pynchy_cli.loop import Context
from pynchy_cli.model import Run, Session
from pynchy_cli.store import processes, runs, sessions

DEATH_WAIT = 20.0
"""Seconds in which a sandbox must have followed its worker."""
STEP = 0.02


class Recovery:
    """Takes over for one worker."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._swept = False

    def is_busy(self) -> bool:
        """Whether something that was taken over is not settled yet."""
        return bool(self._tasks)

    def drain(self) -> int:
        """Take over from every owner that is dead; how many there were."""
        if not self._swept:
            self._swept = True
            self._sweep_folders()
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
        self.context.log.warning(
            "took over from a dead worker", owner=dead, runs=len(orphans), sandboxes=len(left)
        )
        lanes = {(run.group_folder, run.lane): run for run in orphans}
        for session in left:
            run = lanes.pop((session.group_folder, session.lane), None)
            task = self.context.spawn(self._settle(session, run), f"settle {session.sandbox}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for run in lanes.values():
            self._turn(run, None).give_back("its worker died")

    async def _settle(self, session: Session, run: Run | None) -> None:
        """Wait for the sandbox to be gone, store what it left, and forget it."""
        gone = await self._gone(session)
        if not gone:
            self.context.log.error("a sandbox outlives its worker", sandbox=session.sandbox)
        if run is not None:
            self._finish(session, run)
        with self.context.store.atomic() as db:
            sessions.end(db, session)
        if gone and session.folder:
            self._folder(session).remove()

    def _finish(self, session: Session, run: Run) -> None:
        turn = self._turn(run, session)
        turn.resume()
        log = OutputLog(self._folder(session).output, session.output_offset)
        try:
            while (piece := log.read())[0]:
                if piece[1] and turn.take(piece[1]) is not None:
                    return
            turn.give_back("its worker died")
        except (BadLog, FileNotFoundError):
            turn.give_back("its worker died")
        except RunLost:
            return
        finally:
            log.close()

    async def _gone(self, session: Session) -> bool:
        lease = lease_path(self.context.home, str(session.folder))
        until = time.monotonic() + DEATH_WAIT
        while locks.is_held(lease):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(STEP)
        lease.unlink(missing_ok=True)
        return True

    def _turn(self, run: Run, session: Session | None) -> Turn:
        store = self.context.store
        known = session or sessions.get(store.db, run.group_folder, run.lane)
        return Turn(store, self.context.settings.queue, run, known)

    def _folder(self, session: Session) -> SessionFolder:
        return SessionFolder(self.context.home.session(session.group_folder, str(session.folder)))

    def _sweep_folders(self) -> None:
        """Remove the folders of sandboxes that nobody knows and that hold no lease: their
        maker died before there was a row, or after it was gone."""
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
                    SessionFolder(self.context.home.session(group.name, entry.name)).remove()

    def _may_be_young(self, name: str) -> bool:
        """Whether its maker, whose number is in the name, still lives."""
        owner = name.removeprefix("s").partition("-")[0]
        return owner.isdigit() and not self._is_dead(int(owner))
