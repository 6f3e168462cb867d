"""The channel of this machine's terminals: `send` and `chat` put messages into the file, and
`tail` and `chat` read replies there. Nothing is ever listened to."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pynchy_cli.channels.base import Channel, Incoming, Unreadable
from pynchy_cli.model import NewMessage
from pynchy_cli.plugins import hookimpl
from pynchy_cli.security.senders import OWNER

NAME = "local"


class LocalChannel:
    """The file itself is its inbox."""

    name = NAME
    capabilities = frozenset({"edit", "inbox"})

    def incoming(self, options: Mapping[str, Any]) -> AsyncIterator[Incoming | Unreadable]:
        """Nothing: who speaks here writes the row himself."""
        return _nothing()


async def _nothing() -> AsyncIterator[Incoming | Unreadable]:
    return
    yield


def said(text: str, chat_jid: str, now: str) -> NewMessage:
    """What the person at this terminal says in a chat."""
    return NewMessage(
        id=f"{NAME}-{uuid.uuid4().hex}",
        chat_jid=chat_jid,
        sender=OWNER,
        sender_name=OWNER,
        content=text,
        timestamp=now,
    )


class _Plugin:
    @hookimpl
    def pynchy_channel(self, name: str) -> Channel | None:
        """This channel, by its name."""
        return LocalChannel() if name == NAME else None


plugin = _Plugin()
