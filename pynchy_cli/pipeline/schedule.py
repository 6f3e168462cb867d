"""`schedule`: starts tasks and host jobs when they are due. This module only puts the parts
together."""

from __future__ import annotations

from typing import Any

from pynchy_cli.loop import Context, Stage
from pynchy_cli.scheduling.work import Work

SINGLE = True


def make(context: Context, options: dict[str, Any]) -> Stage:
    """The stage; it has no options."""
    return Schedule(context)


class Schedule:
    """A stage: fires what is due, and has the host's commands run."""

    def __init__(self, context: Context) -> None:
        self.work = Work(context)

    def drain(self) -> int:
        """Fire what is due, and start what waits."""
        return self.work.drain()

    def deadline(self) -> float | None:
        """Seconds until something is due."""
        return None

    def is_busy(self) -> bool:
        """Whether commands are at work."""
        return self.work.is_busy()

    async def stop(self) -> None:
        """End the commands at work."""
        await self.work.stop()
