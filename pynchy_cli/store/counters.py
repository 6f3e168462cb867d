"""Totals and last times that `status` shows, kept by the transactions that they count, so
that nobody ever counts a whole table."""

from __future__ import annotations

from pynchy_cli.store.connection import Connection


def bump(db: Connection, name: str, now: str, by: int = 1) -> None:
    """Add to a total and note the time; inside the transaction that is counted."""
    db.execute(
        "INSERT INTO counters(name, value, at) VALUES (?, ?, ?) "
        "ON CONFLICT(name) DO UPDATE SET value = value + excluded.value, at = excluded.at",
        (name, by, now),
    )


def read(db: Connection) -> dict[str, tuple[int, str | None]]:
    """All totals with the time of their last change."""
    return {name: (value, at) for name, value, at in db.execute("SELECT * FROM counters")}
