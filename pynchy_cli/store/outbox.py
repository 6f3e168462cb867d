"""What a channel has still to bring to its chats, and how each reply stands there. Only the one
process that holds the channel's lock writes here, but for people's orders (`undelivered`): what a
person has dropped stays so, whatever its channel was about to note of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynchy_cli.errors import DeliveryDropped, DeliveryHeld
from pynchy_cli.model import Delivery, Part
from pynchy_cli.store import counters, holds
from pynchy_cli.store.connection import Connection, Row
from pynchy_cli.store.outbound import COLUMNS, WITHDRAWN, as_reply

_REPLY = ", ".join(f"l.{name.strip()}" for name in COLUMNS.split(","))
_DELIVERY = (
    "d.chat_jid AS place, d.channel, d.state, d.delivered_version, d.attempts, d.next_attempt_at,"
    " d.delivered_at, d.error, d.held"
)
SELECT = (
    f"SELECT {_REPLY}, {_DELIVERY} FROM outbound_deliveries d"
    " JOIN outbound_ledger l ON l.id = d.ledger_id"
)
FILES = 1000
"""The number of the part that is a reply's first file."""
AT_ONCE = 20
"""Deliveries that are read at once; mostly the first is the one."""
_UNDELIVERED = "d.state IN ('pending', 'sending', 'unknown') AND d.held = 0"
_IS_HELD = holds.OUTBOUND.format(
    group="(SELECT group_folder FROM outbound_ledger WHERE id = d.ledger_id)"
)


def recover(db: Connection, channel: str, not_before: str) -> int:
    """What a dead process of the channel was sending: whether it came there isn't known, and is
    looked for then, since it may have been taken just now. How many deliveries that were."""
    db.execute(
        "UPDATE outbound_parts SET state = 'unknown' WHERE state = 'sending'"
        " AND (ledger_id, chat_jid) IN (SELECT ledger_id, chat_jid FROM outbound_deliveries d"
        f" WHERE channel = ? AND {_UNDELIVERED})",
        (channel,),
    )
    is_unknown = (
        "EXISTS (SELECT 1 FROM outbound_parts p WHERE p.ledger_id = d.ledger_id"
        " AND p.chat_jid = d.chat_jid AND p.state = 'unknown')"
    )
    rows = db.execute(
        f"UPDATE outbound_deliveries AS d SET state = iif({is_unknown}, 'unknown', 'pending'),"
        f" next_attempt_at = iif({is_unknown}, ?, next_attempt_at)"
        " WHERE channel = ? AND state = 'sending' RETURNING ledger_id",
        (not_before, channel),
    ).fetchall()
    return len(rows)


def chats(db: Connection, channel: str) -> list[str]:
    """The chats to which the channel has something to bring that isn't held."""
    rows = db.execute(
        "SELECT DISTINCT chat_jid FROM outbound_deliveries d"
        f" WHERE channel = ? AND {_UNDELIVERED} AND NOT {_IS_HELD}",
        (channel,),
    )
    return [str(row[0]) for row in rows]


def undelivered(db: Connection, channel: str, chat_jid: str) -> Iterator[Delivery]:
    """What a chat has not been brought yet and isn't held, in the order in which it was said."""
    after = 0
    while True:
        rows = db.execute(
            f"{SELECT} WHERE d.channel = ? AND d.chat_jid = ? AND {_UNDELIVERED}"
            f" AND NOT {_IS_HELD} AND d.ledger_id > ? ORDER BY d.ledger_id LIMIT ?",
            (channel, chat_jid, after, AT_ONCE),
        ).fetchall()
        if not rows:
            return
        for row in rows:
            yield as_delivery(row)
        after = int(rows[-1][0])


def get(db: Connection, ledger_id: int, chat_jid: str) -> Delivery | None:
    """How one reply stands in one chat now."""
    row = db.execute(
        f"{SELECT} WHERE d.ledger_id = ? AND d.chat_jid = ?",
        (ledger_id, chat_jid),
    ).fetchone()
    return as_delivery(row) if row else None


