"""How far the history of each chat was taken in, by its channel; what came before its turn; and
files that came with messages and are still to be fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pynchy_cli import clock
from pynchy_cli.model import SharedFile
from pynchy_cli.store.connection import Connection

LATELY = 14 * 86400.0
"""Seconds for which a thread is looked at after somebody spoke in it."""
THREADS = 50
"""Threads of a chat that are looked at, at most: those last spoken in."""


def known(db: Connection, channel: str) -> list[tuple[str, str | None, str | None, str]]:
    """The chats of a channel that belong to a group: address, cursor and floor, where there are
    some, and when the group came there."""
    rows = db.execute(
        "SELECT c.jid, k.cursor_value, k.floor_value, coalesce(l.linked_at, g.added_at)"
        " FROM chats c LEFT JOIN group_chats l ON l.jid = c.jid"
        " JOIN registered_groups g ON g.jid = c.jid OR g.folder = l.group_folder"
        " LEFT JOIN channel_cursors k ON k.channel = c.channel AND k.chat_jid = c.jid"
        " WHERE c.channel = ? ORDER BY c.last_message_at DESC",
        (channel,),
    )
    return [tuple(row) for row in rows]


def threads(db: Connection, chat_jid: str, now: str) -> list[str]:
    """The threads of a chat that somebody spoke in lately, the newest first."""
    rows = db.execute(
        "SELECT thread FROM messages WHERE thread <> '' AND chat_jid = ? AND received_at > ?"
        " GROUP BY thread ORDER BY max(seq) DESC LIMIT ?",
        (chat_jid, clock.after(now, -LATELY), THREADS),
    )
    return [str(row[0]) for row in rows]


def advance(db: Connection, channel: str, chat_jid: str, cursor: str, now: str) -> None:
    """Everything in a chat up to a cursor was taken in. Never goes back."""
    db.execute(
        "INSERT INTO channel_cursors(channel, chat_jid, cursor_value, floor_value, updated_at)"
        " VALUES (?1, ?2, ?3, ?3, ?4) ON CONFLICT DO UPDATE SET"
        " cursor_value = max(cursor_value, excluded.cursor_value),"
        " updated_at = excluded.updated_at",
        (channel, chat_jid, cursor, now),
    )


def keep(db: Connection, channel: str, came: Sequence[tuple[str, str]], now: str) -> list[int]:
    """Keep what came, each a kind and a payload, until what was said before it is there; the
    numbers by which it is known."""
    return [
        int(
            db.execute(
                "INSERT INTO channel_inbox(channel, kind, payload, received_at)"
                " VALUES (?, ?, ?, ?) RETURNING id",
                (channel, kind, payload, now),
            ).fetchone()[0]
        )
        for kind, payload in came
    ]


def kept(db: Connection, channel: str) -> list[tuple[int, str, str]]:
    """What is kept, in the order in which it came: number, kind and payload."""
    rows = db.execute(
        "SELECT id, kind, payload FROM channel_inbox WHERE channel = ? ORDER BY id", (channel,)
    )
    return [tuple(row) for row in rows]


def taken(db: Connection, numbers: Iterable[int]) -> None:
    """What was kept is taken in."""
    db.executemany("DELETE FROM channel_inbox WHERE id = ?", [(one,) for one in numbers])


def waiting_files(db: Connection, channel: str) -> list[tuple[int, int, str, SharedFile]]:
    """The files of a channel's messages that are still to be fetched: the message's place, the
    file's number in it, the folder of the group, and what it is."""
    rows = db.execute(
        "SELECT f.seq, f.number, g.folder, f.remote_id, f.name, f.mime, f.size"
        " FROM message_files f JOIN messages m ON m.seq = f.seq JOIN chats c ON c.jid = m.chat_jid"
        " JOIN registered_groups g ON g.jid = c.jid OR g.folder ="
        " (SELECT group_folder FROM group_chats WHERE jid = c.jid)"
        " WHERE f.state = 'waiting' AND c.channel = ? ORDER BY f.seq, f.number",
        (channel,),
    ).fetchall()
    return [(row[0], row[1], row[2], SharedFile(row[3], row[4], row[5], row[6])) for row in rows]


def file_came(db: Connection, seq: int, number: int, path: str | None, error: str | None) -> None:
    """A file was fetched, as `path`, or never will be."""
    db.execute(
        "UPDATE message_files SET state = ?, path = ?, error = ? WHERE seq = ? AND number = ?"
        " AND state = 'waiting'",
        ("here" if error is None else "failed", path, error, seq, number),
    )
