"""Sandboxes that stay alive between turns, one for a lane, so that the next turn starts at once;
and the ends of those that don't. Nothing here is a row: what is lost with us, recovery finds."""

from __future__ import annotations

import asyncio
import contextlib

from agent_runner import protocol
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.config.tiers import limits_for
from pynchy_cli.errors import DatabaseBusy, DatabaseFull
from pynchy_cli.loop import Context
from pynchy_cli.model import Run, is_conversation
from pynchy_cli.store import sessions

Lane = tuple[str, str]
"""A group's folder and the lane's name."""


class Warm:
    """The warm sandboxes of one worker, those longest unused first."""

    def __init__(self, context: Context, sandboxes: Sandboxes) -> None:
        self.context = context
        self.sandboxes = sandboxes
        self._warm: dict[Lane, Live] = {}
        self._ending: dict[asyncio.Task[None], Lane] = {}
        self._stopping = False

    def told(self, run: Run, prompt: str) -> Live | None:
        """The lane's warm sandbox, told of the turn, where there is one that can be."""
        if (live := self._warm.pop((run.group_folder, run.lane), None)) is None:
            return None
        if live.idle is not None:
            live.idle.cancel()
            live.idle = None
        try:
            if live.is_alive and self.is_current(live):
                live.tell(protocol.FollowUp(turn=run.turn, prompt=prompt))
                return live
        except OSError as error:
            self.context.log.warning("a sandbox can't be told", run=run.id, error=str(error))
        self.close(live, politely=False)
        return None

    def keep(self, live: Live) -> None:
        """Keep a sandbox for its lane's next turn, or let it go."""
        lane = _lane(live)
        limits = limits_for(self.context.settings, lane[0])
        is_chat = is_conversation(lane[1])
        if self._stopping or self.context.once or not is_chat or not limits.idle_timeout:
            self.close(live)
            return
        self._warm[lane] = live
        live.idle = asyncio.get_running_loop().call_later(
            limits.idle_timeout, self._cool, lane, live
        )
        live.ended.add_done_callback(lambda _: self._cool(lane, live))
        self._keep_at_most(limits.max_warm)

    def _keep_at_most(self, most: int) -> None:
        """Let go of the longest unused where more are warm, those of all workers together."""
        store = self.context.store
        for one in sessions.surplus(store.db, most):
            lane = one.group_folder, one.lane
            if one.owner != self.context.owner:
                with contextlib.suppress(DatabaseBusy, DatabaseFull), store.atomic() as db:
                    sessions.let_go(db, *lane)
            elif lane in self._warm:
                self.close(self._warm.pop(lane))

    def close(self, live: Live, *, politely: bool = True) -> asyncio.Task[None]:
        """Have a sandbox end, and all that was made for it go; the task that does it."""
        ending = self.sandboxes.close(live, politely=politely)
        task = self.context.spawn(ending, f"end {live.session.sandbox}")
        self._ending[task] = _lane(live)
        task.add_done_callback(self._ending.pop)
        return task

    def sweep(self) -> None:
        """Let go of those whose conversation doesn't go on in them."""
        for lane in [lane for lane, live in self._warm.items() if not self.is_current(live)]:
            self.close(self._warm.pop(lane))

    def leaving(self, lane: Lane) -> list[asyncio.Task[None]]:
        """The ends in hand of a lane's sandboxes."""
        return [task for task, where in self._ending.items() if where == lane]

    def is_busy(self) -> bool:
        """Whether ends are in hand."""
        return bool(self._ending)

    def stop(self) -> None:
        """Let go of all, and keep none from now on."""
        self._stopping = True
        for lane in list(self._warm):
            self.close(self._warm.pop(lane))

    async def gone(self) -> None:
        """Wait for the ends in hand."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    def is_current(self, live: Live) -> bool:
        """Whether the lane's conversation still goes on in this sandbox: it was not forgotten,
        and its group is the same."""
        known, now = live.session, sessions.get(self.context.store.db, *_lane(live))
        return (known.folder, known.generation) == (now.folder, now.generation)

    def _cool(self, lane: Lane, live: Live) -> None:
        """A warm sandbox's time is over, or it ended by itself."""
        if self._warm.get(lane) is live:
            self.close(self._warm.pop(lane))


def _lane(live: Live) -> Lane:
    return live.session.group_folder, live.session.lane
