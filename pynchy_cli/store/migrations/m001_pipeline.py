"""The first schema: chats, groups, messages, runs, sessions, replies, the trace and the
processes. Scheduled tasks have their table already, because operators query it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

TABLES = """
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL,
  at TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE chats (
  jid TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  name TEXT,
  first_seen_at TEXT NOT NULL,
  last_message_at TEXT,
  cleared_seq INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE registered_groups (
  folder TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  jid TEXT NOT NULL UNIQUE REFERENCES chats(jid),
  is_admin INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
  trigger_mode TEXT NOT NULL DEFAULT 'mention' CHECK (trigger_mode IN ('mention', 'always')),
  trigger_pattern TEXT,
  allowed_users TEXT NOT NULL DEFAULT '["owner"]',
  number INTEGER NOT NULL UNIQUE,
  routed_seq INTEGER NOT NULL,
  answered_seq INTEGER NOT NULL,
  added_at TEXT NOT NULL
) STRICT;

CREATE TABLE group_chats (
  jid TEXT PRIMARY KEY REFERENCES chats(jid),
  group_folder TEXT NOT NULL REFERENCES registered_groups(folder) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX group_chats_of_group ON group_chats(group_folder);

CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  chat_jid TEXT NOT NULL REFERENCES chats(jid),
  sender TEXT NOT NULL,
  sender_name TEXT NOT NULL,
  content TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  received_at TEXT NOT NULL,
  is_from_me INTEGER NOT NULL DEFAULT 0 CHECK (is_from_me IN (0, 1)),
  message_type TEXT NOT NULL DEFAULT 'user',
  audience TEXT NOT NULL DEFAULT 'both' CHECK (audience IN ('agent', 'chat', 'both')),
  verdict TEXT NOT NULL DEFAULT 'allowed' CHECK (verdict IN ('allowed', 'refused')),
  run_id INTEGER,
  metadata TEXT,
  UNIQUE (chat_jid, id)
) STRICT;

CREATE INDEX messages_of_chat ON messages(chat_jid, seq);
CREATE INDEX messages_by_time ON messages(timestamp);
CREATE INDEX messages_for_agent ON messages(chat_jid, seq)
  WHERE audience IN ('agent', 'both') AND verdict = 'allowed' AND message_type <> 'assistant';

CREATE TABLE runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  group_folder TEXT NOT NULL REFERENCES registered_groups(folder) ON DELETE CASCADE,
  lane TEXT NOT NULL,
  kind TEXT NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'superseded')),
  attempts INTEGER NOT NULL DEFAULT 0,
  takeovers INTEGER NOT NULL DEFAULT 0,
  first_seq INTEGER NOT NULL DEFAULT 0,
  last_seq INTEGER NOT NULL DEFAULT 0,
  chat_jid TEXT,
  prompt TEXT,
  owner INTEGER,
  not_before TEXT,
  error TEXT,
  superseded_by INTEGER,
  created_at TEXT NOT NULL,
  started_at TEXT,
  finished_at TEXT
) STRICT;

CREATE UNIQUE INDEX runs_one_running ON runs(group_folder, lane) WHERE state = 'running';
CREATE UNIQUE INDEX runs_one_queued ON runs(group_folder, lane)
  WHERE state = 'queued' AND kind = 'chat';
CREATE INDEX runs_claim ON runs(id) WHERE state = 'queued';
CREATE INDEX runs_at_work ON runs(owner) WHERE state = 'running';
CREATE INDEX runs_of_messages ON runs(group_folder, last_seq) WHERE kind = 'chat';
CREATE INDEX runs_of_group ON runs(group_folder, id);
CREATE INDEX runs_unfinished ON runs(group_folder) WHERE state IN ('queued', 'running');

CREATE TABLE sessions (
  group_folder TEXT NOT NULL REFERENCES registered_groups(folder) ON DELETE CASCADE,
  lane TEXT NOT NULL,
  session_id TEXT,
  generation INTEGER NOT NULL DEFAULT 0,
  folder TEXT,
  owner INTEGER,
  sandbox TEXT,
  output_offset INTEGER NOT NULL DEFAULT 0,
  started_at TEXT,
  last_used_at TEXT,
  PRIMARY KEY (group_folder, lane)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_live ON sessions(owner) WHERE owner IS NOT NULL;

CREATE TABLE outbound_ledger (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL UNIQUE,
  chat_jid TEXT NOT NULL REFERENCES chats(jid),
  group_folder TEXT,
  run_id INTEGER,
  content TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  is_final INTEGER NOT NULL DEFAULT 1 CHECK (is_final IN (0, 1)),
  source TEXT NOT NULL,
  created_at TEXT NOT NULL,
  finished_at TEXT
) STRICT;

CREATE INDEX outbound_open ON outbound_ledger(chat_jid) WHERE is_final = 0;
CREATE INDEX outbound_of_run ON outbound_ledger(run_id) WHERE run_id IS NOT NULL;

CREATE TABLE outbound_deliveries (
  ledger_id INTEGER NOT NULL REFERENCES outbound_ledger(id) ON DELETE CASCADE,
  chat_jid TEXT NOT NULL,
  channel TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  remote_id TEXT,
  delivered_version INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_at TEXT,
  delivered_at TEXT,
  error TEXT,
  PRIMARY KEY (ledger_id, chat_jid)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbound_due ON outbound_deliveries(channel, chat_jid, ledger_id)
  WHERE state = 'pending';

CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_type TEXT NOT NULL,
  group_folder TEXT,
  run_id INTEGER,
  chat_jid TEXT,
  timestamp TEXT NOT NULL,
  payload TEXT NOT NULL
) STRICT;

CREATE INDEX events_of_run ON events(run_id, id) WHERE run_id IS NOT NULL;

CREATE TABLE failures (
  stage TEXT NOT NULL,
  subject TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('retrying', 'set_aside')),
  error TEXT NOT NULL,
  first_at TEXT NOT NULL,
  last_at TEXT NOT NULL,
  retry_at TEXT,
  PRIMARY KEY (stage, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE processes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  stage TEXT NOT NULL,
  pid INTEGER NOT NULL,
  lock TEXT NOT NULL,
  version TEXT NOT NULL,
  config_hash TEXT NOT NULL,
  settings TEXT NOT NULL,
  started_at TEXT NOT NULL,
  ended_at TEXT,
  report TEXT,
  error TEXT,
  error_at TEXT
) STRICT;

CREATE INDEX processes_alive ON processes(stage) WHERE ended_at IS NULL;

CREATE TABLE scheduled_tasks (
  id TEXT PRIMARY KEY,
  group_folder TEXT NOT NULL REFERENCES registered_groups(folder) ON DELETE CASCADE,
  chat_jid TEXT,
  prompt TEXT NOT NULL,
  schedule_type TEXT NOT NULL,
  schedule_value TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active',
  next_run TEXT,
  created_at TEXT NOT NULL
) STRICT;

INSERT INTO counters(name, value) VALUES
  ('commits', 0), ('messages_inbound', 0), ('messages_outbound', 0);
"""


def apply(db: Database) -> None:
    """Make the tables."""
    for statement in TABLES.split(";\n"):
        if statement.strip():
            db.execute(statement)
