"""When a channel was last asked for the names of its chats, and whether somebody wants it to be
asked again. Kept beside the channel's cursors, as that of no chat."""

from __future__ import annotations

from pynchy_cli import clock
from pynchy_cli.store.connection import Connection

DAY = 86_400.0
_NO_CHAT, _ASKED = "", ""


def is_due(db: Connection, channel: str, now: str) -> bool:
    """Whether the names are a day old, or somebody has asked for them."""
    row = db.execute(
        "SELECT cursor_value FROM channel_cursors WHERE channel = ? AND chat_jid = ?",
        (channel, _NO_CHAT),
    ).fetchone()
    # A time that lies ahead was noted before the clock was set back.
    return row is None or not clock.after(now, -DAY) < row[0] <= now


def synced(db: Connection, channel: str, now: str) -> None:
    """The names were asked for then."""
    db.execute(
        "INSERT INTO channel_cursors(channel, chat_jid, cursor_value, floor_value, updated_at)"
        " VALUES (?1, ?2, ?3, ?3, ?3) ON CONFLICT DO UPDATE SET"
        " cursor_value = excluded.cursor_value, updated_at = excluded.updated_at",
        (channel, _NO_CHAT, now),
    )


def ask(db: Connection, now: str) -> list[str]:
    """Have all channels that ever told names be asked again; which these are."""
    rows = db.execute(
        "UPDATE channel_cursors SET cursor_value = ?, updated_at = ? WHERE chat_jid = ?"
        " RETURNING channel",
        (_ASKED, now, _NO_CHAT),
    ).fetchall()
    return sorted(str(row[0]) for row in rows)