def parts(db: Connection, delivery: Delivery) -> list[Part]:
    """The network's messages by which a reply is shown, in order."""
    rows = db.execute(
        "SELECT number, state, remote_id, digest, after_id, begun_at, again FROM outbound_parts"
        " WHERE ledger_id = ? AND chat_jid = ? ORDER BY number",
        (delivery.reply.id, delivery.chat_jid),
    ).fetchall()
    return [_part(row) for row in rows]


def begin(
    db: Connection,
    delivery: Delivery,
    number: int,
    digest: str,
    now: str,
    *,
    after_id: str | None = None,
    again: bool = False,
) -> None:
    """A part is about to be posted: from here on nobody can know whether it was.

    Raises DeliveryDropped where a person has given it up since it was read, and DeliveryHeld where
    one has told it to wait.
    """
    require_free(db, delivery)
    if not _set(db, delivery, "state = 'sending'"):
        raise DeliveryDropped(f"Reply {delivery.reply.id} was dropped for {delivery.chat_jid}.")
    db.execute(
        "INSERT INTO outbound_parts(ledger_id, chat_jid, number, state, digest, after_id, begun_at,"
        " again) VALUES (?, ?, ?, 'sending', ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " state = 'sending', remote_id = NULL, digest = excluded.digest,"
        " after_id = excluded.after_id, begun_at = excluded.begun_at, again = excluded.again",
        (delivery.reply.id, delivery.chat_jid, number, digest, after_id, now, int(again)),
    )


def require_free(db: Connection, delivery: Delivery) -> None:
    """Raises DeliveryHeld where people have told what goes out to wait."""
    if db.execute(
        f"SELECT 1 FROM outbound_deliveries d WHERE ledger_id = ? AND chat_jid = ? AND {_IS_HELD}",
        (delivery.reply.id, delivery.chat_jid),
    ).fetchone():
        raise DeliveryHeld(f"Reply {delivery.reply.id} is held back.")


def placed(db: Connection, delivery: Delivery, number: int, remote_id: str, digest: str) -> None:
    """A part stands in the chat, as the network's message of this id, with this content."""
    db.execute(
        "UPDATE outbound_parts SET state = 'sent', remote_id = ?, digest = ?"
        " WHERE ledger_id = ? AND chat_jid = ? AND number = ?",
        (remote_id, digest, delivery.reply.id, delivery.chat_jid, number),
    )


def gone(db: Connection, delivery: Delivery, number: int) -> None:
    """A part does not stand in the chat: it was taken out, or never came there."""
    db.execute(
        "DELETE FROM outbound_parts WHERE ledger_id = ? AND chat_jid = ? AND number = ?",
        (delivery.reply.id, delivery.chat_jid, number),
    )


def done(db: Connection, delivery: Delivery, now: str) -> None:
    """The chat shows the version of the reply that the delivery holds; where there is a newer
    one meanwhile, that is still to be brought."""
    is_first_final = delivery.reply.is_final and delivery.delivered_at is None
    _set(
        db,
        delivery,
        "state = iif((SELECT version FROM outbound_ledger WHERE id = ledger_id) > ?, 'pending',"
        " 'sent'), delivered_version = ?, attempts = 0, next_attempt_at = NULL, error = NULL,"
        " delivered_at = coalesce(delivered_at, ?)",
        *(delivery.reply.version, delivery.reply.version, now if delivery.reply.is_final else None),
    )
    if is_first_final and delivery.reply.source != WITHDRAWN:
        counters.bump(db, "messages_outbound", now)


def later(
    db: Connection, delivery: Delivery, not_before: str, error: str, *, counts: bool = True
) -> None:
    """The network would not take it now: it is tried again, then. Whether that `counts` as a
    failure."""
    _set(
        db,
        delivery,
        "state = 'pending', attempts = attempts + ?, next_attempt_at = ?, error = ?",
        *(int(counts), not_before, error),
    )
    _forget_sending(db, delivery)


