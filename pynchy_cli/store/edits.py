"""What people do to what was said before: they edit it, take it back, or react to it. Such rows
name the message that they are of; the messages themselves never change."""

from __future__ import annotations

from pynchy_cli.model import Message
from pynchy_cli.store.connection import Connection


def adopt(db: Connection, chat_jid: str, stored_id: str, seq: int) -> None:
    """A message has come of which an edit or a deletion came before: it is of this one. The ids of
    such rows are the message's with more behind a hyphen."""
    db.execute(
        "UPDATE messages SET replaces = ?1 WHERE chat_jid = ?2 AND id > ?3 || '-'"
        " AND id < ?3 || '.' AND replaces IS NULL AND message_type IN ('edit', 'deletion')"
        " AND sender IN ('', (SELECT sender FROM messages WHERE seq = ?1))",
        (seq, chat_jid, stored_id),
    )


def is_overtaken(db: Connection, edit: Message) -> bool:
    """Whether the message of an edit was edited again later, or deleted, and that came before."""
    row = db.execute(
        "SELECT 1 FROM messages e JOIN messages m ON m.replaces = e.replaces WHERE e.seq = ?"
        " AND m.seq < e.seq AND m.verdict = 'allowed' AND (m.message_type = 'deletion'"
        " OR m.message_type = 'edit' AND m.timestamp > e.timestamp) LIMIT 1",
        (edit.seq,),
    ).fetchone()
    return row is not None


def versions(db: Connection, edit: Message) -> list[str]:
    """What the message that an edit is of said before the edit, as it came and after each earlier
    edit; nothing where that message isn't known."""
    rows = db.execute(
        "SELECT m.content FROM messages e JOIN messages m ON m.seq = e.replaces"
        " WHERE e.seq = ?1 UNION ALL"
        " SELECT content FROM (SELECT m.content FROM messages e JOIN messages m"
        " ON m.replaces = e.replaces WHERE e.seq = ?1 AND m.seq < e.seq"
        " AND m.message_type = 'edit' AND m.verdict = 'allowed' ORDER BY m.seq)",
        (edit.seq,),
    ).fetchall()
    return [str(row[0]) for row in rows]


def is_last_said(db: Connection, chat_jid: str, thread: str, since: str, seq: int = 0) -> bool:
    """Whether nobody who may speak has said anything in a chat's thread, or outside of any, since a
    moment, behind a place."""
    row = db.execute(
        "SELECT 1 FROM messages WHERE chat_jid = ? AND seq > ? AND thread = ?"
        " AND received_at >= ? AND message_type = 'user' AND verdict = 'allowed' LIMIT 1",
        (chat_jid, seq, thread, since),
    ).fetchone()
    return row is None
