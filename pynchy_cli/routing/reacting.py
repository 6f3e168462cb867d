"""What a reaction does, by somebody who may speak: eyes have asked again what got no answer, a
cross ends the turn at work that it is about. Anything else does nothing, and nothing is done
twice."""

from __future__ import annotations

import json
from typing import Any

from pynchy_cli.model import Group, Message, Reply, Run
from pynchy_cli.routing import answers
from pynchy_cli.store import (
    cancelling,
    edits,
    failures,
    history,
    messages,
    outbound,
    outbox,
    runs,
    steering,
)
from pynchy_cli.store.connection import Connection

AGAIN = "eyes"
STOP = "x"


def react(db: Connection, group: Group, reaction: Message, now: str) -> None:
    """Do what a reaction wants. Who reacts may speak there: that was asked when it came."""
    of = _reply(db, reaction)
    said = messages.replaced(db, reaction) if of is None else _shown(db, of)
    if reaction.content == AGAIN:
        run = None
        if said is not None:
            run = _unanswered(db, group, said)
        elif of is not None:
            run = _failed(db, of)
        if run is not None:
            runs.retry(db, run.id, now)
    elif reaction.content == STOP:
        at_work = None
        if said is not None:
            at_work = _working_on(db, group, said)
        elif of is not None:
            at_work = _giving(db, group, of)
        if at_work is not None:
            cancelling.cancel(db, at_work.id, now)


def _reply(db: Connection, reaction: Message) -> Reply | None:
    """The reply of ours that a reaction is on, if it is on one."""
    try:
        facts: Any = json.loads(reaction.metadata or "null")
    except ValueError:
        return None
    remote_id = facts.get("on") if isinstance(facts, dict) else None
    if not isinstance(remote_id, str):
        return None
    number = outbox.of_remote(db, reaction.chat_jid, remote_id)
    return outbound.get(db, number) if number is not None else None


def _shown(db: Connection, reply: Reply) -> Message | None:
    """What a person said in another chat of the group, where a reply is but that."""
    seq = reply.key.removeprefix(outbound.SHOWN)
    is_shown = reply.source == outbound.PERSON and seq.isdigit()
    return messages.get(db, int(seq)) if is_shown else None


def _unanswered(db: Connection, group: Group, said: Message) -> Run | None:
    """The run to ask again for a message that got no answer. One that could not be routed is
    brought back."""
    state = answers.outcome(db, said).state
    if state == "set_aside":
        failures.retry(db, f"message:{said.seq}")
    return answers.asked(db, group.folder, said)[-1] if state == "failed" else None


def _failed(db: Connection, reply: Reply) -> Run | None:
    """The run whose failure a reply tells, or the last of those that tried it again."""
    if reply.run_id is None:
        return None
    run = runs.get(db, reply.run_id)
    while (later := history.successor(db, run.id)) is not None:
        run = runs.get(db, later)
    return run if run.state == "failed" and run.kind == "chat" else None


def _working_on(db: Connection, group: Group, said: Message) -> Run | None:
    """The run at work that reads a message; or that of its thread, where it is the newest."""
    run = steering.talking(db, group.folder, said.thread)
    if run is None or said.verdict != "allowed":
        return None
    is_read = run.first_seq <= said.seq <= run.last_seq
    is_newest = edits.is_last_said(db, said.chat_jid, said.thread, said.received_at, said.seq)
    return run if is_read or is_newest else None


def _giving(db: Connection, group: Group, reply: Reply) -> Run | None:
    """The run at work whose answer a reply is; or that of its thread, where it is the newest."""
    if reply.run_id is not None:
        run = runs.get(db, reply.run_id)
        if run.state == "running":
            return run
    if outbound.is_last(db, reply) and edits.is_last_said(
        db, reply.chat_jid, reply.thread, reply.created_at
    ):
        return steering.talking(db, group.folder, reply.thread)
    return None
