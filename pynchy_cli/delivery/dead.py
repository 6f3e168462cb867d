"""What never gets to its chat is kept as dead, and blocks nobody; what may have got there, and
nobody can tell, is held until a person says what is to become of it. Of both the admin group is
told: once an hour for each chat, with their number."""

from __future__ import annotations

from typing import NamedTuple

from pynchy_cli import clock
from pynchy_cli.model import Delivery
from pynchy_cli.output import plain
from pynchy_cli.store import admins, chats, outbound, outbox, undelivered
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.undelivered import DEAD, HELD, NOTICES

HOUR = 3600.0
LENGTH = 300
"""Characters of a reason that are told."""


class Words(NamedTuple):
    """What is told of one, and of more of them."""

    one: str
    more: str


WORDS = {
    DEAD: Words(
        "⚠️ A reply could not be brought to {chat}: {why}. `pynchy outbox show {id}` tells more.",
        "⚠️ {count} replies could not be brought to {chat}; the last one: {why}. "
        "`pynchy outbox list --state dead --chat {jid}` lists them.",
    ),
    HELD: Words(
        "⚠️ A reply to {chat} waits for you: {why}. `pynchy outbox show {id}` tells more, "
        "`pynchy outbox retry {id} --again` sends it again,"
        " `pynchy outbox drop {id}` leaves it.",
        "⚠️ {count} replies to {chat} wait for you; the last one: {why}. "
        "`pynchy outbox list --state unknown --chat {jid}` lists them.",
    ),
}


def bury(db: Connection, delivery: Delivery, why: str, now: str) -> None:
    """Give a delivery up, and have the admin group be told."""
    if outbox.bury(db, delivery, why):
        _tell(db, DEAD, delivery, why, now)


def hold(db: Connection, delivery: Delivery, why: str, now: str) -> None:
    """Have a delivery wait for a person, and the admin group be told."""
    if outbox.hold(db, delivery, why):
        _tell(db, HELD, delivery, why, now)


def _tell(db: Connection, kind: str, delivery: Delivery, why: str, now: str) -> None:
    if delivery.reply.source == outbound.WITHDRAWN or delivery.reply.key.startswith(NOTICES):
        return  # nobody misses it
    words = _words(db, kind, delivery, why)
    told = undelivered.notices(db, kind, delivery.chat_jid, clock.after(now, -HOUR))
    for key in told:
        outbound.amend(db, key, words)
    if not told:
        admins.tell(db, words, now, lambda folder: undelivered.notice_key(kind, delivery, folder))


def _words(db: Connection, kind: str, delivery: Delivery, why: str) -> str:
    jid = delivery.chat_jid
    chat = chats.get(db, jid)
    count = undelivered.count_in(db, kind, jid)
    words = WORDS[kind].one if count == 1 else WORDS[kind].more
    return words.format(
        chat=_line(f"{chat.name} ({jid})" if chat is not None and chat.name else jid),
        why=_line(why).removesuffix("."),
        id=delivery.reply.id,
        count=count,
        jid=jid,
    )


def _line(text: str) -> str:
    return " ".join(plain(text).split())[:LENGTH]
