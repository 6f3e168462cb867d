"""How fast a group may ask: what comes faster waits in its folder, and costs the host nothing."""

from __future__ import annotations

from collections.abc import Callable

BURST = 25_000.0
PER_SECOND = 500.0
UNIT = 4096
"""Bytes that cost as much as a request itself."""


class Pace:
    """A measure for each group that fills with time, by a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def may(self, group: str) -> bool:
        """Whether the group may ask now."""
        return self._now(group) > 0

    def took(self, group: str, size: int, requests: int = 1) -> None:
        """It asked something of so many bytes, that costs as much as so many requests."""
        self._left[group] = (self._now(group) - requests - size / UNIT, self._clock())

    def pause(self, group: str) -> float:
        """Seconds until it may ask again; 0 where it may."""
        return max(0.0, (1 - self._now(group)) / PER_SECOND) if not self.may(group) else 0.0

    def _now(self, group: str) -> float:
        left, at = self._left.get(group, (BURST, self._clock()))
        return min(BURST, left + (self._clock() - at) * PER_SECOND)
