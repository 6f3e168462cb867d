"""What operating needs: holds, which every claim of a run and of a delivery checks; the last result
of each check, so that whoever asks need not make it; and of each process how it ended and what its
settings were, section by section, so that a change concerns as few as possible."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

CHANGES = """
CREATE TABLE holds (
  group_folder TEXT NOT NULL PRIMARY KEY,
  outbound INTEGER NOT NULL DEFAULT 0 CHECK (outbound IN (0, 1)),
  reason TEXT,
  held_by TEXT NOT NULL,
  held_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE findings (
  name TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('ok', 'warning', 'failed')),
  result TEXT NOT NULL,
  at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE processes ADD COLUMN hashes TEXT;
ALTER TABLE processes ADD COLUMN died INTEGER NOT NULL DEFAULT 0 CHECK (died IN (0, 1));
CREATE INDEX processes_of_stage ON processes(stage, id)
"""


def apply(db: Database) -> None:
    """Make the tables, the columns and the index."""
    for statement in CHANGES.split(";\n"):
        if statement.strip():
            db.execute(statement)
