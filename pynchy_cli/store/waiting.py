"""What waits, or waited, for a person: what needs a yes, and what agents ask people, side by side.
It only reads; decisions and answers are in the modules of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from pynchy_cli.errors import ApprovalUnknown
from pynchy_cli.store.connection import Connection, Row

_ROWS = (
    "SELECT 'approval' AS kind, a.id, a.request, a.group_folder, r.type, r.payload, r.digest,"
    " a.state, a.chats, a.summary, a.approvers, NULL, a.asked_at, a.expires_at, a.decided_at,"
    " a.decided_by, a.reason FROM approvals AS a JOIN requests AS r ON r.id = a.request"
    " UNION ALL SELECT 'question', q.id, q.request, q.group_folder, r.type, r.payload, r.digest,"
    " q.state, json_array(q.chat_jid), q.questions, '[]', q.answers, q.asked_at, q.expires_at,"
    " q.decided_at, q.answered_by, NULL FROM questions AS q JOIN requests AS r ON r.id = q.request"
)


@dataclass(frozen=True)
class Waiting:
    """Something that was put to people. Of a question `summary` is what is asked, a line each, and
    `answers` what was answered so far; `approvers` are those who may decide on an approval."""

    kind: Literal["approval", "question"]
    id: str
    request: int
    group_folder: str
    type: str
    payload: str
    digest: str
    state: str
    chats: tuple[str, ...]
    summary: str
    approvers: tuple[str, ...]
    answers: dict[str, Any] | None
    asked_at: str
    expires_at: str
    decided_at: str | None
    decided_by: str | None
    reason: str | None


def pending(db: Connection) -> list[Waiting]:
    """All that waits, oldest first."""
    rows = db.execute(f"SELECT * FROM ({_ROWS}) WHERE state = 'pending' ORDER BY asked_at, request")
    return [_waiting(row) for row in rows]


def of_work(db: Connection, group_folder: str, run_id: int | None = None) -> list[Waiting]:
    """What a group's runs at work wait for, or one of them, oldest first."""
    rows = db.execute(
        f"SELECT * FROM ({_ROWS}) WHERE state = 'pending' AND request IN ("
        "SELECT requests.id FROM requests JOIN runs ON runs.id = requests.run_id"
        " WHERE runs.group_folder = ? AND runs.state = 'running' AND runs.id = coalesce(?, runs.id)"
        ") ORDER BY asked_at, request",
        (group_folder, run_id),
    )
    return [_waiting(row) for row in rows]


def newest(
    db: Connection, limit: int = 200, group_folder: str | None = None, *, pending: bool = False
) -> list[Waiting]:
    """The newest of all that was ever asked, or of what waits, oldest first; of all groups, or of
    one."""
    rows = db.execute(
        f"SELECT * FROM ({_ROWS}) WHERE (:group IS NULL OR group_folder = :group)"
        + (" AND state = 'pending'" if pending else "")
        + " ORDER BY asked_at DESC, request DESC LIMIT :limit",
        {"group": group_folder, "limit": limit},
    ).fetchall()
    return [_waiting(row) for row in reversed(rows)]


def get(db: Connection, id: str) -> Waiting:
    """What was asked under this id. Raises ApprovalUnknown, naming the nearest that waits."""
    row = db.execute(f"SELECT * FROM ({_ROWS}) WHERE id = ?", (_storable(id),)).fetchone()
    if row is None:
        near = get_close_matches(id, [one.id for one in pending(db)], n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ApprovalUnknown(f"Nothing was asked under {id!r}.{hint}")
    return _waiting(row)


def _storable(text: str) -> str:
    """The text as SQLite takes it, whatever bytes a shell made it of."""
    return text.encode("utf-8", "replace").decode()


def _waiting(row: Row) -> Waiting:
    values = list(row)
    for at in (8, 10):
        values[at] = tuple(json.loads(values[at]))
    if row["kind"] == "question":
        values[9] = "\n".join(_asked(json.loads(values[9])))
        values[11] = json.loads(values[11])
    return Waiting(*values)


def _asked(questions: list[dict[str, Any]]) -> Iterable[str]:
    for question in questions:
        labels = [str(option["label"]) for option in question.get("options", ())]
        yield str(question["question"]) + (f" ({' / '.join(labels)})" if labels else "")
