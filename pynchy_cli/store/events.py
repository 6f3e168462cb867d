"""The trace: what agents think, which tools they call, what becomes of it. An event is for
looking at; nothing is decided by it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pynchy_cli.store.connection import Connection


def add(
    db: Connection,
    event_type: str,
    payload: dict[str, Any],
    now: str,
    *,
    group_folder: str | None = None,
    run_id: int | None = None,
    chat_jid: str | None = None,
) -> None:
    """One event, its payload as JSON."""
    db.execute(
        "INSERT INTO events(event_type, group_folder, run_id, chat_jid, timestamp, payload)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            event_type,
            group_folder,
            run_id,
            chat_jid,
            now,
            json.dumps(payload, ensure_ascii=False, default=str),
        ),
    )


def show(
    db: Connection, *, key: str, chat_jid: str, kind: str, content: str, now: str, run_id: int
) -> None:
    """A line of what the agent is doing, among the chat's messages; never for the agent."""
    db.execute(
        """
        INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at,
          is_from_me, message_type, audience, run_id)
        VALUES (?, ?, 'pynchy', 'pynchy', ?, ?, ?, 1, ?, 'chat', ?)
        ON CONFLICT DO NOTHING
        """,
        (f"pynchy:{key}", chat_jid, content, now, now, kind, run_id),
    )


@dataclass(frozen=True)
class Event:
    """One row of the trace; `payload` as JSON text."""

    id: int
    event_type: str
    group_folder: str | None
    run_id: int | None
    chat_jid: str | None
    timestamp: str
    payload: str


_COLUMNS = "id, event_type, group_folder, run_id, chat_jid, timestamp, payload"


def last(db: Connection, group_folder: str | None, number: int) -> list[Event]:
    """The newest events of a group (None: of all), oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM events WHERE (?1 IS NULL OR group_folder = ?1)"
        " ORDER BY id DESC LIMIT ?2",
        (group_folder, number),
    ).fetchall()
    return [Event(*row) for row in reversed(rows)]


def after(db: Connection, group_folder: str | None, id: int, limit: int = 1000) -> list[Event]:
    """The first events of a group (None: of all) after one, in order."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM events WHERE id > ?2 AND (?1 IS NULL OR group_folder = ?1)"
        " ORDER BY id LIMIT ?3",
        (group_folder, id, limit),
    ).fetchall()
    return [Event(*row) for row in rows]


def highest(db: Connection) -> int:
    """The number of the newest event; 0 where there is none."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])


def tools(db: Connection, run_id: int, since: str, most: int) -> list[dict[str, Any]]:
    """The last tool calls of a run since a time, oldest first: `name` and `input` of each."""
    rows = db.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event_type = 'tool_use'"
        " AND timestamp >= ? ORDER BY id DESC LIMIT ?",
        (run_id, since, most),
    ).fetchall()
    return [json.loads(row[0]) for row in reversed(rows)]
