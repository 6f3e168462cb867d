"""What never gets to its chat: it is kept as dead, blocks nobody, and the admin group is told. Of a
chat to which nothing gets any more it is told once an hour, with their number."""

from __future__ import annotations

from pynchy_cli import clock
from pynchy_cli.model import Delivery
from pynchy_cli.output import plain
from pynchy_cli.store import chats, groups, outbound, outbox, undelivered
from pynchy_cli.store.connection import Connection

HOUR = 3600.0
LENGTH = 300
"""Characters of a reason that are told."""
ONE = "⚠️ A reply could not be brought to {chat}: {why}. `pynchy outbox show {id}` tells more."
MORE = (
    "⚠️ {count} replies could not be brought to {chat}; the last one: {why}. "
    "`pynchy outbox list --state dead --chat {jid}` lists them."
)


def bury(db: Connection, delivery: Delivery, why: str, now: str) -> None:
    """Give a delivery up, and have the admin group be told."""
    if not outbox.bury(db, delivery, why) or not _is_a_loss(delivery):
        return
    words = _words(db, delivery, why)
    told = undelivered.notices(db, delivery.chat_jid, clock.after(now, -HOUR))
    for key in told:
        outbound.amend(db, key, words)
    if not told:
        _tell(db, delivery, words, now)


def _is_a_loss(delivery: Delivery) -> bool:
    """Whether somebody misses it: no notice of a loss, and nothing that was withdrawn."""
    reply = delivery.reply
    return reply.source != outbound.WITHDRAWN and not reply.key.startswith(undelivered.NOTICE)


def _tell(db: Connection, delivery: Delivery, words: str, now: str) -> None:
    for group in groups.all(db):
        if group.is_admin:
            outbound.say(
                db,
                key=undelivered.notice_key(delivery.chat_jid, delivery.reply.id, group.folder),
                chat_jid=group.jid,
                content=words,
                source="host",
                now=now,
                group_folder=group.folder,
            )


def _words(db: Connection, delivery: Delivery, why: str) -> str:
    chat = chats.get(db, delivery.chat_jid)
    jid = delivery.chat_jid
    count = undelivered.dead_in(db, jid)
    return (ONE if count == 1 else MORE).format(
        chat=_line(f"{chat.name} ({jid})" if chat is not None and chat.name else jid),
        why=_line(why).removesuffix("."),
        id=delivery.reply.id,
        count=count,
        jid=jid,
    )


def _line(text: str) -> str:
    return " ".join(plain(text).split())[:LENGTH]
