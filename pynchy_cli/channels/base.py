"""What a channel is. It turns a network's events into messages and replies into what the
network takes; it never decides who is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pynchy_cli.model import NewMessage

CAPABILITIES = frozenset({"edit", "inbox", "history"})


@dataclass(frozen=True)
class Incoming:
    """A message as it came, before the sender check."""

    message: NewMessage
    chat_name: str | None = None


@dataclass(frozen=True)
class Unreadable:
    """Something came that can't be a message: where, such as `line 3`, and why not."""

    where: str
    why: str


class Channel(Protocol):
    """A chat network. `capabilities` names its optional abilities: `edit` (a reply can be
    changed after it was sent), `inbox` (the file itself is where replies are read, so that
    rows are born delivered), `history`."""

    name: str
    capabilities: frozenset[str]

    def incoming(self, options: Mapping[str, Any]) -> AsyncIterator[Incoming | Unreadable]:
        """What is said, as it comes; the next is not taken before the last was dealt with.
        Ends when the channel has no more to say. Raises UsageWrong where an option can't be."""
