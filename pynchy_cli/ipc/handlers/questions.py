"""`ask_user`: questions for the people of the chat whose run asks. What they answer is heard by
`route`; here they are only asked."""

from __future__ import annotations

from typing import Any

from agent_runner.protocol.requests import AskUser
from pynchy_cli import clock
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import WAITS, Asked, Effect, Result
from pynchy_cli.routing import question_text, triggers
from pynchy_cli.routing.answering import is_waited_for
from pynchy_cli.store import approvals, outbound, questions, runs
from pynchy_cli.store.connection import Connection

MOST = 5
"""Questions, or sets of them, that may wait for a group's people at the same time."""


def _ask(db: Connection, asked: Asked[AskUser], now: str, prepared: Any) -> Result:
    chat_jid = asked.row.chat_jid
    if chat_jid is None:
        raise RequestRefused("no_chat", "There is nobody to ask: this conversation has no chat.")
    for one in questions.pending(db, asked.group.folder):
        if not is_waited_for(db, one) and _is_same_run(db, one, asked):
            questions.withdraw(db, one, "The run that asked was begun again.", now)
    if len(questions.pending(db, asked.group.folder)) >= MOST:
        raise RequestRefused("too_many", f"{MOST} questions wait already. Wait for answers.")
    settings = asked.context.settings
    found = questions.ask(
        db,
        id=approvals.new_id(db, now),
        request=asked.row,
        chat_jid=chat_jid,
        questions=asked.request.questions,
        expires_at=clock.after(now, settings.approvals.question_expiry),
        now=now,
    )
    agent = settings.agent
    outbound.say(
        db,
        key=f"question:{found.id}",
        chat_jid=chat_jid,
        content=question_text.rendered(
            found.id,
            found.questions,
            found.open,
            triggers.word_needed(asked.group, triggers.words(agent.name, agent.trigger_aliases)),
        ),
        source="host",
        now=now,
        group_folder=asked.group.folder,
        thread=runs.thread_of(db, asked.row.run_id, chat_jid),
    )
    return WAITS


def _is_same_run(db: Connection, one: questions.Asked, asked: Asked[AskUser]) -> bool:
    run = asked.row.run_id
    return run is not None and any(
        found.id == one.id for found in questions.of_run(db, asked.group.folder, run)
    )


EFFECTS: dict[str, Effect[Any]] = {
    "ask_user": Effect(rows=_ask, summary=lambda request: question_text.summary(request.questions)),
}
