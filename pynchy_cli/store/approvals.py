"""What waits for a person's yes or no. A decision is made once, by somebody who may, in a chat
where it was asked, before its time is over; what is carried out is the request as it is stored."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from agent_runner.protocol import Answer, Error, write_answer
from pynchy_cli import clock
from pynchy_cli.errors import ApprovalUnknown
from pynchy_cli.store import audit, outbound, requests
from pynchy_cli.store.connection import Connection, Row

Outcome = Literal["approved", "denied", "expired", "withdrawn"]
_LETTERS = "abcdefghjkmnpqrstuvwxyz"
_DIGITS = "23456789"
SHAPE = re.compile(rf"(?:[{_LETTERS}][{_DIGITS}]){{2,}}")
"""How our ids look."""
TRIES = 16
"""Draws of which one is free, or ids get longer."""
KEPT = 30 * 86400.0
"""Seconds for which no id is given again."""
WITHDRAWN = "↩️ {id} is void: {why}."
ENDED: dict[Outcome, str] = {
    "approved": "✅ Approved{by}.",
    "denied": "🚫 Denied{by}.",
    "expired": "⌛ Nobody answered in time.",
    "withdrawn": "↩️ Void.",
}
"""What is written under a question once it is decided."""
ID = r"[a-z0-9]{2,36}"
"""What may be an id, as people type it."""
_COLUMNS = (
    "id, request, group_folder, chats, summary, digest, approvers, state, asked_at, expires_at,"
    " decided_at, decided_by, reason"
)


@dataclass(frozen=True)
class Approval:
    """A question for a yes. `chats` are where it was asked, and may be answered; `approvers` who
    may; `digest` is the sha256 of what was shown."""

    id: str
    request: int
    group_folder: str
    chats: tuple[str, ...]
    summary: str
    digest: str
    approvers: tuple[str, ...]
    state: str
    asked_at: str
    expires_at: str
    decided_at: str | None
    decided_by: str | None
    reason: str | None


def new_id(db: Connection, now: str) -> str:
    """A short id that is easily typed and told from a word: letters and digits that aren't alike.
    None is given again for thirty days, nor while its row is there or the chat's word of it,
    whatever became of its group; where most are taken they get longer.
    """
    db.execute("DELETE FROM ids_given WHERE at < ?", (clock.after(now, -KEPT),))
    for attempt in count():
        pairs = 2 + attempt // TRIES
        id = "".join(secrets.choice(each) for each in (_LETTERS, _DIGITS) * pairs)
        taken = db.execute(
            "SELECT 1 FROM ids_given WHERE id = ?1 UNION ALL SELECT 1 FROM approvals WHERE id = ?1"
            " UNION ALL SELECT 1 FROM questions WHERE id = ?1"
            " UNION ALL SELECT 1 FROM outbound_ledger"
            " WHERE key IN ('approval:' || ?1, 'question:' || ?1)",
            (id,),
        ).fetchone()
        if taken is None:
            db.execute("INSERT INTO ids_given(id, at) VALUES (?, ?)", (id, now))
            return id
    raise AssertionError("one is free")


def ask(
    db: Connection,
    *,
    id: str,
    request: requests.Request,
    chats: Sequence[str],
    summary: str,
    approvers: Sequence[str],
    expires_at: str,
    now: str,
) -> Approval:
    """Have a request wait for a person."""
    db.execute(
        "INSERT INTO approvals(id, request, group_folder, chats, summary, digest, approvers,"
        " asked_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(id, request.id, request.group_folder, json.dumps(list(chats)), summary),
            *(request.digest, json.dumps(list(approvers)), now, expires_at),
        ),
    )
    return get(db, id)


def get(db: Connection, id: str) -> Approval:
    """The approval of this id. Raises ApprovalUnknown."""
    row = db.execute(f"SELECT {_COLUMNS} FROM approvals WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise ApprovalUnknown(f"Nothing was asked under {id!r}.")
    return _approval(row)


def of_request(db: Connection, request: int) -> Approval | None:
    """What was asked because of a request."""
    row = db.execute(f"SELECT {_COLUMNS} FROM approvals WHERE request = ?", (request,)).fetchone()
    return _approval(row) if row else None


def all(db: Connection, *, pending: bool = True, limit: int = 200) -> list[Approval]:
    """What waits, or the newest of all that was asked; oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE ?1 = 0 OR state = 'pending'"
        " ORDER BY asked_at DESC, id LIMIT ?2",
        (int(pending), limit),
    ).fetchall()
    return [_approval(row) for row in reversed(rows)]


