"""Which messages were asked for again. That costs a connection each time, and who wants to can send
what looks like something lost as often as he likes: so it is done now and then, and no more."""

from __future__ import annotations

from collections import OrderedDict, deque

OFTEN = 10
"""Connections in an hour that are made anew to ask for something."""
HOUR = 3600.0
REMEMBERED = 1000


class Asked:
    """What was asked for, by all connections of a process."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._times: deque[float] = deque()

    def may(self, message_id: str, now: float, *, is_first: bool) -> bool:
        """Whether a message may be asked for, which is noted: once each. The first in a connection
        costs that one. `now`: seconds that only go forward."""
        while self._times and self._times[0] <= now - HOUR:
            self._times.popleft()
        if message_id in self._ids or (is_first and len(self._times) >= OFTEN):
            return False
        if is_first:
            self._times.append(now)
        self._ids[message_id] = None
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        return True
