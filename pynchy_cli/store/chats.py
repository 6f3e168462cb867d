"""Chats that we have seen. A chat is never removed: messages refer to it."""

from __future__ import annotations

from pynchy_cli.model import Chat
from pynchy_cli.store.connection import Connection


def seen(db: Connection, jid: str, name: str | None, now: str) -> None:
    """Make the chat known; a name that is given replaces the old one."""
    db.execute(
        "INSERT INTO chats(jid, channel, name, first_seen_at) VALUES(?, ?, ?, ?) "
        "ON CONFLICT(jid) DO UPDATE SET name = excluded.name "
        "WHERE excluded.name IS NOT NULL AND excluded.name IS NOT chats.name",
        (jid, Chat(jid).channel, name, now),
    )


def get(db: Connection, jid: str) -> Chat | None:
    """The chat of this address, or None where it was never seen."""
    row = db.execute("SELECT jid, name FROM chats WHERE jid = ?", (jid,)).fetchone()
    return Chat(row["jid"], row["name"]) if row else None
