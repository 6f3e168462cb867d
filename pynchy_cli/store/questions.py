"""Questions for people."""

from __future__ import annotations

from pynchy_cli.store.connection import Connection


def expire(db: Connection, now: str) -> int:
    """End what waited too long."""
    return 0
