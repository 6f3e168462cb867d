"""Runs to look at: the rows, and what each was told, did and said, read a part at a time however
long it is. Nothing is decided or changed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pynchy_cli.errors import RunUnknown
from pynchy_cli.store import holds
from pynchy_cli.store.connection import Connection, Row

PAGE = 20
"""Rows in memory at a time; one may be as long as a record."""
COLUMNS = (
    'id, group_folder AS "group", lane, kind, state, attempts, takeovers, first_seq, last_seq,'
    " told_seq, answered_seq, chat_jid AS chat, created_at, started_at, finished_at, not_before,"
    " owner, asked, replies, error, note, superseded_by, parent, depth, shares, task, thread,"
    f" state = 'queued' AND {holds.RUNS.format(group='runs.group_folder')} AS held"
)


def newest(
    db: Connection, group_folder: str | None, state: str | None, number: int
) -> list[dict[str, Any]]:
    """The newest runs (None: of all groups, in all states), the oldest of them first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM runs WHERE (:group IS NULL OR group_folder = :group)"
        " AND (:state IS NULL OR state = :state) ORDER BY id DESC LIMIT :number",
        {"group": group_folder, "state": state, "number": number},
    ).fetchall()
    return [_with_held(row) for row in reversed(rows)]


def row(db: Connection, run_id: int) -> dict[str, Any]:
    """All that the run's row says. Raises RunUnknown."""
    found = db.execute(
        f"SELECT {COLUMNS}, prompt, result FROM runs WHERE id = ?", (run_id,)
    ).fetchone()
    if found is None:
        raise RunUnknown(f"There is no run {run_id}.")
    return _with_held(found)


def _with_held(found: Row) -> dict[str, Any]:
    return {**dict(found), "held": bool(found["held"])}


def successor(db: Connection, run_id: int) -> int | None:
    """The run that took this one over, where one did."""
    number: int | None = row(db, run_id)["superseded_by"]
    return number


def steps(db: Connection, run_id: int) -> Iterator[dict[str, Any]]:
    """The run's trace in order: `at`, `kind` and `payload` of each step."""
    query = (
        "SELECT id, timestamp, event_type, payload FROM events"
        " WHERE run_id = :run AND id > :after ORDER BY id LIMIT :page"
    )
    for _, at, kind, payload in _paged(db, query, run_id):
        yield {"at": at, "kind": kind, "payload": json.loads(payload)}


def replies(db: Connection, run_id: int) -> Iterator[dict[str, Any]]:
    """What the run said, in order: when it was finished, or began where it isn't."""
    query = (
        "SELECT id, coalesce(finished_at, created_at), source, is_final, content"
        " FROM outbound_ledger WHERE run_id = :run AND id > :after ORDER BY id LIMIT :page"
    )
    for _, at, source, is_final, content in _paged(db, query, run_id):
        yield {"at": at, "source": source, "is_final": bool(is_final), "content": content}


def _paged(db: Connection, query: str, run_id: int) -> Iterator[Row]:
    # Page by page, so that a reader who takes his time keeps no old state of the file alive.
    after = 0
    while rows := db.execute(query, {"run": run_id, "after": after, "page": PAGE}).fetchall():
        yield from rows
        after = rows[-1][0]
