"""Every decision, one row each, in a chain: a row's hash is made of its content and the hash before
it, so that nothing is changed, left out or put in between unseen. Rows are only ever added; pruning
takes the oldest away behind an anchor that says what went."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pynchy_cli.store.connection import Connection, Row

START = "0" * 64
"""What stands before the first row."""
_COLUMNS = (
    "id, at, kind, decision, group_folder, who, subject, request, run_id, reason, digest, detail,"
    " previous, hash"
)


@dataclass(frozen=True)
class Entry:
    """One decision. `kind` is what was decided on (request, approval, question, shell, anchor);
    `who` decided or, where a rule did, asked; `digest` is the sha256 of what was decided on."""

    id: int
    at: str
    kind: str
    decision: str
    group_folder: str | None
    who: str
    subject: str
    request: int | None
    run_id: int | None
    reason: str | None
    digest: str | None
    detail: str
    previous: str
    hash: str


def add(
    db: Connection,
    kind: str,
    decision: str,
    *,
    who: str,
    subject: str,
    now: str,
    group_folder: str | None = None,
    request: int | None = None,
    run_id: int | None = None,
    reason: str | None = None,
    digest: str | None = None,
    detail: dict[str, Any] | None = None,
) -> int:
    """Note a decision, in the transaction that carries it; its number."""
    previous = head(db)[1]
    facts = (
        *(now, kind, decision, group_folder, who, subject, request, run_id, reason, digest),
        json.dumps(detail or {}, ensure_ascii=False, sort_keys=True),
        previous,
    )
    row = db.execute(
        "INSERT INTO audit(at, kind, decision, group_folder, who, subject, request, run_id, reason,"
        " digest, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " RETURNING id",
        (*facts, _hash(facts)),
    ).fetchone()
    return int(row[0])


def head(db: Connection) -> tuple[int, str]:
    """The newest row's number and hash; 0 and zeros before the first."""
    row = db.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    return (int(row[0]), str(row[1])) if row else (0, START)


def entries(
    db: Connection, group_folder: str | None = None, since: str | None = None, limit: int = -1
) -> Iterator[Entry]:
    """The decisions of a group (None: of all) from a moment on, oldest first; with a limit the
    newest so many."""
    rows = db.execute(
        f"SELECT * FROM (SELECT {_COLUMNS} FROM audit WHERE (?1 IS NULL OR group_folder = ?1)"
        " AND (?2 IS NULL OR at >= ?2) ORDER BY id DESC LIMIT ?3) ORDER BY id",
        (group_folder, since, limit),
    )
    for row in rows:
        yield _entry(row)


def faults(db: Connection) -> Iterator[str]:
    """What is wrong with the chain, in sentences; nothing where all is well."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY id")
    previous, last, anchored = _anchor(db), 0, False
    for row in rows:
        entry = _entry(row)
        if not anchored and previous is None:
            previous = START
        if entry.previous != previous:
            yield f"Row {entry.id} doesn't follow row {last}: something between them is missing."
        if entry.hash != _hash(tuple(row)[1:13]):
            yield f"Row {entry.id} was changed."
        previous, last, anchored = entry.hash, entry.id, True
    newest = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    if newest is not None and int(newest[0]) != last:
        yield f"The newest row is {last}, but there was a row {newest[0]}: the end is missing."


def prune(db: Connection, before: str, now: str) -> int:
    """Take the rows before a moment away, behind an anchor; how many."""
    row = db.execute(
        "SELECT id, hash FROM audit WHERE id < (SELECT coalesce(min(id), (SELECT max(id) + 1"
        " FROM audit)) FROM audit WHERE at >= ?) ORDER BY id DESC LIMIT 1",
        (before,),
    ).fetchone()
    if row is None:
        return 0
    detail = {"through": int(row[0]), "hash": str(row[1])}
    add(db, "anchor", "pruned", who="pynchy", subject="audit", now=now, detail=detail)
    return db.execute("DELETE FROM audit WHERE id <= ?", (int(row[0]),)).rowcount


def _anchor(db: Connection) -> str | None:
    """The hash before the oldest row that is left, as the newest anchor tells it."""
    row = db.execute(
        "SELECT detail FROM audit WHERE kind = 'anchor' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    return str(json.loads(row[0])["hash"]) if row else None


def _hash(facts: tuple[Any, ...]) -> str:
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(row: Row) -> Entry:
    return Entry(*row)
