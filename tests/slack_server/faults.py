"""Faults that tests script: which calls go wrong, how, and how often."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

KINDS = ("429", "500", "html", "drop", "after_drop", "after_500", "sleep", "sleep_after", "error",
         "cut", "not_json")  # fmt: skip


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
        self._random = chance

    def add(self, fault: Fault) -> None:
        """One more."""
        self._set.append(fault)

    def clear(self) -> None:
        """All is well again."""
        self._set.clear()

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
