"""The worker behind `run-agent`: it takes over what a dead worker left, claims what waits, and
drives each run in a task of its own. Whatever a task does is a row that another worker could
take over; sandboxes that stay warm are the only thing kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.agent.conversation import TooMuch, converse
from pynchy_cli.agent.directives import system_prompt
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.recovery import Recovery
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.agent.turn import RunLost, Turn
from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseFull,
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

Lane = tuple[str, str]
RECHECK = 10.0
"""Seconds after which an unusable runtime is looked at again."""


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
        self._warm: dict[Lane, Live] = {}
        self._driving: dict[Lane, asyncio.Task[Turn]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._unsettled: list[Callable[[], None]] = []
        self._stopping = False
        watch_locks(context.watcher, context.home.locks, context.wake)

    def drain(self) -> int:
        """Take over what the dead left, and start all that may start now."""
        started = self.recovery.drain()
        while self._unsettled:
            with contextlib.suppress(RunLost):
                self._unsettled[0]()
            self._unsettled.pop(0)
            started += 1
        if self._stopping:
            return started
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
        return bool(self._driving or self._closing or self.recovery.is_busy())

    async def stop(self) -> None:
        """Give the working agents their grace, then put their runs back; close the rest."""
        self._stopping = True
        for lane in list(self._warm):
            self._close(self._warm.pop(lane))
        if self._driving:
            grace = self.context.settings.sandbox.stop_grace
            self.context.log.info("waiting for agents", runs=len(self._driving), seconds=grace)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(set(self._driving.values()), timeout=grace)
        working = list(self._driving.values())
        for task in working:
            task.cancel()
        await asyncio.gather(*working, *self._closing, return_exceptions=True)

    def _claim(self) -> Run | None:
        store, limit = self.context.store, self.context.settings.queue.max_concurrent
        if not runs.is_any_due(store.db, clock.now()):
            return None
        with store.atomic() as db:
            return runs.claim(db, self.context.owner, limit, clock.now())

    def _drive(self, run: Run) -> None:
        lane = (run.group_folder, run.lane)
        task = self.context.spawn(self.drive(run), f"run {run.id}")
        self._driving[lane] = task
        task.add_done_callback(lambda _: self._driven(lane))

    def _driven(self, lane: Lane) -> None:
        self._driving.pop(lane, None)
        self.context.wake()

    async def drive(self, run: Run, heard: Callable[[protocol.Record], None] | None = None) -> Turn:
        """Bring one run that is ours to an end, whatever happens; how it went is in its row."""
        store = self.context.store
        session = sessions.get(store.db, run.group_folder, run.lane)
        turn = Turn(store, self.context.settings.queue, run, session, heard)
        live: Live | None = None
        settled = False
        try:
            group = groups.get(store.db, run.group_folder)
            prompt = self._prompt(group, run)
            if prompt is None:
                turn.skip()
                settled = True
                return turn
            live, is_cold = await self._live(group, run, prompt)
            turn.session = live.session
            await converse(live, turn, self.context.settings.sandbox, is_cold=is_cold)
            settled = True
            self._keep(live)
        except asyncio.CancelledError:
            settled = True
            await self._drop(live, lambda: turn.give_back("pynchy was stopped"))
            raise
        except RunLost as lost:
            settled = True
            self.context.log.warning("run lost", run=run.id, reason=str(lost))
            await self._drop(live, None)
        except (SandboxDied, SandboxUnavailable, GatewayUnavailable) as error:
            settled = True
            words, retry = str(error), not isinstance(error, TooMuch)
            self.context.log.warning("turn failed", run=run.id, error=words)
            await self._drop(live, lambda: turn.fail(words, retry=retry))
        finally:
            if not settled:
                await self._drop(live, lambda: turn.fail("pynchy itself failed; its log says why"))
        return turn

    def _prompt(self, group: Group, run: Run) -> str | None:
        """What the agent is told, or None where nobody said anything to it."""
        if run.prompt is not None:
            return run.prompt
        since = min(run.first_seq - 1, group.answered_seq)
        heard = messages.for_agent(self.context.store.db, group.folder, since, run.last_seq)
        return transcript.prompt(heard) if heard else None

    async def _live(self, group: Group, run: Run, prompt: str) -> tuple[Live, bool]:
        """The lane's warm sandbox, told of the turn, or a new one."""
        settings, store = self.context.settings, self.context.store
        live = self._warm.pop((run.group_folder, run.lane), None)
        session = sessions.get(store.db, run.group_folder, run.lane)
        if live is not None:
            if live.idle is not None:
                live.idle.cancel()
                live.idle = None
            if live.is_alive and live.session.generation == session.generation:
                live.tell(protocol.FollowUp(turn=run.turn, prompt=prompt))
                return live, False
            await self.sandboxes.close(live, politely=False)
        document = protocol.RunInput(
            turn=run.turn,
            prompt=prompt,
            core=settings.agent.core,
            session_id=session.session_id if run.kind == "chat" else None,
            model=settings.agent.model or None,
            system_prompt=system_prompt(self.context.home, group, settings.agent.name),
            stay=self._stays(run),
        )
        return await self.sandboxes.open(group, run.lane, document), True

    def _stays(self, run: Run) -> bool:
        sandbox = self.context.settings.sandbox
        return bool(
            run.kind == "chat"
            and not self.context.once
            and sandbox.idle_timeout > 0
            and sandbox.max_warm > 0
        )

    def _keep(self, live: Live) -> None:
        """Keep the sandbox warm for the lane's next turn, or let it go."""
        sandbox = self.context.settings.sandbox
        run_lane = (live.session.group_folder, live.session.lane)
        is_chat = live.session.lane == "chat"
        if self._stopping or self.context.once or not is_chat or not sandbox.idle_timeout:
            self._close(live)
            return
        self._warm[run_lane] = live
        live.idle = asyncio.get_running_loop().call_later(
            sandbox.idle_timeout, self._cool, run_lane, live
        )
        live.ended.add_done_callback(lambda _: self._cool(run_lane, live))
        while len(self._warm) > sandbox.max_warm:
            oldest = next(iter(self._warm))
            self._close(self._warm.pop(oldest))

    def _cool(self, lane: Lane, live: Live) -> None:
        """A warm sandbox's time is over, or it ended by itself."""
        if self._warm.get(lane) is live:
            self._close(self._warm.pop(lane))

    def _close(self, live: Live) -> None:
        task = self.context.spawn(
            self.sandboxes.close(live, politely=True), f"end {live.session.sandbox}"
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _drop(self, live: Live | None, settle: Callable[[], None] | None) -> None:
        """End a sandbox that can't be used any more, and settle its run: first the row, so that
        nobody waits for the sandbox to go."""
        try:
            if settle is not None:
                self._settle(settle)
        finally:
            if live is not None:
                await asyncio.shield(self.sandboxes.close(live, politely=False))

    def _settle(self, settle: Callable[[], None]) -> None:
        """Settle a run now, or as soon as the database can be written again."""
        try:
            settle()
        except RunLost:
            return
        except (DatabaseBusy, DatabaseFull) as error:
            self.context.log.error("a run can't be settled yet", error=str(error))
            self._unsettled.append(settle)
