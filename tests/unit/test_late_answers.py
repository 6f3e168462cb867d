"""What becomes of a request whose agent is gone before a person has decided: the chat is told, and
the agent that reads there, but of nothing that another conversation has asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent_runner.protocol import Answer, write_answer
from agent_runner.protocol import requests as protocol
from pynchy_cli import clock
from pynchy_cli.ipc import telling
from pynchy_cli.store import approvals, messages
from tests.asking import asking


@pytest.mark.parametrize(("lane", "told"), [("chat", 1), ("task:task-aaaaaa", 0)])
def test_a_conversation_is_told_of_what_it_has_asked_for_itself(
    tmp_path: Path, lane: str, told: int
) -> None:
    with asking(tmp_path) as made:
        group = made.group("team")
        row = made.asked(group, protocol.AddTodo(content="sheep"), "local:team").row
        row = replace(row, lane=lane, answer=write_answer(Answer(ok=True, result={})).decode())
        with made.store.atomic() as db:
            now = clock.now()
            asked = approvals.ask(
                db,
                id="a2b3",
                request=row,
                chats=["local:team"],
                summary="Count the sheep.",
                approvers=["owner"],
                expires_at=clock.after(now, 60),
                now=now,
            )
            assert approvals.decide(db, asked, "approved", "owner (shell)", now)
            telling.late(db, row, now)
        found = messages.for_agent(made.store.db, "team", 0, 2**62)
        assert [one.content.partition(": ")[2] for one in found] == [
            "It was approved, and is done: Count the sheep."
        ] * told
        said = made.store.db.execute("SELECT content FROM outbound_ledger").fetchall()
        assert "✅ It was approved, and is done: Count the sheep." in [one[0] for one in said]
