"""Runs that wait apart: what is asked again after others were answered is exactly its range, and
is joined with nothing said later. And the indexes that the first schema's first edition, and so
the homes that it made, did without."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

CHANGES = """
ALTER TABLE runs ADD COLUMN apart INTEGER NOT NULL DEFAULT 0 CHECK (apart IN (0, 1));
DROP INDEX runs_one_queued;
CREATE UNIQUE INDEX runs_one_queued ON runs(group_folder, lane)
  WHERE state = 'queued' AND kind = 'chat' AND apart = 0;
CREATE INDEX runs_given_up ON runs(id)
  WHERE state = 'failed' AND superseded_by IS NULL AND kind <> 'shell';
CREATE INDEX IF NOT EXISTS runs_of_messages ON runs(group_folder, last_seq) WHERE kind = 'chat';
CREATE INDEX IF NOT EXISTS runs_unfinished ON runs(group_folder)
  WHERE state IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS outbound_open ON outbound_ledger(chat_jid) WHERE is_final = 0
"""


def apply(db: Database) -> None:
    """Add the column and the indexes; what waits now waits with what comes."""
    for statement in CHANGES.split(";\n"):
        db.execute(statement)
