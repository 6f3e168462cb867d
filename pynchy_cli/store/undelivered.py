"""What didn't get to its chat, as people see it and give orders about it. The process that sends
may be at work on the same rows: `delivery.orders` says what may be done."""

from __future__ import annotations

from pynchy_cli.model import Delivery
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.outbox import SELECT, as_delivery

_WAITING = (
    "(d.ledger_id, d.chat_jid) IN (SELECT ledger_id, chat_jid FROM outbound_deliveries"
    " WHERE state IN ('pending', 'sending', 'unknown') UNION ALL"
    " SELECT ledger_id, chat_jid FROM outbound_deliveries WHERE state = 'dead')"
)
_OVER = ("sent", "dropped")
DEAD, HELD = "dead:", "held:"
"""How the keys of the replies begin that tell of what is dead, and of what waits for a person."""
NOTICES = (DEAD, HELD)


def listed(
    db: Connection,
    *,
    state: str | None = None,
    folder: str | None = None,
    chat_jid: str | None = None,
    limit: int = 200,
) -> list[Delivery]:
    """The newest `limit` deliveries, oldest first: those in a state, else all that are neither sent
    nor dropped; of all, or of one group's replies, or to one chat."""
    which = "1" if state in _OVER else _WAITING
    rows = db.execute(
        f"{SELECT} WHERE {which} AND (:state IS NULL OR d.state = :state)"
        " AND (:folder IS NULL OR l.group_folder = :folder)"
        " AND (:chat IS NULL OR d.chat_jid = :chat) ORDER BY d.ledger_id DESC LIMIT :limit",
        {"state": state, "folder": folder, "chat": chat_jid, "limit": limit},
    ).fetchall()
    return [as_delivery(row) for row in reversed(rows)]


def given_up(db: Connection, *, chat_jid: str | None = None) -> list[Delivery]:
    """All that wait for a person, oldest first: the dead, and those of which nobody knows whether
    they got there; of all chats, or to one."""
    rows = db.execute(
        f"{SELECT} WHERE {_WAITING} AND (d.state = 'dead' OR d.held = 1)"
        " AND (:chat IS NULL OR d.chat_jid = :chat) ORDER BY d.ledger_id, d.chat_jid",
        {"chat": chat_jid},
    ).fetchall()
    return [as_delivery(row) for row in rows]


def of_reply(db: Connection, ledger_id: int) -> list[Delivery]:
    """How one reply stands in each chat."""
    rows = db.execute(
        f"{SELECT} WHERE d.ledger_id = ? ORDER BY d.chat_jid", (ledger_id,)
    ).fetchall()
    return [as_delivery(row) for row in rows]


def retry(db: Connection, delivery: Delivery, *, again: bool = False) -> bool:
    """Have it be tried again now. What may be there already is looked for first; or with `again`
    that is forgotten, and is sent once more. Whether anything may be there already."""
    where = (delivery.reply.id, delivery.chat_jid)
    if again:
        forgotten = db.execute(
            "DELETE FROM outbound_parts WHERE ledger_id = ? AND chat_jid = ? AND state = 'unknown'",
            where,
        ).rowcount
    row = db.execute(
        "UPDATE outbound_deliveries AS d SET attempts = 0, next_attempt_at = NULL, held = 0,"
        " state = iif(EXISTS (SELECT 1 FROM outbound_parts p WHERE p.ledger_id = d.ledger_id"
        " AND p.chat_jid = d.chat_jid AND p.state = 'unknown'), 'unknown', 'pending')"
        " WHERE ledger_id = ? AND chat_jid = ? RETURNING state = 'unknown'",
        where,
    ).fetchone()
    return bool(forgotten if again else row[0])


def drop(db: Connection, delivery: Delivery) -> None:
    """Nobody wants it to be tried again; what stands in the chat of it stays."""
    db.execute(
        "UPDATE outbound_deliveries SET state = 'dropped', held = 0, next_attempt_at = NULL"
        " WHERE ledger_id = ? AND chat_jid = ?",
        (delivery.reply.id, delivery.chat_jid),
    )


def count_in(db: Connection, kind: str, chat_jid: str) -> int:
    """How many replies to a chat are `DEAD`, or `HELD`; but for those that tell of others."""
    row = db.execute(
        "SELECT count(*) FROM outbound_deliveries d JOIN outbound_ledger l ON l.id = d.ledger_id"
        f" WHERE {_WAITING} AND iif(:kind = '{DEAD}', d.state = 'dead', d.held = 1)"
        f" AND d.chat_jid = :chat AND substr(l.key, 1, 5) NOT IN ('{DEAD}', '{HELD}')",
        {"kind": kind, "chat": chat_jid},
    ).fetchone()
    return int(row[0])


def notice_key(kind: str, delivery: Delivery, folder: str) -> str:
    """The key of what a group is told about a reply that is dead or held."""
    return f"{kind}{delivery.chat_jid} {delivery.reply.id} {folder}"


def notices(db: Connection, kind: str, chat_jid: str, since: str) -> list[str]:
    """The keys of what was told since then of a chat's replies that are dead, or held."""
    rows = db.execute(
        "SELECT key FROM outbound_ledger WHERE key >= :notice || ' ' AND key < :notice || '!'"
        " AND created_at >= :since ORDER BY id",
        {"notice": f"{kind}{chat_jid}", "since": since},
    )
    return [str(row[0]) for row in rows]
