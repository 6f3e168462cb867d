"""What a channel is. It turns a network's events into messages and replies into what the
network takes; it never decides who is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from pynchy_cli.model import NewMessage


@dataclass(frozen=True)
class Incoming:
    """A message as it came, before the sender check. `reply_key` names it to who waits."""

    message: NewMessage
    chat_name: str | None = None


class Channel(Protocol):
    """A chat network. `capabilities` names its optional abilities: `edit` (a reply can be
    changed after it was sent), `inbox` (the file itself is where replies are read, so that
    rows are born delivered), `history`."""

    name: str
    capabilities: frozenset[str]

    def incoming(self) -> AsyncIterator[Incoming]:
        """What is said, as it comes. Ends when the channel has no more to say."""
