"""What waits and what is at work, for `pynchy status`: group by group, from the cursors and the
runs. Nothing is claimed or changed here, and nothing is counted without a bound."""

from __future__ import annotations

import sqlite3

from pynchy_cli.store.running import Document

SHOWN = 20
"""Groups that are shown at most: those at work, then those that wait, then others."""
COUNTED = 10_000
"""Messages that are counted at most."""

_FOR_AGENT = (
    "m.audience IN ('agent', 'both') AND m.verdict = 'allowed' AND m.message_type <> 'assistant'"
)
# The first message of each group that isn't routed yet, read off the index of each of its chats.
UNROUTED = f"""
SELECT folder, coalesce(min(here, there), here, there) FROM (
  SELECT g.folder,
    (SELECT min(m.seq) FROM messages AS m WHERE m.chat_jid = g.jid
       AND m.seq > max(g.routed_seq, g.answered_seq) AND {_FOR_AGENT}) AS here,
    (SELECT min((SELECT min(m.seq) FROM messages AS m WHERE m.chat_jid = c.jid
       AND m.seq > max(g.routed_seq, g.answered_seq, c.since_seq) AND {_FOR_AGENT}))
     FROM group_chats AS c WHERE c.group_folder = g.folder) AS there
  FROM registered_groups AS g)
WHERE here IS NOT NULL OR there IS NOT NULL
"""
_COUNT = f"""
SELECT count(*) FROM (
  SELECT 1 FROM messages AS m
  WHERE m.chat_jid = (SELECT jid FROM registered_groups WHERE folder = :folder)
    AND m.seq > :after AND m.seq <= :through AND {_FOR_AGENT}
  UNION ALL
  SELECT 1 FROM group_chats AS c JOIN messages AS m ON m.chat_jid = c.jid
  WHERE c.group_folder = :folder AND m.seq > max(:after, c.since_seq) AND m.seq <= :through
    AND {_FOR_AGENT}
  LIMIT :most)
"""
_QUEUED = """
SELECT group_folder, sum(kind = 'chat'), sum(kind <> 'chat'),
  max(iif(kind = 'chat', last_seq, 0))
FROM runs INDEXED BY runs_claim WHERE state = 'queued' GROUP BY group_folder
"""
_RUNNING = """
SELECT group_folder, max(kind <> 'chat')
FROM runs INDEXED BY runs_at_work WHERE state = 'running' GROUP BY group_folder
"""
_END = 2**62


def queue(
    db: sqlite3.Connection, owners: set[int], limit: int | None, unrouted: dict[str, int]
) -> Document:
    """What waits, by group. `owners` are the processes that live, `limit` their runs at most."""
    live = db.execute("SELECT owner, count(*) FROM sessions WHERE owner IS NOT NULL GROUP BY owner")
    queued = {folder: tuple(facts) for folder, *facts in db.execute(_QUEUED)}
    running = {folder: bool(is_task) for folder, is_task in db.execute(_RUNNING)}
    per_group = {
        folder: {
            "active": folder in running,
            "is_task": running.get(folder, False),
            "pending_messages": _pending(db, folder, queued.get(folder, (0, 0, 0))[2]),
            "pending_tasks": queued.get(folder, (0, 0, 0))[1],
        }
        for folder in _shown(db, running, queued, unrouted)
    }
    return {
        "active_containers": sum(count for owner, count in live if owner in owners),
        "max_concurrent": limit,
        "groups_waiting": len(queued.keys() - running.keys()),
        "per_group": per_group,
    }


def unrouted(db: sqlite3.Connection) -> dict[str, int]:
    """Group -> the place of its first message that `route` hasn't seen."""
    return {folder: int(first) for folder, first in db.execute(UNROUTED)}


def unrouted_count(db: sqlite3.Connection, first: dict[str, int]) -> int:
    """How many messages `route` hasn't seen, `COUNTED` at most."""
    total = 0
    for folder, seq in first.items():
        total += _count(db, folder, seq - 1, _END, COUNTED - total)
        if total >= COUNTED:
            break
    return total


def _shown(
    db: sqlite3.Connection,
    running: dict[str, bool],
    queued: dict[str, tuple[int, ...]],
    unrouted: dict[str, int],
) -> list[str]:
    """The groups to be shown, by name."""
    busy = [*sorted(running), *sorted(queued), *sorted(unrouted)]
    first = db.execute("SELECT folder FROM registered_groups ORDER BY folder LIMIT ?", (SHOWN,))
    return sorted(list(dict.fromkeys([*busy, *(row[0] for row in first)]))[:SHOWN])


def _pending(db: sqlite3.Connection, folder: str, queued_through: int) -> int:
    """What of a group isn't routed yet, and what its queued run will read. Two ranges: a group
    that is seldom asked has a long past that was never answered."""
    row = db.execute(
        "SELECT routed_seq, answered_seq FROM registered_groups WHERE folder = ?", (folder,)
    ).fetchone()
    if row is None:
        return 0
    routed, answered = row
    fresh = _count(db, folder, max(routed, answered), _END, COUNTED)
    return fresh + _count(db, folder, answered, min(routed, queued_through), COUNTED)


def _count(db: sqlite3.Connection, folder: str, after: int, through: int, most: int) -> int:
    if through <= after:
        return 0
    values = {"folder": folder, "after": after, "through": through, "most": most}
    return int(db.execute(_COUNT, values).fetchone()[0])
