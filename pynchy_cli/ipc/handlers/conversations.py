"""`reset_context` and `handoff`: an agent has its own conversation begin anew, with a brief where
it leaves one. The turn that asks goes on to its end in the old one; what people say meanwhile is
told to the new one, with the brief."""

from __future__ import annotations

from typing import Any

from agent_runner.protocol import requests as protocol
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import Asked, Effect, Result
from pynchy_cli.model import is_conversation
from pynchy_cli.store import conversations, runs
from pynchy_cli.store.connection import Connection

FORGOTTEN = (
    "This conversation is forgotten once your turn ends. End it now, with a short last word to "
    "the people or none."
)
BEGUN = (
    "A new conversation begins with what you wrote as soon as your turn ends. End it now, with a "
    "short last word to the people or none, and begin nothing else."
)


def _reset(db: Connection, asked: Asked[protocol.ResetContext], now: str, prepared: Any) -> Result:
    return _anew(db, asked, asked.request.message, now)


def _hand_off(db: Connection, asked: Asked[protocol.Handoff], now: str, prepared: Any) -> Result:
    return _anew(db, asked, asked.request.brief, now)


def _anew(db: Connection, asked: Asked[Any], brief: str | None, now: str) -> Result:
    row, group = asked.row, asked.group
    if not is_conversation(row.lane):
        raise RequestRefused(
            "no_conversation",
            "Only a chat's conversation goes on after its turn; this one ends with it anyway.",
        )
    if row.run_id is not None and runs.get(db, row.run_id).is_task:
        raise RequestRefused(
            "no_conversation",
            "A scheduled task's run may not end the group's conversation: people go on in it.",
        )
    if brief is None:
        conversations.reset(db, group.folder, row.lane, group.routed_seq, now)
        return {"next": FORGOTTEN}
    chat = row.chat_jid or group.jid
    run = conversations.begin_with(
        db,
        group.folder,
        chat,
        f"request:{row.id}",
        brief,
        now,
        lane=row.lane,
        thread=runs.get(db, row.run_id).thread if row.run_id is not None else "",
    )
    return {"next": BEGUN, "run": run}


EFFECTS: dict[str, Effect[Any]] = {
    "reset_context": Effect(
        rows=_reset,
        summary=lambda wish: (
            "Forget the conversation."
            if wish.message is None
            else f"Forget the conversation, and begin a new one with:\n{wish.message}"
        ),
    ),
    "handoff": Effect(
        rows=_hand_off,
        summary=lambda wish: f"End the conversation, and begin a new one with:\n{wish.brief}",
    ),
}
