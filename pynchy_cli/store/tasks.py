"""Scheduled tasks: whose they are. Their identity is the row's, whatever somebody calls them."""

from __future__ import annotations

from pynchy_cli.store.connection import Connection


def group_of(db: Connection, id: str) -> str | None:
    """The group that a task is of; None where there is no such task."""
    row = db.execute("SELECT group_folder FROM scheduled_tasks WHERE id = ?", (id,)).fetchone()
    return str(row[0]) if row else None
