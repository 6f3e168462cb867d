"""How long a turn may go on, by the monotonic clock. While its agent waits for a person or for
another run the clocks stand still; the file tells since when, and is asked only when time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pynchy_cli import clock
from pynchy_cli.config import settings as config

LOOK = 1.0
"""Seconds after which an agent that waits is looked at again, at least."""
Wait = tuple[str, str | None]
"""When an agent began to wait, and when it had its answer; None where it waits still."""


class Patience:
    """What is left of it for one turn."""

    def __init__(self, limits: config.Sandbox, *, is_cold: bool) -> None:
        self._limits = limits
        self._started = time.monotonic()
        self._heard = self._started
        self._silence = limits.start_timeout if is_cold else limits.activity_timeout
        self._why = ""

    def heard(self) -> None:
        """There was a sign of life."""
        self._heard = time.monotonic()
        self._silence = self._limits.activity_timeout

    def left(self) -> float:
        """Seconds until it ends if the agent waits for nobody; not positive when it has."""
        now = time.monotonic()
        return min(
            self._heard + self._silence - now,
            self._started + self._limits.run_timeout - now,
        )

    def left_after(self, ask: Callable[[float], tuple[float, bool]]) -> float:
        """The same with its waits left out, of which `ask` tells how much of the last seconds they
        were, and whether one goes on; a moment at least while one does."""
        now = time.monotonic()
        silent, whole = now - self._heard, now - self._started
        waited_silent, waits = ask(silent)
        waited_whole, _ = ask(whole)
        of_silence = self._silence - silent + min(waited_silent, silent)
        of_all = self._limits.run_timeout - whole + min(waited_whole, whole)
        if of_all <= of_silence:
            self._why = f"it took longer than {self._limits.run_timeout:g} s"
        else:
            self._why = f"the agent gave no sign of life for {self._silence:g} s"
        left = min(of_silence, of_all)
        if not waits:
            return left
        self._heard = now  # it isn't silent, whatever becomes of the clock that the file goes by
        return max(left, LOOK)

    def why(self) -> str:
        """What it ended of, in words."""
        return self._why


def waited(waits: Iterable[Wait], since: str, now: str) -> float:
    """Seconds between two moments in which at least one of these waits went on."""
    total, until = 0.0, since
    for begin, end in sorted(waits, key=lambda one: one[0]):
        begin, end = max(begin, until), min(end or now, now)
        if end > begin:
            total += clock.seconds_between(begin, end)
            until = end
    return total
