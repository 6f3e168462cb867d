"""What agents ask of the host, a row each: unique by group, session and id, so that however often
a file is read, what it asks is decided once. An effect that is rows is written in the transaction
that says `done`; one outside is preceded by a committed `started`, and never begun twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pynchy_cli.model import Run
from pynchy_cli.store import counters
from pynchy_cli.store.connection import Connection, Row

CHAT = "chat"
"""The session of what people ask by a command in a chat; its ids are `message-<seq>`."""
HOST = "host"
"""The session of what the host itself proposes to people."""
KEPT = 4096
"""Characters kept of what could not be read."""
COUNTED = {"done": "requests_done", "failed": "requests_failed", "unknown": "requests_failed"}

_COLUMNS = (
    "id, group_folder, session, request_id, lane, role, run_id, chat_jid, type, payload, digest,"
    " state, gated, prepared, child_run, owner, answer, delivered, created_at, decided_at,"
    " finished_at"
)


@dataclass(frozen=True)
class Request:
    """One request. `role` is what its asker was when it was accepted, and `payload` what it said,
    as we have read it; `gated` whether a person must approve it, and `prepared` what was made
    ready before one was asked, as JSON; `answer` is the envelope as JSON, once there is one."""

    id: int
    group_folder: str
    session: str
    request_id: str
    lane: str
    role: str
    run_id: int | None
    chat_jid: str | None
    type: str
    payload: str
    digest: str
    state: str
    gated: bool
    prepared: str | None
    child_run: int | None
    owner: int | None
    answer: str | None
    delivered: bool
    created_at: str
    decided_at: str | None
    finished_at: str | None


def id_of_message(seq: int) -> str:
    """The id of what a message in a chat asks of the host."""
    return f"message-{seq}"


def digest_of(type: str, payload: str) -> str:
    """The sha256 of what is asked, as people are shown it."""
    return hashlib.sha256(f"{type}\n{payload}".encode()).hexdigest()


def add(
    db: Connection,
    *,
    group_folder: str,
    session: str,
    request_id: str,
    lane: str,
    role: str,
    type: str,
    payload: str,
    state: str,
    now: str,
    run_id: int | None = None,
    chat_jid: str | None = None,
) -> Request:
    """Store a request that was not there; its row."""
    row = db.execute(
        "INSERT INTO requests(group_folder, session, request_id, lane, role, run_id, chat_jid,"
        " type, payload, digest, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        f" RETURNING {_COLUMNS}",
        (
            *(group_folder, session, request_id, lane, role, run_id, chat_jid, type, payload),
            *(digest_of(type, payload), state, now),
        ),
    ).fetchone()
    return _request(row)


def find(db: Connection, group_folder: str, session: str, request_id: str) -> Request | None:
    """The request of a group's session that bears this id, where there is one."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM requests"
        " WHERE group_folder = ? AND session = ? AND request_id = ?",
        (group_folder, session, request_id),
    ).fetchone()
    return _request(row) if row else None


def get(db: Connection, id: int) -> Request | None:
    """The request of this number, where there is one."""
    row = db.execute(f"SELECT {_COLUMNS} FROM requests WHERE id = ?", (id,)).fetchone()
    return _request(row) if row else None


def answer(
    db: Connection, id: int, state: str, answer: str, now: str, *, delivered: bool = False
) -> bool:
    """Note how a request ended, and what its asker is told. Whether it had not ended before.
    `delivered` where its file is there still, by which it is answered even after a crash."""
    row = db.execute(
        "UPDATE requests SET state = ?, answer = ?, finished_at = ?, delivered = ?"
        " WHERE id = ? AND answer IS NULL RETURNING id",
        (state, answer, now, int(delivered), id),
    ).fetchone()
    if row is None:
        return False
    counters.bump(db, COUNTED.get(state, "requests_refused"), now)
    return True


def accept(db: Connection, id: int, now: str) -> bool:
    """What waited for a person may be carried out now; whether it waited."""
    row = db.execute(
        "UPDATE requests SET state = 'accepted', decided_at = ? WHERE id = ? AND state = 'waiting'"
        " RETURNING id",
        (now, id),
    ).fetchone()
    return row is not None


def gate(db: Connection, id: int) -> None:
    """A person must approve the request before it is carried out."""
    db.execute("UPDATE requests SET gated = 1 WHERE id = ?", (id,))


def gated(db: Connection, group_folder: str) -> int:
    """How many of a group's requests need a person's yes, and have not been carried out or ended
    otherwise."""
    row = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM requests WHERE group_folder = ?1 AND gated = 1"
        " AND state = 'waiting' UNION ALL SELECT 1 FROM requests WHERE group_folder = ?1"
        " AND gated = 1 AND state = 'accepted')",
        (group_folder,),
    ).fetchone()
    return int(row[0])


def pin(db: Connection, id: int, prepared: str) -> None:
    """Keep what was made ready for a request, so that what is approved is what is done."""
    db.execute("UPDATE requests SET prepared = ? WHERE id = ?", (prepared, id))


def pinned_files(db: Connection) -> set[str]:
    """The sha256 of every file that was made ready for a request which has not ended."""
    rows = db.execute(
        "SELECT json_extract(file.value, '$.sha256') FROM requests,"
        " json_each(requests.prepared) AS file"
        " WHERE requests.prepared IS NOT NULL AND requests.answer IS NULL"
    )
    return {str(row[0]) for row in rows}


