"""The turns at work, and what comes for them meanwhile: what was said since is handed to the
agent or waits, as the group's rules say, and a turn that somebody wants to end is ended. All of
it is rows first: what dies with us waits in the queue for whoever comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from agent_runner.protocol import Document, Interrupt, Steer
from pynchy_cli.agent import heard
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.turn import RunLost, Turn
from pynchy_cli.config.tiers import for_group
from pynchy_cli.loop import Context
from pynchy_cli.store import steering

PATIENCE = 10.0
"""Seconds in which an agent ends a turn that it is asked to end; then its sandbox is ended."""


@dataclass
class _Work:
    turn: Turn
    task: asyncio.Task[Turn] | None
    live: Live | None = None
    is_told_to_end: bool = False
    last_call: asyncio.TimerHandle | None = None


class AtWork:
    """The turns of one worker."""

    def __init__(
        self, context: Context, is_current: Callable[[Live], bool], patience: float = PATIENCE
    ) -> None:
        self.context = context
        self.patience = patience
        self._is_current = is_current
        self._works: dict[Turn, _Work] = {}

    def begin(self, turn: Turn) -> None:
        """A turn is about to be driven by the task that runs."""
        self._works[turn] = _Work(turn, asyncio.current_task())

    def live(self, turn: Turn, live: Live | None) -> None:
        """The sandbox in which the turn is under way, once it is told of it."""
        self._works[turn].live = live
        self.context.wake()

    def sandbox(self, turn: Turn) -> Live | None:
        """The sandbox in which the turn is under way."""
        return self._works[turn].live

    def end(self, turn: Turn) -> None:
        """The turn is over, or lost."""
        work = self._works.pop(turn)
        if work.last_call is not None:
            work.last_call.cancel()

    def drain(self) -> int:
        """Tell the agents what came; how many were told something."""
        told = sum(self._follow_up(work) for work in list(self._works.values()))
        asked = {run.turn for run in steering.asked(self.context.store.db, self.context.owner)}
        for work in list(self._works.values()) if asked else ():
            if work.turn.run.turn in asked:
                told += self._make_end(work)
        return told

    def _follow_up(self, work: _Work) -> bool:
        run, live = work.turn.run, work.live
        if live is None or run.kind != "chat" or work.is_told_to_end:
            return False
        if not steering.is_more(self.context.store.db, run) or not self._is_current(live):
            return False
        match for_group(self.context.settings, run.group_folder).follow_up:
            case "steer":
                return self._steer(work, live)
            case "interrupt":
                with self.context.store.atomic() as db:
                    return steering.ask(db, run.id, "interrupt")
        return False

    def _steer(self, work: _Work, live: Live) -> bool:
        try:
            before = work.turn.absorb()
        except RunLost:
            return False
        if before is None:
            return False
        now = work.turn.run
        db, settings = self.context.store.db, self.context.settings
        prompt = heard.further(db, settings, now, before.last_seq)
        if prompt is not None:
            self._say(live, Steer(turn=now.turn, prompt=prompt, through=now.last_seq))
        return True

    def _make_end(self, work: _Work) -> bool:
        """Have the agent end its turn; where there is none yet, or it doesn't, we end it."""
        if work.is_told_to_end or work.task is None:
            return False
        work.is_told_to_end = True
        if work.live is None:
            work.task.cancel()
        else:
            self._say(work.live, Interrupt(turn=work.turn.run.turn))
            loop = asyncio.get_running_loop()
            work.last_call = loop.call_later(self.patience, work.task.cancel)
        self.context.log.info("ending a turn", run=work.turn.run.id)
        return True

    def _say(self, live: Live, document: Document) -> None:
        """What can't be said to an agent is no loss: its turn's end tells what it has read."""
        try:
            live.tell(document)
        except OSError as error:
            name = live.session.sandbox
            self.context.log.warning("a sandbox can't be told", sandbox=name, error=str(error))
