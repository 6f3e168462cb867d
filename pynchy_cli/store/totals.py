"""What `pynchy status` counts: messages, deliveries, groups, what failed. Totals are counter rows
or are read off an index. It loads the standard library alone."""

from __future__ import annotations

import sqlite3

from pynchy_cli.store.running import Document

FAILURES = 20
"""Failures that are listed at most; all are counted."""
GIVEN_UP = 5
"""Runs that are listed at most of those that failed for good and were not tried again."""
NO_MESSAGES: Document = {
    "total_inbound": 0,
    "total_outbound": 0,
    "last_received_at": None,
    "last_sent_at": None,
    "pending_deliveries": 0,
    "unknown_deliveries": 0,
    "held_deliveries": 0,
    "dead_deliveries": 0,
}


def messages(db: sqlite3.Connection) -> Document:
    """What was ever said and answered, when last, and what is on its way."""
    totals = {
        name: (value, at) for name, value, at in db.execute("SELECT name, value, at FROM counters")
    }
    inbound = totals.get("messages_inbound", (0, None))
    outbound = totals.get("messages_outbound", (0, None))
    return {
        "total_inbound": inbound[0],
        "total_outbound": outbound[0],
        "last_received_at": inbound[1],
        "last_sent_at": outbound[1],
        **undelivered(db),
    }


def undelivered(db: sqlite3.Connection) -> Document:
    """How many deliveries are on their way, of how many of those nobody knows whether they got
    there, how many of these are held for a person, and how many will never get there."""
    pending, unknown, held = db.execute(
        "SELECT count(*), coalesce(sum(state = 'unknown'), 0), coalesce(sum(held), 0)"
        " FROM outbound_deliveries WHERE state IN ('pending', 'sending', 'unknown')"
    ).fetchone()
    dead = "SELECT count(*) FROM outbound_deliveries WHERE state = 'dead'"
    return {
        "pending_deliveries": pending,
        "unknown_deliveries": unknown,
        "held_deliveries": held,
        "dead_deliveries": number(db, dead),
    }


def groups(db: sqlite3.Connection) -> Document:
    """How many groups there are, and conversations with a model."""
    return {
        "total": number(db, "SELECT count(*) FROM registered_groups"),
        "active_sessions": number(db, "SELECT count(*) FROM sessions WHERE session_id IS NOT NULL"),
    }


def failures(db: sqlite3.Connection) -> Document:
    """What a stage couldn't handle, set aside before retrying, and the runs that were given up."""
    counts = dict(db.execute("SELECT state, count(*) FROM failures GROUP BY state").fetchall())
    names = ("stage", "subject", "state", "attempts", "error", "last_at", "retry_at")
    rows = db.execute(
        f"SELECT {', '.join(names)} FROM failures ORDER BY state DESC, last_at DESC LIMIT ?",
        (FAILURES,),
    )
    return {
        "set_aside": counts.get("set_aside", 0),
        "retrying": counts.get("retrying", 0),
        "rows": [dict(zip(names, row, strict=True)) for row in rows],
        **given_up(db),
        "runs_again": tried_again(db),
    }


def given_up(db: sqlite3.Connection) -> Document:
    """The runs that ended without an answer, the newest first; a shell's were told there, and a
    task's fires again."""
    which = (
        "FROM runs WHERE state = 'failed' AND superseded_by IS NULL AND kind <> 'shell'"
        " AND kind <> 'task'"
    )
    names = ("id", "group", "attempts", "error", "finished_at")
    rows = db.execute(
        f"SELECT id, group_folder, attempts, error, finished_at {which} ORDER BY id DESC LIMIT ?",
        (GIVEN_UP,),
    )
    return {
        "given_up": number(db, f"SELECT count(*) {which}"),
        "runs": [dict(zip(names, row, strict=True)) for row in rows],
    }


def tried_again(db: sqlite3.Connection) -> list[Document]:
    """The runs of which an attempt failed and that aren't over, the newest first."""
    names = ("id", "group", "attempts", "error", "retry_at")
    which = "SELECT id, group_folder, attempts, error, not_before FROM runs INDEXED BY"
    rows = db.execute(
        f"{which} runs_claim WHERE state = 'queued' AND attempts > 0 AND error IS NOT NULL"
        f" UNION ALL {which} runs_at_work WHERE state = 'running' AND error IS NOT NULL"
        " ORDER BY 1 DESC LIMIT ?",
        (GIVEN_UP,),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def number(db: sqlite3.Connection, sql: str) -> int:
    """The one number that a query asks for."""
    return int(db.execute(sql).fetchone()[0])
