"""`schedule`: starts tasks and host jobs when they are due. This module only puts the parts
together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynchy_cli import clock
from pynchy_cli.loop import Context, Stage
from pynchy_cli.scheduling.configured import Configured
from pynchy_cli.scheduling.firing import Firings
from pynchy_cli.scheduling.wall_clock import WallClock
from pynchy_cli.scheduling.work import Work

SINGLE = True


def make(context: Context, options: dict[str, Any]) -> Stage:
    """The stage; it has no options."""
    return Schedule(context)


class Schedule:
    """A stage: fires what is due by the clock `now`, and has the host's commands run."""

    def __init__(self, context: Context, now: Callable[[], str] = clock.now) -> None:
        self._now = now
        self.clock = WallClock(context)
        self.configured = Configured(context)
        self.firings = Firings(context)
        self.work = Work(context)

    def drain(self) -> int:
        """Fire what is due, and start what waits."""
        now = self._now()
        found = self.clock.mind(now) + self.configured.drain(now)
        return found + self.firings.drain(now) + self.work.drain()

    def deadline(self) -> float | None:
        """Seconds until something is due."""
        return self.firings.deadline(self._now())

    def is_busy(self) -> bool:
        """Whether commands are at work."""
        return self.work.is_busy()

    async def stop(self) -> None:
        """End the commands at work."""
        await self.work.stop()