def pinned_bytes(db: Connection, group_folder: str, since: str) -> int:
    """How many bytes of files were made ready for a group's requests since then that have sent
    none: their copies may be there still."""
    row = db.execute(
        "SELECT coalesce(sum(json_extract(file.value, '$.size')), 0) FROM requests,"
        " json_each(requests.prepared) AS file WHERE requests.group_folder = ?"
        " AND requests.created_at >= ? AND requests.prepared IS NOT NULL"
        " AND requests.state <> 'done'",
        (group_folder, since),
    ).fetchone()
    return int(row[0])


def start(db: Connection, id: int, owner: int) -> bool:
    """Whether what a request asks may be begun by us: nobody else has begun it."""
    row = db.execute(
        "UPDATE requests SET state = 'started', owner = ? WHERE id = ? AND state = 'accepted'"
        " RETURNING id",
        (owner, id),
    ).fetchone()
    return row is not None


def put_back(db: Connection, id: int) -> None:
    """What was begun may be begun again, because doing it twice is no more than doing it once."""
    db.execute(
        "UPDATE requests SET state = 'accepted', owner = NULL WHERE id = ? AND state = 'started'",
        (id,),
    )


def wait(db: Connection, id: int) -> None:
    """The request waits for somebody."""
    db.execute("UPDATE requests SET state = 'waiting' WHERE id = ? AND answer IS NULL", (id,))


def wait_for(db: Connection, id: int, run_id: int) -> None:
    """The request waits for another run's end."""
    db.execute("UPDATE requests SET child_run = ?, state = 'waiting' WHERE id = ?", (run_id, id))


def next_to_do(
    db: Connection, group_folder: str, outside: Sequence[str], *, is_outside: bool
) -> Request | None:
    """The oldest of a group's requests that is to be carried out; of those whose types are among
    `outside`, or of the others."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM requests INDEXED BY requests_to_do"
        " WHERE group_folder = ? AND state = 'accepted'"
        " AND (type IN (SELECT value FROM json_each(?))) = ? ORDER BY id LIMIT 1",
        (group_folder, json.dumps(list(outside)), int(is_outside)),
    ).fetchone()
    return _request(row) if row else None


def is_behind(db: Connection, request: Request, outside: Sequence[str]) -> bool:
    """Whether an earlier request of the group, of none of the types `outside`, is to be carried
    out first."""
    first = next_to_do(db, request.group_folder, outside, is_outside=False)
    return first is not None and first.id < request.id


def with_work(db: Connection, outside: Sequence[str]) -> list[tuple[str, bool]]:
    """The groups that have something to be carried out, and whether it is of the types
    `outside`."""
    rows = db.execute(
        "SELECT DISTINCT group_folder, type IN (SELECT value FROM json_each(?)) FROM requests"
        " WHERE state = 'accepted'",
        (json.dumps(list(outside)),),
    ).fetchall()
    return [(str(row[0]), bool(row[1])) for row in rows]


def are_undone(db: Connection, group_folder: str, count: int) -> bool:
    """Whether so many of a group's requests, or more, are to be carried out."""
    row = db.execute(
        "SELECT 1 FROM requests INDEXED BY requests_to_do"
        " WHERE group_folder = ? AND state = 'accepted' LIMIT 1 OFFSET ?",
        (group_folder, count - 1),
    ).fetchone()
    return row is not None


def started(db: Connection) -> list[Request]:
    """What is being carried out, by whomever."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM requests WHERE state = 'started'").fetchall()
    return [_request(row) for row in rows]


def undelivered(db: Connection, limit: int = 200) -> list[Request]:
    """The oldest requests whose answers were not given to their askers yet."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM requests WHERE delivered = 0 AND answer IS NOT NULL"
        " ORDER BY id LIMIT ?",
        (limit,),
    ).fetchall()
    return [_request(row) for row in rows]


def delivered(db: Connection, id: int) -> None:
    """The asker has its answer, or is gone."""
    db.execute("UPDATE requests SET delivered = 1 WHERE id = ?", (id,))


def waits(db: Connection, run: Run, session: str) -> list[tuple[str, str | None]]:
    """When a run's agent waited for a person or another run: from when until when, None where it
    does so still."""
    rows = db.execute(
        "SELECT r.created_at, CASE WHEN r.state = 'waiting' AND ("
        "    r.child_run IS NULL OR child.state IN ('queued', 'running')) THEN NULL"
        "  ELSE coalesce(r.decided_at, r.finished_at, child.finished_at, r.created_at) END"
        " FROM requests AS r LEFT JOIN runs AS child ON child.id = r.child_run"
        " WHERE r.group_folder = ? AND r.session = ? AND r.run_id = ?",
        (run.group_folder, session, run.id),
    ).fetchall()
    return [(str(row[0]), row[1]) for row in rows]


def finished_children(db: Connection) -> list[tuple[Request, str, str | None, str | None]]:
    """What waits for a run that is over, with that run's state, result and error."""
    rows = db.execute(
        f"SELECT {', '.join('r.' + name.strip() for name in _COLUMNS.split(','))},"
        " runs.state, runs.result, runs.error"
        " FROM requests AS r INDEXED BY requests_waiting"
        " LEFT JOIN runs ON runs.id = r.child_run"
        " WHERE r.child_run IS NOT NULL AND r.state = 'waiting'"
        " AND (runs.id IS NULL OR runs.state IN ('done', 'failed', 'cancelled', 'superseded'))"
        " ORDER BY r.id"
    ).fetchall()
    return [
        (_request(row[:-3]), str(row[-3] or "cancelled"), row[-2], row[-1])
        for row in map(tuple, rows)
    ]


def _request(row: Row | tuple[object, ...]) -> Request:
    values = list(row)
    values[12], values[17] = bool(values[12]), bool(values[17])
    return Request(*values)
