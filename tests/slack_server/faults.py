"""Faults that tests script: which calls go wrong, how, and how often."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KINDS = (
    *("429", "500", "html", "lead", "not_json", "error", "drop", "cut", "sleep", "hold"),
    *("after_drop", "after_500", "after_error", "sleep_after", "hold_after"),
)


def cut(request: web.Request) -> None:
    """Resets the connection."""
    if request.transport is not None:
        request.transport.abort()


@dataclass
class Fault:
    """`method` is a Web API method, `download`, `upload`, `link` or `*`."""

    method: str
    kind: str
    times: int | None = 1
    """How often; None is always."""
    chance: float = 1.0
    match: dict[str, str] = field(default_factory=dict)
    """Only calls with these arguments."""
    seconds: float = 0.0
    """For the sleeps; any other kind waits as long before it happens."""
    retry_after: int = 1
    error: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is none of {', '.join(KINDS)}")


class Faults:
    """Those that are set, in the order in which they were."""

    def __init__(self, chance: random.Random) -> None:
        self._set: list[Fault] = []
        self._held: list[asyncio.Event] = []
        self._random = chance

    def add(self, fault: Fault) -> None:
        """One more."""
        self._set.append(fault)

    def clear(self) -> None:
        """All is well again."""
        self._set.clear()

    async def hold(self) -> None:
        """Waits until all are let go."""
        gate = asyncio.Event()
        self._held.append(gate)
        await gate.wait()
        self._held.remove(gate)

    def held(self) -> int:
        """How many calls wait."""
        return len(self._held)

    def release(self) -> None:
        """Lets go all calls that wait."""
        for gate in self._held:
            gate.set()

    def next(self, method: str, args: dict[str, Any]) -> Fault | None:
        """The fault that this call meets, which is used up a little by it."""
        for one in self._set:
            if one.method not in (method, "*") or one.times == 0:
                continue
            if any(str(args.get(name)) != value for name, value in one.match.items()):
                continue
            if one.chance < 1 and self._random.random() >= one.chance:
                continue
            if one.times is not None:
                one.times -= 1
            return one
        return None
