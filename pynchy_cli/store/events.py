"""The trace: what agents think, which tools they call, what becomes of it. An event is for
looking at; nothing is decided by it."""

from __future__ import annotations

import json
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


def tools(db: Connection, run_id: int, since: str, most: int) -> list[dict[str, Any]]:
    """The last tool calls of a run since a time, oldest first: `name` and `input` of each."""
    rows = db.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event_type = 'tool_use'"
        " AND timestamp >= ? ORDER BY id DESC LIMIT ?",
        (run_id, since, most),
    ).fetchall()
    return [json.loads(row[0]) for row in reversed(rows)]
