"""The owner's yes or no, given elsewhere than in a chat: in a shell, or over HTTP. And what waits
for people as it is shown there."""

from __future__ import annotations

from typing import Any

from pynchy_cli import clock
from pynchy_cli.errors import ApprovalDecided, ApprovalExpired, ApprovalForbidden, ApprovalUnknown
from pynchy_cli.security import senders
from pynchy_cli.store import approvals, waiting
from pynchy_cli.store.approvals import Outcome
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.waiting import Waiting

SHOWN = 200
"""Characters of what is asked, in a list."""


def decide(
    db: Connection,
    id: str,
    outcome: Outcome,
    *,
    people: senders.People,
    who: str,
    now: str,
    reason: str = "",
) -> Waiting:
    """Decide as the owner; what was asked. `who` is how the audit log tells it.

    Raises ApprovalUnknown, ApprovalDecided, ApprovalExpired and ApprovalForbidden.
    """
    one = waiting.get(db, id.strip().lower())
    _require_open(one, people, now)
    if not approvals.decide(db, approvals.get(db, one.id), outcome, who, now, reason):
        raise ApprovalDecided(f"{one.id} can't be decided any more.")
    return one


def _require_open(one: Waiting, people: senders.People, now: str) -> None:
    """Raises where this is nothing for the owner to decide, now."""
    if one.kind == "question":
        where = ", ".join(one.chats)
        raise ApprovalUnknown(f"{one.id} is a question: it is answered in its chat, {where}.")
    if one.state == "expired" or (one.state == "pending" and one.expires_at <= now):
        raise ApprovalExpired(
            f"{one.id} expired at {one.expires_at}: nobody answered in time, so it is not done. "
            "The agent can ask again."
        )
    if one.state != "pending":
        raise ApprovalDecided(
            f"{one.id} was {one.state} by {one.decided_by} at {one.decided_at} already."
        )
    if not people.is_one_of(one.approvers, senders.LOCAL, senders.OWNER):
        raise ApprovalForbidden(
            f"On {one.id} may decide: {', '.join(one.approvers)}. The owner isn't among them "
            "([approvals] approvers when it was asked)."
        )


def as_row(one: Waiting, now: str) -> dict[str, Any]:
    """What waits, in short."""
    return {
        "id": one.id,
        "kind": one.kind,
        "group": one.group_folder,
        "type": one.type,
        "state": one.state,
        "asked_at": one.asked_at,
        "expires_at": one.expires_at,
        "seconds_left": left(one, now),
        "summary": short(one),
        "decided_at": one.decided_at,
        "decided_by": one.decided_by,
        "reason": one.reason,
    }


def as_document(one: Waiting, now: str) -> dict[str, Any]:
    """The same with all of what is asked."""
    row = as_row(one, now)
    more = {"request": one.request, "chats": list(one.chats), "approvers": list(one.approvers)}
    if one.kind == "question":
        more["answers"] = one.answers
    texts = {"digest": one.digest, "payload": one.payload, "summary": one.summary}
    return {**row, **more, **texts}


def left(one: Waiting, now: str) -> int | None:
    """Whole seconds in which it can still be answered; None where it was."""
    if one.state != "pending":
        return None
    return max(0, int(clock.seconds_between(now, one.expires_at)))


def short(one: Waiting) -> str:
    """What is asked besides the type, in one line."""
    first, _, rest = one.summary.partition("\n")
    line = " ".join((rest if first == one.type and rest else one.summary).split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
