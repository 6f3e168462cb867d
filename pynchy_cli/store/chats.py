"""Chats that we have seen. A chat is never removed: messages refer to it."""

from __future__ import annotations

import json
from collections.abc import Sequence

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


def claim(db: Connection, jid: str, channel: str, name: str | None, now: str) -> None:
    """A chat is a channel's from now on, and so is what is still to be brought there."""
    seen(db, jid, name, now)
    changed = db.execute(
        "UPDATE chats SET channel = ? WHERE jid = ? AND channel <> ? RETURNING jid",
        (channel, jid, channel),
    ).fetchone()
    if changed is not None:
        db.execute(
            "UPDATE outbound_deliveries SET channel = ? WHERE chat_jid = ? AND state <> 'sent'",
            (channel, jid),
        )


def channel_of(db: Connection, jid: str) -> str:
    """The channel that delivers to a chat."""
    row = db.execute("SELECT channel FROM chats WHERE jid = ?", (jid,)).fetchone()
    return str(row["channel"]) if row else Chat(jid).channel


def names(db: Connection, jids: Sequence[str]) -> dict[str, str]:
    """What chats are called on their networks, of those of which that is known."""
    rows = db.execute(
        "SELECT jid, name FROM chats WHERE name IS NOT NULL AND name <> ''"
        " AND jid IN (SELECT value FROM json_each(?))",
        (json.dumps(list(jids)),),
    ).fetchall()
    return {str(row["jid"]): str(row["name"]) for row in rows}


def of_nobody(db: Connection, limit: int) -> list[tuple[Chat, str | None]]:
    """The chats that no group lives in, and when something was last said there; those come first
    in which that was lately."""
    rows = db.execute(
        "SELECT jid, name, last_message_at FROM chats"
        " WHERE jid NOT IN (SELECT jid FROM registered_groups)"
        " AND jid NOT IN (SELECT jid FROM group_chats)"
        " ORDER BY last_message_at IS NULL, last_message_at DESC, jid LIMIT ?",
        (limit,),
    ).fetchall()
    return [(Chat(row["jid"], row["name"]), row["last_message_at"]) for row in rows]


def get(db: Connection, jid: str) -> Chat | None:
    """The chat of this address, or None where it was never seen."""
    row = db.execute("SELECT jid, name FROM chats WHERE jid = ?", (jid,)).fetchone()
    return Chat(row["jid"], row["name"]) if row else None
