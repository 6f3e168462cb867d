"""What a group wants done: short notes that people and agents add, and tick off. Their numbers are
the file's, but each group sees and changes its own alone."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.store.connection import Connection, Row

SHOWN = 200
"""So many are listed at most, the newest."""


@dataclass(frozen=True)
class Todo:
    """One thing to be done, or that was."""

    id: int
    content: str
    done: bool
    created_at: str
    done_at: str | None


def add(db: Connection, group_folder: str, content: str, now: str) -> int:
    """Note something; its number."""
    row = db.execute(
        "INSERT INTO todos(group_folder, content, created_at) VALUES (?, ?, ?) RETURNING id",
        (group_folder, content, now),
    ).fetchone()
    return int(row[0])


def all(db: Connection, group_folder: str, include_done: bool, *, limit: int = SHOWN) -> list[Todo]:
    """What a group wants done, and what it has done if that is wanted too, oldest first; of more
    than `limit` the newest."""
    rows = db.execute(
        "SELECT id, content, done, created_at, done_at FROM todos"
        " WHERE group_folder = ?1 AND done = 0 UNION ALL"
        " SELECT id, content, done, created_at, done_at FROM todos"
        " WHERE group_folder = ?1 AND done = 1 AND ?2"
        " ORDER BY id DESC LIMIT ?3",
        (group_folder, int(include_done), limit),
    ).fetchall()
    return [_todo(row) for row in reversed(rows)]


def complete(db: Connection, group_folder: str, id: int, now: str) -> bool:
    """Tick one off; whether the group has it. What is done already stays as it is."""
    row = db.execute(
        "UPDATE todos SET done = 1, done_at = coalesce(done_at, ?)"
        " WHERE id = ? AND group_folder = ? RETURNING id",
        (now, id, group_folder),
    ).fetchone()
    return row is not None


def _todo(row: Row) -> Todo:
    return Todo(row["id"], row["content"], bool(row["done"]), row["created_at"], row["done_at"])
