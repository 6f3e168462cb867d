"""What shows people that somebody is there: in which chats runs are under way, and what a reply
answers. All of it is read from the file, so that nothing is left over from a process that died."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pynchy_cli.channels.base import AtWork, Network, Working
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.model import Delivery, Message
from pynchy_cli.routing import triggers
from pynchy_cli.store import groups, working
from pynchy_cli.store.connection import Connection


class Presence:
    """Tells a network with `presence` where runs are under way, each time when that changes."""

    def __init__(self, context: Context, network: Network) -> None:
        self.context = context
        self.network = network if "presence" in network.capabilities else None
        self._told: list[Working] = []

    def drain(self) -> None:
        """Look, and tell."""
        if self.network is None:
            return
        found = _under_way(self.context.store.db, self.network.name, self.context.settings)
        if found != self._told:
            self._told = found
            cast("AtWork", self.network).at_work(found)


def answered(context: Context, delivery: Delivery) -> Message | None:
    """What a run's reply answers in a chat: the newest that called the assistant; None where it
    answers nothing that was said there."""
    run_id = delivery.reply.run_id
    if run_id is None or delivery.reply.source != "agent":
        return None
    db = context.store.db
    heard = working.taken_up(db, run_id, delivery.chat_jid)
    return _newest_call(db, context.settings, delivery.chat_jid, heard)


def _under_way(db: Connection, channel: str, settings: Settings) -> list[Working]:
    found = []
    for run_id, chat_jid in working.under_way(db, channel):
        heard = working.taken_up(db, run_id, chat_jid)
        if (answers := _newest_call(db, settings, chat_jid, heard)) is not None:
            found.append(Working(chat_jid, tuple(heard), answers))
    return found


def _newest_call(
    db: Connection, settings: Settings, chat_jid: str, heard: Sequence[Message]
) -> Message | None:
    """Of what was said, the newest that calls the assistant, or the newest of all."""
    group = groups.by_chat(db, chat_jid)
    waking = triggers.words(settings.agent.name, settings.agent.trigger_aliases)
    if group is not None:
        for message in reversed(heard):
            if triggers.for_group(message.content, waking, group).triggered:
                return message
    return heard[-1] if heard else None
