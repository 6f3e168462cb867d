"""The last words of a channel that only a person can mend: the admin group is told what to do,
once a day for each reason."""

from __future__ import annotations

import hashlib

from pynchy_cli import clock
from pynchy_cli.context import Context
from pynchy_cli.errors import ChannelBroken, LoggedOut, PynchyError
from pynchy_cli.store import admins
from pynchy_cli.store.connection import Connection

WORDS = "⚠️ The channel {channel} has stopped: {why}"


def tell(context: Context, channel: str, error: PynchyError) -> None:
    """Have the admin groups be told, where it is something that a person must mend and they
    don't know it yet. That the words can't be stored is logged: the channel has stopped anyway."""
    if not isinstance(error, ChannelBroken | LoggedOut):
        return
    try:
        with context.store.atomic() as db:
            _say(db, channel, str(error), clock.now())
    except PynchyError as raised:
        context.log.warning("the admin group can't be told", error=str(raised))


def _say(db: Connection, channel: str, why: str, now: str) -> None:
    digest = hashlib.sha256(why.encode("utf-8", "replace")).hexdigest()[:8]
    words = WORDS.format(channel=channel, why=why)
    admins.tell(db, words, now, lambda folder: f"stopped:{channel}:{folder}:{now[:10]}:{digest}")
