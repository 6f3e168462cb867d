"""One prompt from a shell: the same run as any, in a lane of its own, its answer for standard
output. Nothing of it goes to a chat, and nobody repeats it when the shell has gone."""

from __future__ import annotations

import asyncio

import msgspec

from agent_runner import protocol
from pynchy_cli import clock
from pynchy_cli.agent.turn import Turn
from pynchy_cli.agent.worker import Worker
from pynchy_cli.errors import AgentFailed, GroupHeld
from pynchy_cli.loop import Context
from pynchy_cli.model import SHELL_LANE
from pynchy_cli.output import hush, print_line, print_text, say
from pynchy_cli.routing import telling
from pynchy_cli.store import groups, holds, runs, waiting


class Foreground:
    """A stage that has one run to drive, and is then done."""

    def __init__(
        self, context: Context, worker: Worker, group: str, prompt: str, as_json: bool
    ) -> None:
        self.context = context
        self.worker = worker
        self.as_json = as_json
        self.group = group
        self._said = False
        self._told: set[str] = set()
        groups.get(context.store.db, group)
        with context.store.atomic() as db:
            if (hold := holds.of_group(db, group)) is not None:
                raise GroupHeld(telling.held(hold))
            lane = f"{SHELL_LANE}:{context.owner}"
            now = clock.now()
            run = runs.start_now(db, group, lane, "shell", prompt, context.owner, now)
        if run is None:
            raise AgentFailed(f"A shell's run of {group} is at work already.")
        self.run_id = run.id
        self._task: asyncio.Task[Turn] = context.spawn(
            worker.drive(run, self._heard if as_json else None), f"run {run.id}"
        )

    def drain(self) -> int:
        """Say how the run went, once it is over; until then, end it where somebody wants that."""
        if not self._task.done():
            self._tell_what_is_asked()
            return self.worker.drain_own()
        if self._said:
            return 0
        self._said = True
        self._say()
        return 1

    def deadline(self) -> float | None:
        """Nothing is due later."""
        return None

    def is_busy(self) -> bool:
        """Whether the run is at work, or its sandbox is being ended."""
        return not self._task.done() or self.worker.is_busy()

    async def stop(self) -> None:
        """End the run where it is, and its sandbox."""
        if not self._task.done():
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.worker.stop()

    def _heard(self, record: protocol.Record) -> None:
        try:
            print_line(msgspec.to_builtins(record))
        except BrokenPipeError:
            self._unread()

    def _unread(self) -> None:
        """Nobody reads the answer any more, so nobody waits for the run's end."""
        hush()
        self._said = True
        self._task.cancel()

    def _tell_what_is_asked(self) -> None:
        """Whoever waits in this shell must know that the agent waits, too."""
        for one in waiting.of_work(self.context.store.db, self.group, self.run_id):
            if one.id not in self._told:
                self._told.add(one.id)
                say(telling.asked(one))

    def _say(self) -> None:
        run = runs.get(self.context.store.db, self.run_id)
        if run.state == "done":
            if not self.as_json:
                self._print(self._task.result().reply)
            return
        self.context.has_failed = True
        say(f"pynchy run-agent: {run.error or f'the run was {run.state}'}")

    def _print(self, reply: str) -> None:
        try:
            print_text(reply)
        except BrokenPipeError:
            self._unread()
