"""Once a day `schedule` has old traces removed and the database looked over, by a child process."""

from __future__ import annotations

from pynchy_cli.context import Context
from pynchy_cli.errand import Errand

EVERY = 86_400.0
FIRST = 600.0
"""Seconds after the first start: whoever has just begun has other things to look at."""
COMMAND = ("prune", "--quiet", "--json")


class Housekeeping:
    """The housekeeping of one process; none of one that runs only once."""

    def __init__(self, context: Context) -> None:
        self._errand = Errand(context, "prune", COMMAND, EVERY, first=FIRST)
        self._rests = context.once

    def drain(self, now: str) -> int:
        """Begin it where it is due; how much was begun."""
        return 0 if self._rests else self._errand.drain(now)

    def deadline(self, now: str) -> float | None:
        """Seconds until it is due."""
        return None if self._rests else self._errand.deadline(now)

    async def stop(self) -> None:
        """End it."""
        await self._errand.stop()
