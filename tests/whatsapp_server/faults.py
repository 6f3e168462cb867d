"""Faults that tests script: what goes wrong next, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MEDIA = ("404", "410", "429", "500", "drop", "stall", "slow", "short", "long", "garbage")


@dataclass
class Faults:
    """Those that are set. A number is how many times still; -1 is always."""

    stalls: bool = False
    seconds: float = 0.0
    """How much later everything comes."""
    holds: bool = False
    """Acks wait."""
    acks: list[tuple[str, str]] = field(default_factory=list)
    """What happens at the next messages: `lose`, `drop`, `lose_before`, `drop_before`, `nack`, and
    the code of a nack."""
    receipts: int = 0
    """How many receipts get lost."""
    logins: list[dict[str, str]] = field(default_factory=list)
    """The attributes of the failures of the next logins."""
    login_always: dict[str, str] | None = None
    queries: Counter[tuple[str, int]] = field(default_factory=Counter)
    media: dict[str, list[str]] = field(default_factory=dict)
    """Kinds, by where: `download`, `upload`."""

    def next_ack(self) -> tuple[str, str]:
        """What happens to the message that just came, and a code."""
        return self.acks.pop(0) if self.acks else ("", "")

    def next_login(self) -> dict[str, str] | None:
        """The failure of this login, if it is to fail."""
        return self.logins.pop(0) if self.logins else self.login_always

    def next_query(self, *names: str) -> int | None:
        """The code with which a query of these names fails; 0: without an answer; None: not."""
        for (name, code), left in self.queries.items():
            if name in names and left:
                self.queries[name, code] -= 1
                return code
        return None

    def next_media(self, where: str) -> str:
        """The kind of fault that a download or an upload meets, or nothing."""
        kinds = self.media.get(where)
        return kinds.pop(0) if kinds else ""

    def set_media(self, kind: str, number: int, where: str) -> None:
        """The next downloads or uploads go wrong. Raises ValueError for a kind that isn't."""
        if kind not in MEDIA or where not in ("download", "upload"):
            raise ValueError(f"{kind!r} at {where!r} is no fault: {', '.join(MEDIA)}")
        self.media.setdefault(where, []).extend([kind] * number)

    def mend(self) -> None:
        """All is well again; acks that were held are the caller's."""
        fresh = Faults()
        for name in vars(fresh):
            setattr(self, name, getattr(fresh, name))
