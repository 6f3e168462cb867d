"""Every decision, one row each, in a chain: a row's hash is made of its number, its content and the
hash before it. Rows are only ever added; pruning takes the oldest away behind an anchor, a row that
says through which. The chain shows a row that was changed, moved, put in or left out, a beginning
without an anchor, and an end cut off. It has no key: whoever writes the file can add rows, prune,
or make the chain anew from any row on, which only a head that was noted elsewhere shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Chain:
    """What was found of the chain: its rows, its head, through which row it was pruned (0 where
    it wasn't), and what is wrong with it, in sentences."""

    rows: int
    id: int
    hash: str
    pruned_through: int
    faults: tuple[str, ...]


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
    last, previous = head(db)
    # Its number is part of the chain; one that was given before is never given again.
    id = max(last, _given(db)) + 1
    facts = (
        id,
        *(now, kind, decision, group_folder, who, subject, request, run_id, reason, digest),
        json.dumps(detail or {}, ensure_ascii=False, sort_keys=True),
        previous,
    )
    db.execute(
        f"INSERT INTO audit({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*facts, _hash(facts)),
    )
    return id


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


def check(db: Connection, noted: tuple[int, str] | None = None) -> Chain:
    """What the chain shows of itself, all of it read at one moment; and whether a head that was
    `noted` elsewhere, a row's number and hash, is still in it."""
    own = not db.in_transaction
    if own:
        db.execute("BEGIN")
    try:
        chain = _checked(db)
        why = missing(db, *noted) if noted is not None else None
        return replace(chain, faults=(*chain.faults, why)) if why else chain
    finally:
        if own:
            db.execute("ROLLBACK")


def missing(db: Connection, id: int, hash: str) -> str | None:
    """Why a head that was noted elsewhere isn't in the log (any more), in a sentence; None where
    it is. A pruned one is known where pruning ended just there."""
    row = db.execute("SELECT hash FROM audit WHERE id = ?", (id,)).fetchone()
    if row is not None:
        same = str(row[0]) == hash
        return None if same else f"Row {id} is another than was noted: the log was rewritten."
    through, known = _anchor(db)
    if id == through and known == hash:
        return None
    if id <= through:
        return f"Row {id} was pruned, with all through row {through}: it can't be compared."
    return f"There is no row {id}: the log was cut, or rewritten."


def prune(db: Connection, before: str, now: str, who: str = "pynchy") -> int:
    """Take the rows before a moment away, behind an anchor that says through which; how many.
    Of an anchor alone nothing would be gained: it stays."""
    row = db.execute(
        "SELECT id, hash FROM audit WHERE id < (SELECT coalesce(min(id), (SELECT max(id) + 1"
        " FROM audit)) FROM audit WHERE at >= ?) ORDER BY id DESC LIMIT 1",
        (before,),
    ).fetchone()
    if row is None or not _holds_decisions(db, int(row[0])):
        return 0
    detail = {"through": int(row[0]), "hash": str(row[1])}
    add(db, "anchor", "pruned", who=who, subject="audit", now=now, detail=detail)
    return db.execute("DELETE FROM audit WHERE id <= ?", (int(row[0]),)).rowcount


def _holds_decisions(db: Connection, through: int) -> bool:
    found = "SELECT 1 FROM audit WHERE id <= ? AND kind <> 'anchor' LIMIT 1"
    return db.execute(found, (through,)).fetchone() is not None


def _checked(db: Connection) -> Chain:
    through, previous = _anchor(db)
    last, count, found = through, 0, []
    for row in db.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY id"):
        entry, count = _entry(row), count + 1
        if (entry.id, entry.previous) != (last + 1, previous):
            found.append(_gap(entry.id, last, is_pruned=last == through and count == 1))
        if entry.hash != _hash(tuple(row)[:13]):
            found.append(f"Row {entry.id} was changed.")
        previous, last = entry.hash, entry.id
    newest = _given(db)
    if newest != last:
        found.append(f"The newest row is {last}, but row {newest} was added: the end is missing.")
    return Chain(count, last, previous, through, tuple(found))


def _gap(id: int, last: int, *, is_pruned: bool) -> str:
    if is_pruned and last:
        return f"Row {id} doesn't follow row {last}, through which the log was pruned."
    if last == 0:
        return f"Row {id} isn't the first: the beginning is missing, and no anchor says why."
    return f"Row {id} doesn't follow row {last}: something between them is missing, or was put in."


def _anchor(db: Connection) -> tuple[int, str]:
    """Through which row the newest anchor says that the log was pruned, and that row's hash."""
    row = db.execute(
        "SELECT detail FROM audit WHERE kind = 'anchor' ORDER BY id DESC LIMIT 1"
    ).fetchone()
    try:
        told = json.loads(row[0]) if row is not None else {"through": 0, "hash": START}
        return int(str(told["through"])), str(told["hash"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0, START  # It was changed, which its hash shows.


def _given(db: Connection) -> int:
    """The highest number that a row was given, as SQLite notes it, whatever became of the row."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else 0


def _hash(facts: tuple[Any, ...]) -> str:
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _entry(row: Row) -> Entry:
    return Entry(*row)
