"""Who hears what comes from WhatsApp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Ignored:
    """A message that came again after it had been decrypted, and that this process hasn't stored:
    its id, and as JIDs its sender and chat."""

    id: str
    sender: str
    chat: str


class Ear(Protocol):
    """Who hears, on the loop, one thing after the other."""

    def heard(self, kind: str, event: Any) -> None:
        """What people said, or did to groups, in the order in which it came. `kind` is `Message`,
        `UndecryptableMessage`, `JoinedGroup` or `GroupInfo`, with the library's event of that name;
        or `Ignored`, with an Ignored: a process before us may have died before it had stored that
        one, it can't be read any more, and asking for it again didn't help. It may be there all the
        same. On return it must be stored; on DatabaseBusy and DatabaseFull it is said again."""

    def has(self, message: Ignored) -> bool:
        """Whether such a message is stored: then only its receipt got lost."""

    def state(self, connected: bool, why: str | None) -> None:
        """The connection stands or doesn't, and why not. Raises nothing."""
