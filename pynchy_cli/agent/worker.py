"""The worker behind `run-agent`: it takes over what a dead worker left, claims what waits, and
drives each run in a task of its own. Whatever a task does is a row that another worker could
take over; sandboxes that stay warm are the only thing kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.agent.conversation import TooMuch, converse
from pynchy_cli.agent.directives import system_prompt
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.recovery import Recovery
from pynchy_cli.agent.sandboxes import Sandboxes
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
from pynchy_cli.routing import transcript
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.store import groups, messages, runs, sessions
from pynchy_cli.watch import watch_locks


class Worker:
    """A stage: runs agents for the file's groups."""

    def __init__(
        self, context: Context, runtime: Runtime, sandboxes: Sandboxes, concurrency: int
    ) -> None:
        self.context = context
        self.runtime = runtime
        self.sandboxes = sandboxes
        self.concurrency = concurrency
        self.recovery = Recovery(context)
        self.warm = Warm(context, sandboxes)
        self._driving: set[asyncio.Task[Turn]] = set()
        self._unsettled: list[Callable[[], None]] = []
        self._stopping = False
        watch_locks(context.watcher, context.home.locks, context.wake)

    def drain(self) -> int:
        """Take over what the dead left, and start all that may start now."""
        started = self.recovery.drain() + self._settle_rest() + self.sandboxes.settle()
        if self._stopping:
            return started
        self.warm.sweep()
        while len(self._driving) < self.concurrency and (run := self._claim()) is not None:
            self._drive(run)
            started += 1
        return started

    def deadline(self) -> float | None:
        """Seconds until a run that was put off may start."""
        now = clock.now()
        due = runs.next_due(self.context.store.db, now)
        if due is None or len(self._driving) >= self.concurrency:
            return None
        return clock.seconds_between(now, due)

    def is_busy(self) -> bool:
        """Whether runs, recoveries or endings are in hand."""
        return bool(self._driving or self.warm.is_busy() or self.recovery.is_busy())

    async def stop(self) -> None:
        """Give the working agents their grace, then put their runs back; close the rest."""
        self._stopping = True
        self.warm.stop()
        if self._driving:
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
        self._settle_rest()

    def _claim(self) -> Run | None:
        store, limit = self.context.store, self.context.settings.queue.max_concurrent
        if not runs.is_any_due(store.db, clock.now()):
            return None
        with store.atomic() as db:
            return runs.claim(db, self.context.owner, limit, clock.now())

    def _drive(self, run: Run) -> None:
        task = self.context.spawn(self.drive(run), f"run {run.id}")
        self._driving.add(task)
        task.add_done_callback(self._driving.discard)

    async def drive(self, run: Run, heard: Callable[[protocol.Record], None] | None = None) -> Turn:
        """Bring one run that is ours to an end, whatever happens; how it went is in its row."""
        store = self.context.store
        blank = sessions.none(run.group_folder, run.lane)
        turn = Turn(store, self.context.settings.queue, run, blank, heard)
        live: Live | None = None
        settled = False
        began = time.monotonic()
        try:
            group = groups.get(store.db, run.group_folder)
            prompt = self._prompt(group, run)
            if prompt is None:
                turn.skip()
                settled = True
                return turn
            live = self.warm.told(run, prompt)
            if live is not None and not await self._conversed(live, turn):
                live = None
            if live is None:
                live = await self._opened(group, run, prompt)
                turn.session = live.session
                await converse(live, turn, self.context.settings.sandbox, is_cold=True)
            settled = True
            self._tell(turn, time.monotonic() - began)
            self.warm.keep(live)
        except asyncio.CancelledError:
            settled = True
            await self._drop(live, lambda: turn.give_back("pynchy was stopped"))
            raise
        except (RunLost, DatabaseReplaced) as lost:
            settled = True
            self.context.log.warning("run lost", run=run.id, reason=str(lost))
            await self._drop(live, None)
        except (SandboxDied, SandboxUnavailable, GatewayUnavailable) as error:
            settled = True
            words, retry = str(error), not isinstance(error, TooMuch)
            self.context.log.warning("turn failed", run=run.id, error=words)
            await self._drop(live, lambda: turn.fail(words, retry=retry))
        except (DatabaseBusy, DatabaseFull) as error:
            settled = True
            words = str(error)
            self.context.log.warning("turn put back", run=run.id, error=words)
            await self._drop(live, lambda: turn.give_back(words))
        finally:
            if not settled:
                await self._drop(live, lambda: turn.fail("pynchy itself failed; its log says why"))
        return turn

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

    def _prompt(self, group: Group, run: Run) -> str | None:
        """What the agent is told, or None where nobody said anything to it."""
        if run.prompt is not None:
            return run.prompt
        since = min(run.first_seq - 1, group.answered_seq)
        heard = messages.for_agent(self.context.store.db, group.folder, since, run.last_seq)
        return transcript.prompt(heard) if heard else None

    async def _conversed(self, live: Live, turn: Turn) -> bool:
        """A warm sandbox's turn; False where it went before it took the turn up."""
        turn.session = live.session
        try:
            await converse(live, turn, self.context.settings.sandbox, is_cold=False)
        except SandboxDied:
            if turn.has_begun or live.is_alive:
                raise
            self.context.log.info("a warm sandbox had gone", sandbox=live.session.sandbox)
            self.warm.close(live, politely=False)
            return False
        return True

    async def _opened(self, group: Group, run: Run, prompt: str) -> Live:
        """A new sandbox, at work on the turn, once no other of the lane is left."""
        settings = self.context.settings
        lane = (run.group_folder, run.lane)
        while left := [*self.warm.leaving(lane), *self.recovery.settling(lane)]:
            await asyncio.wait(left)
        known = sessions.get(self.context.store.db, *lane)
        document = protocol.RunInput(
            turn=run.turn,
            prompt=prompt,
            core=settings.agent.core,
            session_id=known.session_id if run.kind == "chat" else None,
            model=settings.agent.model or None,
            system_prompt=system_prompt(self.context.home, group, settings.agent.name),
            stay=self._stays(run),
        )
        return await self.sandboxes.open(group, run.lane, document)

    def _stays(self, run: Run) -> bool:
        sandbox = self.context.settings.sandbox
        return bool(
            run.kind == "chat"
            and not self.context.once
            and sandbox.idle_timeout > 0
            and sandbox.max_warm > 0
        )

    async def _drop(self, live: Live | None, settle: Callable[[], None] | None) -> None:
        """End a sandbox that can't be used any more, and settle its run: first the row, so that
        nobody waits for the sandbox to go."""
        try:
            if settle is not None:
                self._settle(settle)
        finally:
            if live is not None:
                await asyncio.wait({self.warm.close(live, politely=False)})

    def _settle(self, settle: Callable[[], None]) -> None:
        """Settle a run now, or as soon as the database can be written again."""
        try:
            settle()
        except (RunLost, DatabaseReplaced):
            return
        except (DatabaseBusy, DatabaseFull) as error:
            self.context.log.error("a run can't be settled yet", error=str(error))
            self._unsettled.append(settle)

    def _settle_rest(self) -> int:
        """Settle what couldn't be before; how many. Raises DatabaseBusy, DatabaseFull."""
        count = len(self._unsettled)
        while self._unsettled:
            with contextlib.suppress(RunLost, DatabaseReplaced):
                self._unsettled[0]()
            del self._unsettled[0]
        return count
