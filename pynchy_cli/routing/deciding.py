"""A person's yes or no in a chat. What may be decided, where, by whom and until when is asked in
the transaction that decides, so that of two who do it at once one is heard."""

from __future__ import annotations

from pynchy_cli.errors import ApprovalUnknown
from pynchy_cli.output import plain
from pynchy_cli.routing.said import Said
from pynchy_cli.security.senders import People, name_of
from pynchy_cli.store import approvals, questions
from pynchy_cli.store.approvals import Approval
from pynchy_cli.store.connection import Connection

REASON = 1000
"""Characters kept of why somebody said no."""
UNKNOWN = "Nothing was asked under {id}.{waiting}"
WAITING = " Waiting here: {ids}."
QUESTION = "{id} is a question: answer it by an option, or in words."
ELSEWHERE = "{id} was not asked in this chat, and can't be decided here."
OVER = "{id} was {state} already{by}; nothing is changed."
LATE = "{id} has expired, and is not done."
NOT_YOURS = "You may not decide on {id}; that is for: {approvers}."
APPROVED = "✅ {id} is approved."
DENIED = "🚫 {id} is denied."


def decide(
    db: Connection, said: Said, people: People, approvers: tuple[str, ...], now: str
) -> str | None:
    """Carry out `approve` or `deny`; what is said to it, or None where it is talk like any other:
    nobody called the assistant, and nothing of that id was asked here. `approvers` are those of
    now: whoever was one only when it was asked decides nothing any more."""
    assert said.command is not None, "a command"
    id, is_yes = said.command.id, said.command.name == "approve"
    approval = _asked(db, id)
    if approval is None or said.message.chat_jid not in approval.chats:
        return _not_here(db, said, approval, now) if is_for_us(db, said, now) else None
    if (why := _refusal(approval, said, people, approvers, now)) is not None:
        return why
    who = name_of(*said.sender)
    reason = "" if is_yes else plain(said.command.text)[:REASON]
    outcome: approvals.Outcome = "approved" if is_yes else "denied"
    name = " ".join(plain(said.message.sender_name).split())
    if not approvals.decide(db, approval, outcome, who, now, reason, name):
        return OVER.format(id=id, state="decided", by="")
    return (APPROVED if is_yes else DENIED).format(id=id)


def is_for_us(db: Connection, said: Said, now: str) -> bool:
    """Whether nobody else can be meant, even if nothing of that id was asked here: somebody called
    the assistant; or mistyped an id where all is for the assistant, as it looks like one of ours or
    something waits here."""
    assert said.command is not None, "a command"
    if said.is_called or not said.is_triggered:
        return said.is_called
    looks_so = approvals.SHAPE.fullmatch(said.command.id) is not None
    return looks_so or bool(_waiting(db, said.message.chat_jid, now))


def is_asked_in(db: Connection, id: str, chat_jid: str) -> bool:
    """Whether something of that id was asked in a chat."""
    approval = _asked(db, id)
    return approval is not None and chat_jid in approval.chats


def _not_here(db: Connection, said: Said, approval: Approval | None, now: str) -> str:
    """What is said where nothing of that id can be decided in this chat."""
    assert said.command is not None, "a command"
    id, chat_jid = said.command.id, said.message.chat_jid
    if approval is not None:
        return ELSEWHERE.format(id=id)
    asked = questions.get(db, id)
    if asked is not None and asked.group_folder == said.group.folder and asked.state == "pending":
        return QUESTION.format(id=id)
    ids = ", ".join(_waiting(db, chat_jid, now))
    return UNKNOWN.format(id=id, waiting=WAITING.format(ids=ids) if ids else "")


def _waiting(db: Connection, chat_jid: str, now: str) -> list[str]:
    """The ids of what can be decided in a chat."""
    return [one.id for one in approvals.pending_in(db, chat_jid) if one.expires_at > now]


def _asked(db: Connection, id: str) -> Approval | None:
    try:
        return approvals.get(db, id)
    except ApprovalUnknown:
        return None


def _refusal(
    approval: Approval, said: Said, people: People, approvers: tuple[str, ...], now: str
) -> str | None:
    """Why it can't be decided by this person now."""
    for names in (approval.approvers, approvers):
        if not people.is_one_of(names, *said.sender):
            return NOT_YOURS.format(id=approval.id, approvers=", ".join(names))
    if approval.state == "expired" or (approval.state == "pending" and approval.expires_at <= now):
        return LATE.format(id=approval.id)
    if approval.state != "pending":
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        return OVER.format(id=approval.id, state=approval.state, by=by)
    return None
