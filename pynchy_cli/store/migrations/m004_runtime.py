"""Which runtime a live sandbox is of, so that no worker takes one for gone because it asked
another runtime for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def apply(db: Database) -> None:
    """Add the column; it is empty where there is no sandbox."""
    db.execute("ALTER TABLE sessions ADD COLUMN runtime TEXT")
