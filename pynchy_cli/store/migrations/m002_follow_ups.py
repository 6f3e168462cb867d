"""Runs that grow while they are at work, that can be stopped, and whose next attempt knows of
the one before; and who was served last, so that no group waits for another's second turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

COLUMNS = """
ALTER TABLE runs ADD COLUMN told_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN answered_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN replies INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN asked TEXT CHECK (asked IN ('stop', 'interrupt'));
ALTER TABLE runs ADD COLUMN note TEXT;
ALTER TABLE registered_groups ADD COLUMN served INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_cancelled ON runs(group_folder, last_seq) WHERE state = 'cancelled';
UPDATE runs SET told_seq = last_seq
"""


def apply(db: Database) -> None:
    """Add the columns and an index; what is at work was told all that it had."""
    for statement in COLUMNS.split(";\n"):
        db.execute(statement)
