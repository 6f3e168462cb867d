"""What is new in the file since a place, for whoever follows it: what was said, what agents do,
which conversations began anew, and where agents are at work now. Places are rows' numbers, so that
they mean the same after any restart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pynchy_cli.model import Message
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.messages import COLUMNS, as_message

# Steps of agents stand among a chat's messages, too; the trace tells them.
_SAID = "m.audience <> 'agent' AND m.message_type NOT IN ('thinking', 'tool_use', 'tool_result')"


@dataclass(frozen=True)
class Step:
    """One row of the trace."""

    id: int
    kind: str
    group_folder: str | None
    run_id: int | None
    chat_jid: str | None
    timestamp: str
    payload: dict[str, Any]


def newest(db: Connection) -> tuple[int, int, int]:
    """The places of the newest message, of the newest step, and up to which of the messages a chat
    was cleared last."""
    row = db.execute(
        "SELECT (SELECT coalesce(max(seq), 0) FROM messages),"
        " (SELECT coalesce(max(id), 0) FROM events),"
        " (SELECT coalesce(max(cleared_seq), 0) FROM chats)"
    ).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def said(db: Connection, after: int, through: int, limit: int) -> list[Message]:
    """The first `limit` messages of all chats after a place that people may see, in order; none of
    an agent's steps."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE m.seq > ? AND m.seq <= ? AND {_SAID}"
        " ORDER BY m.seq LIMIT ?",
        (after, through, limit),
    ).fetchall()
    return [as_message(row) for row in rows]


def last_said(db: Connection, jid: str, limit: int) -> list[Message]:
    """The newest `limit` of these in one chat, oldest first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages m WHERE m.chat_jid = ? AND {_SAID}"
        " ORDER BY m.seq DESC LIMIT ?",
        (jid, limit),
    ).fetchall()
    return [as_message(row) for row in reversed(rows)]


def steps(db: Connection, after: int, through: int, limit: int, longest: int) -> list[Step]:
    """The first `limit` steps after a place, in order; of texts in them `longest` characters."""
    rows = db.execute(
        "SELECT id, event_type, group_folder, run_id, chat_jid, timestamp, payload FROM events"
        " WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (after, through, limit),
    )
    # Row by row: what tools print may be long.
    return [
        Step(row[0], row[1], row[2], row[3], row[4], row[5], _cut(json.loads(row[6]), longest))
        for row in rows
    ]


def cleared(db: Connection, after: int, through: int) -> list[tuple[str, int]]:
    """The chats that began anew between two places: their jids and the last message before it."""
    rows = db.execute(
        "SELECT jid, cleared_seq FROM chats WHERE cleared_seq > ? AND cleared_seq <= ?"
        " ORDER BY cleared_seq, jid",
        (after, through),
    )
    return [(str(row[0]), int(row[1])) for row in rows]


def at_work(db: Connection) -> list[str]:
    """The chats for which agents are at work."""
    rows = db.execute(
        "SELECT DISTINCT coalesce(r.chat_jid, g.jid) FROM runs r"
        " JOIN registered_groups g ON g.folder = r.group_folder"
        " WHERE r.state = 'running' AND r.owner IS NOT NULL AND r.kind IN ('chat', 'task')"
    )
    return sorted(str(row[0]) for row in rows)


def _cut(payload: dict[str, Any], longest: int) -> dict[str, Any]:
    """The payload with its texts no longer than that; `is_cut` says that one was."""
    kept: dict[str, Any] = {}
    for name, value in payload.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        is_long = len(text) > longest
        kept[name] = f"{text[:longest]}…" if is_long else value
        if is_long:
            kept["is_cut"] = True
    return kept
