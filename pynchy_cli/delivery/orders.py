"""What people order about replies that didn't get to their chats. The process that sends them may
be at work on the same rows: it never looks at what is dead, dropped or waits for a person, so these
may be changed as one likes; it asks of all else, before each post, whether it was dropped; and what
it is just posting isn't touched here.

To *retry* is never to send twice by itself. A reply that may be there already is looked for again,
and sent where it isn't there. Where its chat can't be asked, that comes to nothing: it waits for a
person as before. Only *again* says that it is to be sent all the same: then it is forgotten that a
part of it may be there, so that to the sending process that part was never posted. It is heeded
for what is dead or waits for a person; what is being looked for just now will be found or sent
anyway. Parts that are known to be there are never sent once more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pynchy_cli.errors import DeliveryBusy, DeliveryUnknown
from pynchy_cli.model import Delivery
from pynchy_cli.store import outbox, undelivered
from pynchy_cli.store.connection import Connection

OVER = ("sent", "dropped")
SENDING = (
    "Reply {id} is just being sent to {chat}, or was when its channel ended, which finds out what "
    "became of it when it runs. Try again then."
)


@dataclass(frozen=True)
class Ordered:
    """What an order does to one delivery, which it gives as it was before: `sent` again, looked
    for first (`sought`), sent `again` though it may be there, or `dropped`."""

    delivery: Delivery
    becomes: str


def of_reply(db: Connection, ledger_id: int) -> list[Delivery]:
    """How one reply stands in each chat, at least one. Raises DeliveryUnknown."""
    found = undelivered.of_reply(db, ledger_id)
    if not found:
        raise DeliveryUnknown(f"No reply {ledger_id} goes to any chat. See `pynchy outbox list`.")
    return found


def chosen(db: Connection, ledger_id: int, chat_jid: str | None) -> list[Delivery]:
    """A reply's deliveries that are not over yet; or the one to a chat. Raises DeliveryUnknown."""
    found = of_reply(db, ledger_id)
    there = [one for one in found if chat_jid in (None, one.chat_jid)]
    if not there:
        chats = ", ".join(one.chat_jid for one in found)
        raise DeliveryUnknown(f"Reply {ledger_id} doesn't go to {chat_jid}, but to {chats}.")
    left = [one for one in there if one.state not in OVER]
    if not left:
        how = " and ".join(sorted({one.state for one in there}))
        raise DeliveryUnknown(f"Nothing of reply {ledger_id} waits: it is {how} already.")
    return left


def retry(db: Connection, wanted: Sequence[Delivery], *, again: bool) -> list[Ordered]:
    """Have them be tried again now: all of them or none. Raises DeliveryBusy."""
    found = _as_they_are(db, wanted)
    _require_still(found)
    return [_retried(db, one, again=again) for one in found]


def drop(db: Connection, wanted: Sequence[Delivery], running: Collection[str]) -> list[Ordered]:
    """Give them up: all of them or none, but for those that are over meanwhile. `running` are the
    channels that are just being run; what another one was sending when it ended may be dropped.
    Raises DeliveryBusy."""
    found = _as_they_are(db, wanted)
    _require_still([one for one in found if one.channel in running])
    for one in found:
        undelivered.drop(db, one)
    return [Ordered(one, "dropped") for one in found]


def _retried(db: Connection, one: Delivery, *, again: bool) -> Ordered:
    is_again = again and (one.state == "dead" or one.held)
    may_be_there = undelivered.retry(db, one, again=is_again)
    if not may_be_there:
        return Ordered(one, "sent")
    return Ordered(one, "again" if is_again else "sought")


def _as_they_are(db: Connection, wanted: Sequence[Delivery]) -> list[Delivery]:
    """The same as they stand now, without those that are over."""
    found = [outbox.get(db, one.reply.id, one.chat_jid) for one in wanted]
    return [one for one in found if one is not None and one.state not in OVER]


def _require_still(found: Sequence[Delivery]) -> None:
    for one in found:
        if one.state == "sending":
            raise DeliveryBusy(SENDING.format(id=one.reply.id, chat=one.chat_jid))
