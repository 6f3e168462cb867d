"""How long to wait before a process that ended is started again: not at all a few times, then ever
longer, until it has worked for a while."""

from __future__ import annotations

AT_ONCE = 5
"""Starts again within a minute that need no pause."""
MINUTE = 60.0
FIRST = 1.0
LONGEST = 60.0
STEADY = 60.0
"""Seconds after which a process that ends counts as one that had worked."""


class Pauses:
    """The policy for one process. Times are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self._last = 0.0

    def after(self, born: float, ended: float) -> float:
        """Seconds to wait before the next start of a process that began and ended then."""
        if ended - born >= STEADY:
            self.forget()
        self._ends = [one for one in self._ends if ended - one < MINUTE]
        self._ends.append(ended)
        if self._last == 0.0 and len(self._ends) <= AT_ONCE:
            return 0.0
        self._last = min(LONGEST, self._last * 2 or FIRST)
        return self._last

    def forget(self) -> None:
        """Begin anew: somebody has changed something, or it has worked for a while."""
        self._ends.clear()
        self._last = 0.0
