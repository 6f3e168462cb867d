"""What operating needs: holds, which every claim of a run and of a delivery checks; the last result
of each check, so that whoever asks need not make it; and of each process how it ended and what its
settings were, section by section, so that a change concerns as few as possible. What `status` tells
of tasks, runs and failures is read off indexes; which tasks fail is a column of theirs."""

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
CREATE INDEX processes_of_stage ON processes(stage, id);
CREATE INDEX processes_troubled ON processes(ended_at) WHERE died = 1 OR error IS NOT NULL;

ALTER TABLE scheduled_tasks ADD COLUMN failing INTEGER NOT NULL DEFAULT 0
  CHECK (failing IN (0, 1));
ALTER TABLE host_jobs ADD COLUMN failing INTEGER NOT NULL DEFAULT 0 CHECK (failing IN (0, 1));
UPDATE scheduled_tasks SET failing = 1 WHERE EXISTS (
  SELECT 1 FROM task_run_logs AS log JOIN runs ON runs.id = log.run_id
  WHERE log.id = last_log AND log.status = 'fired' AND runs.state = 'failed');
UPDATE host_jobs SET failing = 1 WHERE EXISTS (
  SELECT 1 FROM host_job_logs AS log
  WHERE log.id = last_log AND log.status IN ('failed', 'timeout', 'unknown'));
CREATE INDEX scheduled_tasks_failing ON scheduled_tasks(last_run)
  WHERE failing = 1 AND status IN ('active', 'paused');
CREATE INDEX host_jobs_failing ON host_jobs(last_run)
  WHERE failing = 1 AND status IN ('active', 'paused');
CREATE INDEX scheduled_tasks_by_status ON scheduled_tasks(status)
  WHERE status IN ('active', 'paused');
CREATE INDEX host_jobs_by_status ON host_jobs(status) WHERE status IN ('active', 'paused');

DROP INDEX runs_given_up;
CREATE INDEX runs_given_up ON runs(id)
  WHERE state = 'failed' AND superseded_by IS NULL AND kind <> 'shell' AND kind <> 'task';
CREATE INDEX requests_troubled ON requests(id) WHERE state IN ('failed', 'unknown');
CREATE INDEX failures_by_state ON failures(state, last_at);
CREATE INDEX chats_of_channel ON chats(channel)
"""


def apply(db: Database) -> None:
    """Make the tables, the columns and the index."""
    for statement in CHANGES.split(";\n"):
        if statement.strip():
            db.execute(statement)
