"""What people said that runs take up: which of it a run answers, and where runs are under way."""

from __future__ import annotations

from pynchy_cli.model import Message
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.messages import COLUMNS, as_message

AT_ONCE = 100
"""Messages of one run in one chat that are looked at, at most: the newest."""
_TAKEN_UP = (
    "m.seq BETWEEN r.first_seq AND r.last_seq AND m.thread = r.thread AND m.verdict = 'allowed'"
    " AND m.message_type = 'user' AND r.kind = 'chat'"
)


def taken_up(db: Connection, run_id: int, chat_jid: str) -> list[Message]:
    """What was said in a chat by people that a run listens to, and takes up, in order."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM runs r JOIN messages m ON m.chat_jid = ? AND {_TAKEN_UP}"
        " WHERE r.id = ? ORDER BY m.seq DESC LIMIT ?",
        (chat_jid, run_id, AT_ONCE),
    ).fetchall()
    return [as_message(row) for row in rows][::-1]


def under_way(db: Connection, channel: str) -> list[tuple[int, str]]:
    """The runs that are under way, each with a chat of the channel whose messages it takes up."""
    rows = db.execute(
        "SELECT r.id, c.jid FROM runs r JOIN chats c ON c.channel = ? AND ("
        " EXISTS (SELECT 1 FROM registered_groups g WHERE g.folder = r.group_folder"
        " AND g.jid = c.jid) OR EXISTS (SELECT 1 FROM group_chats l"
        " WHERE l.group_folder = r.group_folder AND l.jid = c.jid))"
        " WHERE r.state = 'running' AND r.kind = 'chat' ORDER BY r.id, c.jid",
        (channel,),
    )
    return [(int(row[0]), str(row[1])) for row in rows]
