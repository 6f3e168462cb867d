"""How a turn comes to a sandbox: the lane's warm one, or a new one once no other is left of it.
What the agent is told is decided here, and nothing about how the turn ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent_runner import protocol
from pynchy_cli.agent import heard
from pynchy_cli.agent.at_work import AtWork
from pynchy_cli.agent.conversation import converse
from pynchy_cli.agent.directives import system_prompt
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.recovery import Recovery
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.agent.turn import Turn
from pynchy_cli.agent.warm import Warm
from pynchy_cli.config.tiers import for_group, limits_for
from pynchy_cli.errors import SandboxDied
from pynchy_cli.loop import Context
from pynchy_cli.model import Group, Run, is_conversation
from pynchy_cli.store import groups, sessions

ALONE = 120.0
"""Seconds after the idle timeout when an agent whose worker never came back leaves by itself."""


class Talks:
    """Has the turns of one worker."""

    def __init__(
        self,
        context: Context,
        sandboxes: Sandboxes,
        warm: Warm,
        at_work: AtWork,
        recovery: Recovery,
        offer: Callable[[Group, str], protocol.Offer],
    ) -> None:
        self.context = context
        self.sandboxes = sandboxes
        self.warm = warm
        self.at_work = at_work
        self.recovery = recovery
        self.offer = offer

    async def begin(self, turn: Turn) -> None:
        """Have a turn from its start to its end, whose run is ours. Raises what `converse` does,
        SandboxUnavailable and GatewayUnavailable."""
        run = turn.run
        group = groups.get(self.context.store.db, run.group_folder)
        prompt = self._prompt(group, run)
        if prompt is None:
            turn.skip()
            return
        # What a dead worker left may be a sandbox to go on in.
        while left := self.recovery.settling((run.group_folder, run.lane)):
            await asyncio.wait(left)
        live = self.warm.told(run, prompt)
        if live is not None and await self._conversed(live, turn):
            return
        await self.go_on(await self._opened(group, run, prompt), turn, is_cold=True)

    def _prompt(self, group: Group, run: Run) -> str | None:
        """What the agent is told, or None where nobody said anything to it."""
        if run.prompt is not None:
            return f"{run.note}\n\n{run.prompt}" if run.note else run.prompt
        prompt = heard.prompt(self.context.store.db, self.context.settings, group, run)
        if prompt is None:
            return None
        return f"{run.note}\n\n{prompt}" if run.note else prompt

    async def _conversed(self, live: Live, turn: Turn) -> bool:
        """A warm sandbox's turn; False where it went before it took the turn up."""
        try:
            await self.go_on(live, turn)
        except SandboxDied:
            if turn.has_begun or live.is_alive:
                raise
            self.context.log.info("a warm sandbox had gone", sandbox=live.session.sandbox)
            self.at_work.live(turn, None)
            self.warm.close(live, politely=False)
            return False
        return True

    async def go_on(self, live: Live, turn: Turn, *, is_cold: bool = False) -> None:
        """Hear a turn, of which the sandbox was told, to its end. Raises what `converse` does."""
        turn.session = live.session
        self.at_work.live(turn, live)
        limits = limits_for(self.context.settings, turn.run.group_folder)
        await converse(live, turn, limits, is_cold=is_cold)

    async def _opened(self, group: Group, run: Run, prompt: str) -> Live:
        """A new sandbox, at work on the turn, once no other of the lane is left."""
        settings, rules = self.context.settings, for_group(self.context.settings, group.folder)
        lane = (run.group_folder, run.lane)
        while left := [*self.warm.leaving(lane), *self.recovery.settling(lane)]:
            await asyncio.wait(left)
        known = sessions.get(self.context.store.db, *lane)
        document = protocol.RunInput(
            turn=run.turn,
            prompt=prompt,
            core=rules.core,
            session_id=known.session_id if is_conversation(run.lane) else None,
            model=rules.model or None,
            system_prompt=system_prompt(
                self.context.home, settings, group, self.context.log.warning, run.shares
            ),
            offer=self.offer(group, run.lane),
            stay=self._stays(run),
            idle=limits_for(settings, group.folder).idle_timeout + ALONE,
        )
        return await self.sandboxes.open(group, run, document)

    def _stays(self, run: Run) -> bool:
        sandbox = limits_for(self.context.settings, run.group_folder)
        return bool(
            is_conversation(run.lane)
            and not self.context.once
            and sandbox.idle_timeout > 0
            and sandbox.max_warm > 0
        )
