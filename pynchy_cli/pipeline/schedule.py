"""`schedule`: starts tasks and host jobs when they are due. This module only puts the parts
together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pynchy_cli import clock
from pynchy_cli.loop import Context, Stage
from pynchy_cli.scheduling.configured import Configured
from pynchy_cli.scheduling.firing import Firings
from pynchy_cli.scheduling.housekeeping import Housekeeping
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
        self.housekeeping = Housekeeping(context)

    def drain(self) -> int:
        """Fire what is due, and start what waits."""
        now = self._now()
        found = self.clock.mind(now) + self.configured.drain(now)
        found += self.firings.drain(now) + self.work.drain()
        return found + self.housekeeping.drain(now)

    def deadline(self) -> float | None:
        """Seconds until something is due."""
        now = self._now()
        waits = (self.firings.deadline(now), self.housekeeping.deadline(now))
        return min((one for one in waits if one is not None), default=None)

    def is_busy(self) -> bool:
        """Whether commands are at work."""
        return self.work.is_busy()

    async def stop(self) -> None:
        """End the commands at work."""
        await self.work.stop()
        await self.housekeeping.stop()
