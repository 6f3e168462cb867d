"""What chat networks need: threads, edits and deletions, files that came with a message, how far a
channel's history was read; and each part of a reply as it stands in its chat, so that after a
crash what was sent can be told from what wasn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

CHANGES = """
ALTER TABLE messages ADD COLUMN thread TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN replaces INTEGER;
CREATE INDEX messages_that_replace ON messages(replaces, seq) WHERE replaces IS NOT NULL;
CREATE INDEX messages_of_thread ON messages(thread, seq) WHERE thread <> '';

ALTER TABLE runs ADD COLUMN thread TEXT NOT NULL DEFAULT '';
DROP INDEX runs_one_queued;
CREATE UNIQUE INDEX runs_one_queued ON runs(group_folder, lane, thread)
  WHERE state = 'queued' AND kind = 'chat' AND apart = 0;

ALTER TABLE outbound_ledger ADD COLUMN thread TEXT NOT NULL DEFAULT '';
ALTER TABLE outbound_ledger ADD COLUMN doing TEXT;

CREATE TABLE deliveries_anew (
  ledger_id INTEGER NOT NULL REFERENCES outbound_ledger(id) ON DELETE CASCADE,
  chat_jid TEXT NOT NULL,
  channel TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (
    state IN ('pending', 'sending', 'sent', 'unknown', 'dead', 'dropped')),
  delivered_version INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at TEXT,
  delivered_at TEXT,
  error TEXT,
  held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
  PRIMARY KEY (ledger_id, chat_jid)
) STRICT, WITHOUT ROWID;
INSERT INTO deliveries_anew(ledger_id, chat_jid, channel, state, delivered_version, attempts,
  next_attempt_at, delivered_at, error)
  SELECT ledger_id, chat_jid, channel, iif(state = 'delivered', 'sent', state), delivered_version,
    attempts, next_attempt_at, delivered_at, error FROM outbound_deliveries;
DROP TABLE outbound_deliveries;
ALTER TABLE deliveries_anew RENAME TO outbound_deliveries;
CREATE INDEX outbound_due ON outbound_deliveries(channel, chat_jid, ledger_id)
  WHERE state IN ('pending', 'sending', 'unknown');
CREATE INDEX outbound_dead ON outbound_deliveries(ledger_id) WHERE state = 'dead';

CREATE TABLE outbound_parts (
  ledger_id INTEGER NOT NULL,
  chat_jid TEXT NOT NULL,
  number INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'unknown')),
  remote_id TEXT,
  digest TEXT NOT NULL,
  after_id TEXT,
  begun_at TEXT NOT NULL,
  again INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1)),
  PRIMARY KEY (ledger_id, chat_jid, number),
  FOREIGN KEY (ledger_id, chat_jid) REFERENCES outbound_deliveries(ledger_id, chat_jid)
    ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX outbound_parts_remote ON outbound_parts(chat_jid, remote_id)
  WHERE remote_id IS NOT NULL;

CREATE TABLE channel_cursors (
  channel TEXT NOT NULL,
  chat_jid TEXT NOT NULL,
  cursor_value TEXT NOT NULL,
  floor_value TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (channel, chat_jid)
) STRICT, WITHOUT ROWID;

CREATE TABLE channel_inbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  received_at TEXT NOT NULL
) STRICT;

CREATE TABLE message_files (
  seq INTEGER NOT NULL REFERENCES messages(seq),
  number INTEGER NOT NULL,
  remote_id TEXT NOT NULL,
  name TEXT NOT NULL,
  mime TEXT NOT NULL,
  size INTEGER,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'here', 'failed')),
  path TEXT,
  error TEXT,
  wait_until TEXT NOT NULL,
  PRIMARY KEY (seq, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_files_waiting ON message_files(seq) WHERE state = 'waiting';

ALTER TABLE group_chats ADD COLUMN since_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE group_chats ADD COLUMN linked_at TEXT;

ALTER TABLE processes ADD COLUMN connected INTEGER CHECK (connected IN (0, 1))
"""


def apply(db: Database) -> None:
    """Make the tables and the columns."""
    for statement in CHANGES.split(";\n"):
        if statement.strip():
            db.execute(statement)