def pending_in(db: Connection, chat_jid: str) -> list[Approval]:
    """What waits for an answer in a chat, oldest first."""
    return [one for one in all(db, limit=-1) if chat_jid in one.chats]


def due(db: Connection, now: str) -> list[Approval]:
    """What waited too long."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE state = 'pending' AND expires_at <= ?", (now,)
    ).fetchall()
    return [_approval(row) for row in rows]


def next_expiry(db: Connection) -> str | None:
    """When the next one that waits has waited too long."""
    row = db.execute(
        "SELECT min(at) FROM (SELECT min(expires_at) AS at FROM approvals WHERE state = 'pending'"
        " UNION ALL SELECT min(expires_at) FROM questions WHERE state = 'pending')"
    ).fetchone()
    return str(row[0]) if row[0] else None


def decide(
    db: Connection,
    approval: Approval,
    outcome: Outcome,
    who: str,
    now: str,
    reason: str = "",
    name: str = "",
) -> bool:
    """Settle it, with its request and a row of the audit log; whether it was still open. Who may
    decide, and where, was asked before, in the same transaction. Where it was asked is shown what
    came of it, and by whom: `name`."""
    if outcome == "approved" and approval.expires_at <= now:
        return False
    row = db.execute(
        "UPDATE approvals SET state = ?, decided_at = ?, decided_by = ?, reason = ?"
        " WHERE id = ? AND state = 'pending' RETURNING id",
        (outcome, now, who, reason or None, approval.id),
    ).fetchone()
    if row is None:
        return False
    by = f" by {name or who}"
    outbound.conclude(db, f"approval:{approval.id}", ENDED[outcome].format(by=by))
    request = requests.get(db, approval.request)
    assert request is not None, "an approval goes with its request"
    if outcome == "approved":
        requests.accept(db, request.id, now)
    else:
        refusal = Answer(ok=False, error=Error(outcome, _words(outcome, who, reason)))
        requests.answer(db, request.id, "refused", write_answer(refusal).decode(), now)
    audit.add(
        db,
        "approval",
        outcome,
        who=who,
        subject=request.type,
        now=now,
        group_folder=request.group_folder,
        request=request.id,
        run_id=request.run_id,
        reason=reason or None,
        digest=approval.digest,
        detail={"approval": approval.id},
    )
    return True


def withdraw(db: Connection, run_id: int, why: str, now: str) -> None:
    """What a run's attempt has asked, and nobody has decided, is asked no more, and told so where
    it was: its next attempt asks anew, and nothing is to be done twice."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE state = 'pending'"
        " AND request IN (SELECT id FROM requests WHERE run_id = ? AND state = 'waiting')",
        (run_id,),
    ).fetchall()
    for approval in map(_approval, rows):
        decide(db, approval, "withdrawn", "pynchy", now, why)
        outbound.say(
            db,
            key=f"approval:{approval.id}:withdrawn",
            chat_jid=approval.chats[0],
            content=WITHDRAWN.format(id=approval.id, why=why),
            source="host",
            now=now,
            group_folder=approval.group_folder,
            thread=outbound.thread_of(db, f"approval:{approval.id}"),
        )


def _words(outcome: Outcome, who: str, reason: str) -> str:
    why = f": {reason}" if reason else "."
    if outcome == "denied":
        return f"A person ({who}) said no{why}"
    if outcome == "expired":
        return "Nobody answered in time, and no answer means no."
    return f"It was withdrawn{why}"


def _approval(row: Row) -> Approval:
    values = list(row)
    values[3], values[6] = tuple(json.loads(values[3])), tuple(json.loads(values[6]))
    return Approval(*values)
