"""What waits and what is at work, for `pynchy status`: group by group, from the cursors and
the runs. Nothing is claimed or changed here."""

from __future__ import annotations

import sqlite3

from pynchy_cli.store.running import Document


def queue(db: sqlite3.Connection, owners: set[int], limit: int | None) -> Document:
    """What waits, by group. `owners` are the processes that live, `limit` their runs at most."""
    live = db.execute("SELECT owner, count(*) FROM sessions WHERE owner IS NOT NULL GROUP BY owner")
    per_group = {folder: facts for folder, *facts in db.execute(PER_GROUP)}
    return {
        "active_containers": sum(count for owner, count in live if owner in owners),
        "max_concurrent": limit,
        "groups_waiting": sum(
            1 for _, _, chats, tasks, active in per_group.values() if chats + tasks and not active
        ),
        "per_group": {
            folder: {
                "active": bool(active),
                "is_task": bool(is_task),
                "pending_messages": messages,
                "pending_tasks": tasks,
            }
            for folder, (messages, is_task, _, tasks, active) in per_group.items()
        },
    }


_WAITING = """
  (SELECT count(*) FROM messages AS m
   WHERE m.chat_jid IN (
       SELECT g.jid UNION ALL SELECT jid FROM group_chats WHERE group_folder = g.folder)
     AND m.audience IN ('agent', 'both') AND m.verdict = 'allowed'
     AND m.message_type <> 'assistant' AND m.seq > {after} AND m.seq <= {through})
"""
# What isn't routed yet, and what the queued run will read. Two ranges, each read off its index:
# a group that is seldom asked has a long past that was never answered.
PER_GROUP = f"""
WITH
  queued AS (
    SELECT group_folder, sum(kind = 'chat') AS chats, sum(kind <> 'chat') AS tasks,
           max(iif(kind = 'chat', last_seq, 0)) AS last_seq
    FROM runs INDEXED BY runs_claim WHERE state = 'queued' GROUP BY group_folder),
  running AS (
    SELECT group_folder, max(kind <> 'chat') AS is_task
    FROM runs WHERE state = 'running' GROUP BY group_folder)
SELECT
  g.folder,
  {_WAITING.format(after="max(g.answered_seq, g.routed_seq)", through=2**62)}
  + {_WAITING.format(after="g.answered_seq", through="min(g.routed_seq, queued.last_seq)")},
  coalesce(running.is_task, 0),
  coalesce(queued.chats, 0),
  coalesce(queued.tasks, 0),
  running.group_folder IS NOT NULL
FROM registered_groups AS g
LEFT JOIN queued ON queued.group_folder = g.folder
LEFT JOIN running ON running.group_folder = g.folder
ORDER BY g.folder
"""