def unsure(db: Connection, delivery: Delivery, not_before: str, error: str) -> None:
    """Whether the network has taken it isn't known; the chat's history is asked, then."""
    db.execute(
        "UPDATE outbound_parts SET state = 'unknown'"
        " WHERE ledger_id = ? AND chat_jid = ? AND state = 'sending'",
        (delivery.reply.id, delivery.chat_jid),
    )
    _set(
        db,
        delivery,
        "state = 'unknown', attempts = attempts + 1, next_attempt_at = ?, error = ?",
        *(not_before, error),
    )


def put_back(db: Connection, delivery: Delivery) -> None:
    """The network could not be reached, and took nothing: it waits as before."""
    _forget_sending(db, delivery)
    _set(db, delivery, "state = 'pending'")


def _forget_sending(db: Connection, delivery: Delivery) -> None:
    """What was not posted after all; where that was once more, of the first time it is as unknown
    as before."""
    where = (delivery.reply.id, delivery.chat_jid)
    db.execute(
        "UPDATE outbound_parts SET state = 'unknown', again = 0"
        " WHERE ledger_id = ? AND chat_jid = ? AND state = 'sending' AND again = 1",
        where,
    )
    db.execute(
        "DELETE FROM outbound_parts WHERE ledger_id = ? AND chat_jid = ? AND state = 'sending'",
        where,
    )


def hold(db: Connection, delivery: Delivery, error: str) -> bool:
    """Nobody knows whether it got there, and nothing can tell: a person decides. Whether that
    matters: not where one has dropped it."""
    return _set(
        db, delivery, "state = 'unknown', held = 1, next_attempt_at = NULL, error = ?", error
    )


def bury(db: Connection, delivery: Delivery, error: str) -> bool:
    """It will never get there. Whether that matters: not where a person has dropped it."""
    _forget_sending(db, delivery)
    return _set(db, delivery, "state = 'dead', next_attempt_at = NULL, error = ?", error)


def _set(db: Connection, delivery: Delivery, what: str, *values: str | int | None) -> bool:
    """Whether there was anything to change."""
    changed = db.execute(
        f"UPDATE outbound_deliveries SET {what}"
        " WHERE ledger_id = ? AND chat_jid = ? AND state <> 'dropped'",
        (*values, delivery.reply.id, delivery.chat_jid),
    )
    return changed.rowcount > 0


def newest_id(db: Connection, chat_jid: str) -> str | None:
    """The newest of the network's ids of the messages that we have posted in a chat, where ids are
    ordered as texts. A file's id is no message's, and a cursor may be of our own clock."""
    row = db.execute(
        "SELECT max(remote_id) FROM outbound_parts WHERE chat_jid = ? AND number < ?",
        (chat_jid, FILES),
    ).fetchone()
    return str(row[0]) if row[0] else None


def files_sent(db: Connection, chat_jid: str) -> set[str]:
    """The network's ids of the files that we have sent to a chat."""
    rows = db.execute(
        "SELECT remote_id FROM outbound_parts WHERE chat_jid = ? AND number >= ?"
        " AND remote_id IS NOT NULL",
        (chat_jid, FILES),
    )
    return {str(row[0]) for row in rows}


def next_due(db: Connection, channel: str, now: str) -> str | None:
    """When the next delivery that was put off is due."""
    row = db.execute(
        "SELECT min(next_attempt_at) FROM outbound_deliveries d WHERE channel = ?"
        f" AND {_UNDELIVERED} AND next_attempt_at > ?",
        (channel, now),
    ).fetchone()
    return str(row[0]) if row[0] else None


def of_remote(db: Connection, chat_jid: str, remote_id: str) -> int | None:
    """The ledger's number of what we have posted as this message of the network's."""
    row = db.execute(
        "SELECT ledger_id FROM outbound_parts WHERE chat_jid = ? AND remote_id = ?",
        (chat_jid, remote_id),
    ).fetchone()
    return int(row[0]) if row else None


def as_delivery(row: Row) -> Delivery:
    """A row of `SELECT` as a delivery."""
    values: list[Any] = list(row)
    values[-1] = bool(values[-1])
    return Delivery(as_reply(values[:12]), *values[12:])


def _part(row: Row) -> Part:
    values: list[Any] = list(row)
    values[-1] = bool(values[-1])
    return Part(*values)
