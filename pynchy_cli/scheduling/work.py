"""The commands that firings run on the host: host jobs, and the conditions of tasks. Each is a
child process of this one, and a row says that it was begun before it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from pynchy_cli import clock, locks
from pynchy_cli.context import Context
from pynchy_cli.errors import DatabaseBusy, DatabaseFull
from pynchy_cli.host_command import GRACE, KILLED
from pynchy_cli.scheduling import leftovers, notices
from pynchy_cli.scheduling.commands import (
    Key,
    Place,
    Write,
    run_check,
    run_job,
    take_check,
    take_job,
)
from pynchy_cli.scheduling.firing import subject
from pynchy_cli.store import jobs, processes, tasks
from pynchy_cli.store.timetable import JOBS, TASKS

LAST = 10.0
"""Seconds in which ends are noted when we stop, where the database can't be written."""
PAUSE = 0.5
UNKNOWN = (
    "The host was interrupted in the middle of it. Whether it was done is not known; it is not "
    "begun again."
)


class Work:
    """The host's commands of one process."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._at_work: dict[Key, tuple[str, asyncio.Task[Write]]] = {}
        self._pids: dict[int, int] = {}
        self._stop = asyncio.Event()
        self._place = Place(context, self._stop, self._started)

    def drain(self) -> int:
        """Note what has begun and ended, settle what the dead have begun, and start what waits;
        how much was done."""
        self._note_pids()
        return self._note_ends() + self._take_over() + self._begin()

    def is_busy(self) -> bool:
        """Whether commands are at work, or their ends are to be noted."""
        return bool(self._at_work)

    async def stop(self) -> None:
        """End the commands at work, and note it. Cancelled, it gives them no time."""
        self._stop.set()
        running = [task for _, task in self._at_work.values()]
        if not running:
            return
        try:
            await asyncio.wait(running, timeout=GRACE + KILLED)
        except asyncio.CancelledError:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=KILLED)
        until = asyncio.get_running_loop().time() + LAST
        while asyncio.get_running_loop().time() < until:
            try:
                self._note_ends()
                return
            except (DatabaseBusy, DatabaseFull) as error:
                self.context.log.error("the ends of jobs can't be noted yet", error=str(error))
                await asyncio.sleep(PAUSE)

    def _started(self, key: Key, pid: int) -> None:
        if key.kind == "job":
            self._pids[key.firing] = pid
            self.context.wake()

    def _note_pids(self) -> None:
        if not self._pids:
            return
        with self.context.store.atomic() as db:
            for firing, pid in self._pids.items():
                jobs.started(db, firing, pid)
        self._pids.clear()

    def _note_ends(self) -> int:
        """Write how commands ended. They stay in hand for as long as that can't be written."""
        over = [(key, *one) for key, one in self._at_work.items() if one[1].done()]
        for key, name, task in over:
            if not task.cancelled() and task.exception() is None:
                self.context.attempt(name, partial(self._write, task.result()))
            del self._at_work[key]
        return len(over)

    def _write(self, write: Write) -> None:
        with self.context.store.atomic() as db:
            write(db)

    def _take_over(self) -> int:
        """Settle what a dead process, or we, have begun and do no more."""
        db, home = self.context.store.db, self.context.home.root
        lost = {
            Key("job", one.firing.id): one
            for one in jobs.begun(db)
            if self._is_lost(Key("job", one.firing.id), one.owner)
        }
        checks = {Key("check", id): owner for id, owner in tasks.begun(db)}
        unchecked = [key for key, owner in checks.items() if self._is_lost(key, owner)]
        if not lost and not unchecked:
            return 0
        leaders = {one.pid: one.started_at for one in lost.values() if one.pid and one.started_at}
        killed = leftovers.kill([key.mark(home) for key in (*lost, *unchecked)], leaders)
        with self.context.store.atomic() as db:
            for key, one in lost.items():
                jobs.end(db, key.firing, "unknown", clock.now(), reason=UNKNOWN)
                if (job := jobs.find(db, one.firing.of)) is not None:
                    notices.tell(db, job, one.firing, clock.now())
            for key in unchecked:
                tasks.put_back(db, key.firing)
        for key, one in lost.items():
            self.context.log.warning("job was interrupted", job=one.firing.of, firing=key.firing)
        if killed:
            self.context.log.warning("what was left of interrupted commands is ended", pids=killed)
        return len(lost) + len(unchecked)

    def _is_lost(self, key: Key, owner: int | None) -> bool:
        if key in self._at_work:
            return False
        lock = processes.owner_lock(self.context.home.locks, owner or 0)
        return not owner or owner == self.context.owner or not locks.is_held(lock)

    def _begin(self) -> int:
        """Take as many as may be at work, conditions first, and start those."""
        room = self.context.settings.scheduler.max_jobs - len(self._at_work)
        if room <= 0 or self._stop.is_set():
            return 0
        db = self.context.store.db
        blocked = {one.removeprefix(subject(TASKS, "")) for one in self.context.blocked()}
        checks = tasks.checking(db, room, blocked)
        waiting = jobs.waiting(db, room - len(checks))
        if not checks and not waiting:
            return 0
        owner, now = self.context.owner, clock.now()
        with self.context.store.atomic() as db:
            taken = [one for one in checks if take_check(db, *one, owner, now)]
            begun = [one for one in waiting if take_job(db, *one, owner, now)]
        for firing, task in taken:
            work = run_check(self._place, firing, task)
            self._spawn(Key("check", firing.id), subject(TASKS, task.id), work)
        for firing, job in begun:
            work = run_job(self._place, firing, job)
            self._spawn(Key("job", firing.id), subject(JOBS, job.id), work)
        return len(checks) + len(waiting)

    def _spawn(self, key: Key, name: str, work: Coroutine[Any, Any, Write]) -> None:
        self._at_work[key] = (name, self.context.spawn(work, f"{key.kind} {key.firing} of {name}"))
