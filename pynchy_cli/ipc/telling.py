"""Tells what became of a request whose agent no longer waits for it: the chat where it was decided,
and the agent when it next reads there."""

from __future__ import annotations

from agent_runner.protocol import read_answer
from pynchy_cli.model import TASK_LANE
from pynchy_cli.store import approvals, messages, outbound, runs, sessions
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import CHAT, HOST
from pynchy_cli.store.requests import Request as Row

SHOWN = 300
"""Characters that are said again of what was asked and of what came of it."""


def is_awaited(db: Connection, row: Row) -> bool:
    """Whether the turn that asked is still at work in the sandbox that the request came from."""
    if row.session in (CHAT, HOST):
        return False
    session = sessions.get(db, row.group_folder, row.lane)
    is_at_work = row.run_id is None or runs.is_at_work(db, row.run_id)
    return session.folder == row.session and is_at_work


def thread_of(db: Connection, row: Row) -> str:
    """The thread in which a request was made, or whoever made it is answered."""
    if row.session == CHAT:
        seq = row.request_id.removeprefix("message-")
        return outbound.thread_of(db, f"message:{seq}:0")
    return runs.thread_of(db, row.run_id, row.chat_jid or "")


def late(db: Connection, row: Row, now: str) -> None:
    """Say how a request ended on which a person has decided, or nobody has."""
    approval = approvals.of_request(db, row.id)
    if approval is None or row.answer is None or row.chat_jid is None:
        return
    answer = read_answer(row.answer)
    what = _short(approval.summary.replace("\n", " "))
    if answer.ok:
        words = f"It was approved, and is done: {what}"
    else:
        reason = answer.error.message if answer.error is not None else "no reason was given"
        words = f"It is not done ({_short(reason)}): {what}"
    if approval.state == "approved":
        outbound.say(
            db,
            key=f"request:{row.id}:late",
            chat_jid=row.chat_jid,
            content=("✅ " if answer.ok else "❌ ") + words,
            source="host",
            now=now,
            group_folder=row.group_folder,
            thread=outbound.thread_of(db, f"approval:{approval.id}"),
        )
    if row.session == HOST or row.lane.startswith(TASK_LANE):
        return  # the agent that reads there has never asked for it
    messages.tell(
        db,
        key=f"request:{row.id}",
        chat_jid=row.chat_jid,
        content=f"Of what you asked the host earlier ({approval.id}): {words}",
        kind="notice",
        now=now,
        thread=runs.thread_of(db, row.run_id, row.chat_jid),
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
