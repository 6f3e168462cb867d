"""What agents ask of the host, what waits for a person because of it, the things to do that groups
keep, files that go with a reply, runs that belong to another run; the log of all decisions, which
is only ever added to; and an index by which a chat's messages of one moment keep their order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

CHANGES = """
CREATE TABLE requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  group_folder TEXT NOT NULL REFERENCES registered_groups(folder) ON DELETE CASCADE,
  session TEXT NOT NULL,
  request_id TEXT NOT NULL,
  lane TEXT NOT NULL,
  role TEXT NOT NULL,
  run_id INTEGER,
  chat_jid TEXT,
  type TEXT NOT NULL,
  payload TEXT NOT NULL,
  digest TEXT NOT NULL,
  state TEXT NOT NULL CHECK (
    state IN ('accepted', 'waiting', 'started', 'done', 'failed', 'refused', 'unknown')),
  gated INTEGER NOT NULL DEFAULT 0 CHECK (gated IN (0, 1)),
  prepared TEXT,
  child_run INTEGER,
  owner INTEGER,
  answer TEXT,
  delivered INTEGER NOT NULL DEFAULT 0 CHECK (delivered IN (0, 1)),
  created_at TEXT NOT NULL,
  decided_at TEXT,
  finished_at TEXT,
  UNIQUE (group_folder, session, request_id)
) STRICT;

CREATE INDEX requests_to_do ON requests(group_folder, id) WHERE state = 'accepted';
CREATE INDEX requests_started ON requests(owner) WHERE state = 'started';
CREATE INDEX requests_for_child ON requests(child_run) WHERE child_run IS NOT NULL;
CREATE INDEX requests_undelivered ON requests(id) WHERE delivered = 0 AND answer IS NOT NULL;
CREATE INDEX requests_waiting ON requests(group_folder, lane) WHERE state = 'waiting';
CREATE INDEX requests_of_group ON requests(group_folder, id);
CREATE INDEX requests_pinned ON requests(group_folder, created_at) WHERE prepared IS NOT NULL;

CREATE TABLE approvals (
  id TEXT PRIMARY KEY,
  request INTEGER NOT NULL UNIQUE REFERENCES requests(id) ON DELETE CASCADE,
  group_folder TEXT NOT NULL,
  chats TEXT NOT NULL,
  summary TEXT NOT NULL,
  digest TEXT NOT NULL,
  approvers TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (
    state IN ('pending', 'approved', 'denied', 'expired', 'withdrawn')),
  asked_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  decided_at TEXT,
  decided_by TEXT,
  reason TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX approvals_pending ON approvals(expires_at) WHERE state = 'pending';

CREATE TABLE questions (
  id TEXT PRIMARY KEY,
  request INTEGER NOT NULL UNIQUE REFERENCES requests(id) ON DELETE CASCADE,
  group_folder TEXT NOT NULL,
  chat_jid TEXT NOT NULL,
  questions TEXT NOT NULL,
  answers TEXT NOT NULL DEFAULT '{}',
  state TEXT NOT NULL DEFAULT 'pending' CHECK (
    state IN ('pending', 'answered', 'expired', 'withdrawn')),
  asked_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  decided_at TEXT,
  answered_by TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX questions_pending ON questions(group_folder, asked_at) WHERE state = 'pending';
CREATE INDEX questions_expiring ON questions(expires_at) WHERE state = 'pending';

CREATE TABLE ids_given (
  id TEXT PRIMARY KEY,
  at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX ids_given_long_ago ON ids_given(at);

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  decision TEXT NOT NULL,
  group_folder TEXT,
  who TEXT NOT NULL,
  subject TEXT NOT NULL,
  request INTEGER,
  run_id INTEGER,
  reason TEXT,
  digest TEXT,
  detail TEXT NOT NULL DEFAULT '{}',
  previous TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE
) STRICT;

CREATE INDEX audit_of_group ON audit(group_folder, id);
CREATE INDEX audit_anchors ON audit(id) WHERE kind = 'anchor';

CREATE TRIGGER audit_is_only_added_to BEFORE INSERT ON audit
WHEN NEW.id IS NULL OR EXISTS (SELECT 1 FROM audit WHERE id >= NEW.id OR hash = NEW.hash)
BEGIN
  SELECT RAISE(ABORT, 'the audit log is only added to, at its end');
END;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit BEGIN
  SELECT RAISE(ABORT, 'the audit log is only added to');
END;

CREATE TRIGGER audit_is_never_cut BEFORE DELETE ON audit
WHEN NOT EXISTS (
  SELECT 1 FROM audit WHERE kind = 'anchor' AND id > OLD.id
    AND json_extract(detail, '$.through') >= OLD.id)
BEGIN
  SELECT RAISE(ABORT, 'the audit log is only pruned behind an anchor');
END;

CREATE TABLE todos (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  group_folder TEXT NOT NULL REFERENCES registered_groups(folder) ON DELETE CASCADE,
  content TEXT NOT NULL,
  done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
  created_at TEXT NOT NULL,
  done_at TEXT
) STRICT;

CREATE INDEX todos_of_group ON todos(group_folder, done, id);

CREATE TABLE outbound_files (
  ledger_id INTEGER NOT NULL REFERENCES outbound_ledger(id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (ledger_id, number)
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN parent INTEGER;
ALTER TABLE runs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN shares TEXT CHECK (shares IN ('none', 'read', 'write'));
ALTER TABLE runs ADD COLUMN result TEXT;

CREATE INDEX runs_of_parent ON runs(parent) WHERE parent IS NOT NULL;

CREATE INDEX messages_of_chat_by_time ON messages(chat_jid, timestamp);

INSERT INTO counters(name, value) VALUES
  ('requests_done', 0), ('requests_refused', 0), ('requests_failed', 0),
  ('requests_unreadable', 0)
"""


def apply(db: Database) -> None:
    """Make the tables and the columns."""
    for statement in CHANGES.split(";\n\n"):
        for one in [statement] if "TRIGGER" in statement else statement.split(";\n"):
            if one.strip():
                db.execute(one.strip().removesuffix(";") + ";")
