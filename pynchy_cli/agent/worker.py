"""The worker behind `run-agent`: it takes over what a dead worker left, claims what waits, and
drives each run in a task of its own. Whatever a task does is a row that another worker could
take over; sandboxes that stay warm are the only thing kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.agent.adoption import Adoption, may_outlive
from pynchy_cli.agent.at_work import AtWork
from pynchy_cli.agent.conversation import TooMuch
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.recovery import Recovery
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.agent.settlement import Settlement
from pynchy_cli.agent.talks import Talks
from pynchy_cli.agent.turn import RunLost, Turn
from pynchy_cli.agent.warm import Warm
from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseFull,
    DatabaseReplaced,
    GatewayUnavailable,
    SandboxDied,
    SandboxUnavailable,
)
from pynchy_cli.loop import Context
from pynchy_cli.model import Group, Run
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.store import runs, sessions
from pynchy_cli.watch import watch_locks


class Worker:
    """A stage: runs agents for the file's groups."""

    def __init__(
        self,
        context: Context,
        runtime: Runtime,
        sandboxes: Sandboxes,
        concurrency: int,
        offer: Callable[[Group, str], protocol.Offer],
    ) -> None:
        self.context = context
        self.runtime = runtime
        self.sandboxes = sandboxes
        self.concurrency = concurrency
        self.warm = Warm(context, sandboxes)
        self.at_work = AtWork(context, self.warm.is_current)
        self.recovery = Recovery(
            context, runtime, Adoption(context, runtime, sandboxes, self._adopted)
        )
        self._driving: set[asyncio.Task[Turn]] = set()
        self._settlement = Settlement(context)
        self._talks = Talks(context, sandboxes, self.warm, self.at_work, self.recovery, offer)
        self._stopping = False
        watch_locks(context.watcher, context.home.locks, context.wake)

    def drain(self) -> int:
        """Take over what the dead left, and start all that may start now."""
        started = self.recovery.drain() + self._settlement.rest() + self.sandboxes.settle()
        if self._stopping:
            return started
        started += self.at_work.drain()
        self.warm.sweep()
        return started + self._start()

    def drain_own(self) -> int:
        """Tell the agents at work what came, and start only what they handed on."""
        return self.at_work.drain() + self._start(is_for_own=True)

    def _start(self, *, is_for_own: bool = False) -> int:
        started = 0
        while self._has_room() and (run := self._claim(is_for_own=is_for_own)) is not None:
            self._driven(self.drive(run), run)
            started += 1
        return started

    def _has_room(self) -> bool:
        """Whether one more run may be at work here; those that wait for another don't count."""
        over = len(self._driving) - self.concurrency
        return over < 0 or over < runs.yielding(self.context.store.db, self.context.owner)

    def _is_any_busy(self) -> bool:
        """Whether some run does more than wait for a person, whose answer may take hours."""
        return len(self._driving) > runs.yielding(self.context.store.db, self.context.owner)

    def deadline(self) -> float | None:
        """Seconds until a run that was put off may start."""
        now = clock.now()
        due = runs.next_due(self.context.store.db, now)
        if due is None or not self._has_room():
            return None
        return clock.seconds_between(now, due)

    def is_busy(self) -> bool:
        """Whether runs, recoveries or endings are in hand."""
        return bool(self._driving or self.warm.is_busy() or self.recovery.is_busy())

    async def stop(self) -> None:
        """Give the working agents their grace, then put their runs back; close the rest."""
        self._stopping = True
        self.warm.stop()
        if self._is_any_busy() and not self.runtime.outlives_worker:
            grace = self.context.settings.sandbox.stop_grace
            self.context.log.info("waiting for agents", runs=len(self._driving), seconds=grace)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(set(self._driving), timeout=grace)
        working = list(self._driving)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await self.warm.gone()
        await self.sandboxes.stop()
        self._settlement.rest()

    def _claim(self, *, is_for_own: bool) -> Run | None:
        store, limit = self.context.store, self.context.settings.queue.max_concurrent
        if not runs.is_any_due(store.db, clock.now()):
            return None
        with store.atomic() as db:
            now = clock.now()
            return runs.claim(db, self.context.owner, limit, now, is_for_own=is_for_own)

    def _driven(self, work: Coroutine[Any, Any, Turn], run: Run) -> None:
        task = self.context.spawn(work, f"run {run.id}")
        self._driving.add(task)
        task.add_done_callback(self._driving.discard)

    async def drive(self, run: Run, heard: Callable[[protocol.Record], None] | None = None) -> Turn:
        """Bring one run that is ours to an end, whatever happens; how it went is in its row."""
        blank = sessions.none(run.group_folder, run.lane)
        turn = Turn(self.context.store, self.context.settings.queue, run, blank, heard)
        return await self._brought(turn, self._talks.begin)

    async def _brought(self, turn: Turn, talk: Callable[[Turn], Awaitable[None]]) -> Turn:
        """Have the talk, and settle its run and its sandbox by how it went."""
        settled = False
        began = time.monotonic()
        self.at_work.begin(turn)
        try:
            await talk(turn)
            settled = True
            self._tell(turn, time.monotonic() - began)
            if (live := self.at_work.sandbox(turn)) is not None:
                self.warm.keep(live)
        except asyncio.CancelledError:
            settled = True
            if not self._left_at_work(turn):
                await self._drop(turn, lambda: turn.give_back("pynchy was stopped"))
            raise
        except (RunLost, DatabaseReplaced) as lost:
            settled = True
            self.context.log.warning("run lost", run=turn.run.id, reason=str(lost))
            await self._drop(turn, None)
        except (SandboxDied, SandboxUnavailable, GatewayUnavailable) as error:
            settled = True
            words, retry = str(error), not isinstance(error, TooMuch)
            self.context.log.warning("turn failed", run=turn.run.id, error=words)
            await self._drop(turn, lambda: turn.fail(words, retry=retry))
        except (DatabaseBusy, DatabaseFull) as error:
            settled = True
            words = str(error)
            self.context.log.warning("turn put back", run=turn.run.id, error=words)
            await self._drop(turn, lambda: turn.give_back(words))
        finally:
            if not settled:
                await self._drop(turn, lambda: turn.fail("pynchy itself failed; its log says why"))
            self.at_work.end(turn)
        return turn

    def _adopted(self, live: Live, turn: Turn | None) -> None:
        """A sandbox that outlived its worker is ours now, with the turn at work in it."""
        if turn is None:
            self.warm.keep(live)
            return
        taken = turn

        async def talk(turn: Turn) -> None:
            await self._talks.go_on(live, turn)

        self._driven(self._brought(taken, talk), taken.run)

    def _left_at_work(self, turn: Turn) -> bool:
        """When we stop, a sandbox that needs no worker goes on; the next one takes it over."""
        live = self.at_work.sandbox(turn)
        is_left = (
            self._stopping
            and self.runtime.outlives_worker
            and may_outlive(turn.run.lane)
            and not self.context.once
            and live is not None
            and live.is_alive
        )
        if is_left and live is not None:
            self.context.log.info("left at work", sandbox=live.session.sandbox, run=turn.run.id)
            live.detach()
        return is_left

    def _tell(self, turn: Turn, seconds: float) -> None:
        """Log how an attempt ended; a person who looks on sees each answer."""
        run, log = turn.run, self.context.log
        facts = {"run": run.id, "group": run.group_folder, "seconds": round(seconds, 2)}
        if turn.ended is not None and turn.ended.error is not None:
            log.warning("turn failed", **facts, error=turn.ended.error)
        elif self.context.once:
            log.debug("answered", **facts)
        else:
            log.info("answered", **facts)

    async def _drop(self, turn: Turn, settle: Callable[[], None] | None) -> None:
        """End a sandbox that can't be used any more, and settle its run: first the row, so that
        nobody waits for the sandbox to go."""
        try:
            if settle is not None:
                self._settlement.settle(settle)
        finally:
            if (live := self.at_work.sandbox(turn)) is not None:
                await asyncio.wait({self.warm.close(live, politely=False)})
