"""Tasks and host jobs with all that their clocks need, a log of each one's firings, and the runs
that firings make. A firing is unique by what it is of and when it was due: none happens twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

CHANGES = """
ALTER TABLE scheduled_tasks ADD COLUMN name TEXT;
ALTER TABLE scheduled_tasks ADD COLUMN timezone TEXT NOT NULL DEFAULT 'UTC';
ALTER TABLE scheduled_tasks ADD COLUMN anchor TEXT;
ALTER TABLE scheduled_tasks ADD COLUMN catch_up TEXT NOT NULL DEFAULT 'once'
  CHECK (catch_up IN ('once', 'skip'));
ALTER TABLE scheduled_tasks ADD COLUMN overlap TEXT NOT NULL DEFAULT 'skip'
  CHECK (overlap IN ('skip', 'queue'));
ALTER TABLE scheduled_tasks ADD COLUMN context_mode TEXT NOT NULL DEFAULT 'isolated'
  CHECK (context_mode IN ('isolated', 'group'));
ALTER TABLE scheduled_tasks ADD COLUMN condition TEXT;
ALTER TABLE scheduled_tasks ADD COLUMN timeout_seconds REAL NOT NULL DEFAULT 60;
ALTER TABLE scheduled_tasks ADD COLUMN source TEXT NOT NULL DEFAULT 'person'
  CHECK (source IN ('person', 'agent', 'config'));
ALTER TABLE scheduled_tasks ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE scheduled_tasks ADD COLUMN paused_by TEXT
  CHECK (paused_by IN ('person', 'agent', 'config'));
ALTER TABLE scheduled_tasks ADD COLUMN last_run TEXT;
ALTER TABLE scheduled_tasks ADD COLUMN last_log INTEGER;
ALTER TABLE scheduled_tasks ADD COLUMN ended_at TEXT;

CREATE INDEX scheduled_tasks_due ON scheduled_tasks(next_run)
  WHERE status = 'active' AND next_run IS NOT NULL;
CREATE INDEX scheduled_tasks_of_group ON scheduled_tasks(group_folder);
CREATE INDEX scheduled_tasks_open ON scheduled_tasks(group_folder, source, status)
  WHERE status IN ('active', 'paused');
CREATE INDEX scheduled_tasks_ended ON scheduled_tasks(ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE task_run_logs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  task_id TEXT NOT NULL REFERENCES scheduled_tasks(id) ON DELETE CASCADE,
  due_at TEXT NOT NULL,
  run_at TEXT NOT NULL,
  missed_since TEXT,
  by_hand INTEGER NOT NULL DEFAULT 0 CHECK (by_hand IN (0, 1)),
  status TEXT NOT NULL CHECK (status IN ('checking', 'fired', 'skipped', 'missed')),
  reason TEXT,
  run_id INTEGER,
  owner INTEGER,
  finished_at TEXT,
  UNIQUE (task_id, due_at)
) STRICT;

CREATE INDEX task_run_logs_checking ON task_run_logs(task_id) WHERE status = 'checking';
CREATE INDEX task_run_logs_in_turn ON task_run_logs(owner) WHERE status = 'checking';

CREATE INDEX task_run_logs_of_task ON task_run_logs(task_id, id);

CREATE TABLE host_jobs (
  id TEXT PRIMARY KEY,
  name TEXT,
  command TEXT NOT NULL,
  cwd TEXT,
  timeout_seconds REAL NOT NULL DEFAULT 600,
  schedule_type TEXT NOT NULL,
  schedule_value TEXT NOT NULL,
  timezone TEXT NOT NULL,
  anchor TEXT,
  catch_up TEXT NOT NULL DEFAULT 'once' CHECK (catch_up IN ('once', 'skip')),
  status TEXT NOT NULL DEFAULT 'active' CHECK (
    status IN ('active', 'paused', 'completed', 'cancelled')),
  paused_by TEXT CHECK (paused_by IN ('person', 'agent', 'config')),
  source TEXT NOT NULL DEFAULT 'person' CHECK (source IN ('person', 'agent', 'config')),
  created_by TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL,
  ended_at TEXT,
  next_run TEXT,
  last_run TEXT,
  last_log INTEGER
) STRICT;

CREATE INDEX host_jobs_due ON host_jobs(next_run)
  WHERE status = 'active' AND next_run IS NOT NULL;
CREATE INDEX host_jobs_ended ON host_jobs(ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE host_job_logs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL REFERENCES host_jobs(id) ON DELETE CASCADE,
  due_at TEXT NOT NULL,
  run_at TEXT NOT NULL,
  missed_since TEXT,
  by_hand INTEGER NOT NULL DEFAULT 0 CHECK (by_hand IN (0, 1)),
  status TEXT NOT NULL CHECK (
    status IN ('waiting', 'running', 'done', 'failed', 'timeout', 'stopped', 'unknown',
      'skipped', 'missed')),
  reason TEXT,
  owner INTEGER,
  pid INTEGER,
  started_at TEXT,
  finished_at TEXT,
  exit_code INTEGER,
  output TEXT,
  UNIQUE (job_id, due_at)
) STRICT;

CREATE INDEX host_job_logs_of_job ON host_job_logs(job_id, id);
CREATE INDEX host_job_logs_open ON host_job_logs(job_id) WHERE status IN ('waiting', 'running');
CREATE INDEX host_job_logs_in_turn ON host_job_logs(status)
  WHERE status IN ('waiting', 'running');

ALTER TABLE runs ADD COLUMN task TEXT;
ALTER TABLE runs ADD COLUMN quiet INTEGER NOT NULL DEFAULT 0 CHECK (quiet IN (0, 1));

CREATE INDEX runs_of_task ON runs(task)
  WHERE task IS NOT NULL AND state IN ('queued', 'running')
"""


def apply(db: Database) -> None:
    """Make the tables, the columns and the indexes."""
    for statement in CHANGES.split(";\n"):
        if statement.strip():
            db.execute(statement)
