"""`ask_user`, as it is asked in a chat and waits there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol import read_answer
from agent_runner.protocol.requests import AskUser, Option, Question
from pynchy_cli import clock
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.effects import WAITS, Result
from pynchy_cli.ipc.handlers.questions import EFFECTS, MOST
from pynchy_cli.model import Group
from pynchy_cli.store import approvals, groups, questions, requests
from tests.asking import Asking, asking

ASKED = AskUser(questions=(Question(question="Red?", options=(Option(label="yes"),)),))


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """A home with the groups family and work."""
    with asking(tmp_path) as made:
        made.group("family")
        made.group("main", is_admin=True)
        yield made


def carried_out(ask: Asking, group: Group, chat_jid: str | None) -> Result:
    """What comes of the request."""
    asked, rows = ask.asked(group, ASKED, chat_jid), EFFECTS["ask_user"].rows
    assert rows is not None
    with ask.store.atomic() as db:
        return rows(db, asked, clock.now(), None)


def test_it_is_asked_once_in_the_runs_chat_and_waits(ask: Asking) -> None:
    group = groups.get(ask.store.db, "family")
    assert carried_out(ask, group, "local:family") is WAITS
    (found,) = questions.pending(ask.store.db, "family")
    assert (found.chat_jid, found.questions, found.open) == ("local:family", ASKED.questions, [1])
    expiry = clock.seconds_between(found.asked_at, found.expires_at)
    assert expiry == ask.context.settings.approvals.question_expiry
    assert approvals.next_expiry(ask.store.db) == found.expires_at
    said = ask.store.db.execute("SELECT key, chat_jid, source, content FROM outbound_ledger")
    assert [tuple(row) for row in said] == [
        (
            f"question:{found.id}",
            "local:family",
            "host",
            f"❓ Asked of you ({found.id}):\nRed?\n   1) yes\n\n"
            "Answer with an option's number or name, or in your own words behind @pynchy.",
        )
    ]


def test_where_no_word_is_needed_none_is_asked_for(ask: Asking) -> None:
    carried_out(ask, groups.get(ask.store.db, "main"), "local:main")
    (row,) = ask.store.db.execute("SELECT content FROM outbound_ledger")
    assert row[0].endswith("or in your own words.")


def test_without_a_chat_nobody_is_asked(ask: Asking) -> None:
    with pytest.raises(RequestRefused, match="nobody to ask"):
        carried_out(ask, groups.get(ask.store.db, "family"), None)


def test_there_is_an_end_to_asking(ask: Asking) -> None:
    group = groups.get(ask.store.db, "family")
    for _ in range(MOST):
        carried_out(ask, group, "local:family")
    with pytest.raises(RequestRefused, match="Wait for answers"):
        carried_out(ask, group, "local:family")
    assert carried_out(ask, groups.get(ask.store.db, "main"), "local:main") is WAITS


def test_a_run_that_was_begun_again_asks_anew_and_nothing_twice(ask: Asking) -> None:
    group = groups.get(ask.store.db, "family")
    carried_out(ask, group, "local:family")
    with ask.store.atomic() as db:
        db.execute("UPDATE requests SET run_id = 7")
    asked, rows = ask.asked(group, ASKED, "local:family"), EFFECTS["ask_user"].rows
    with ask.store.atomic() as db:
        db.execute("UPDATE requests SET run_id = 7 WHERE id = ?", (asked.row.id,))
        now = requests.get(db, asked.row.id)
        assert now is not None
        assert rows is not None
        again = type(asked)(asked.request, now, group, ask.context)
        db.execute(
            "INSERT INTO runs(id, group_folder, lane, kind, state, created_at)"
            " VALUES (7, 'family', 'chat', 'chat', 'queued', ?)",
            (clock.now(),),
        )
        assert rows(db, again, clock.now(), None) is WAITS
    states = ask.store.db.execute("SELECT state FROM questions ORDER BY request").fetchall()
    assert [row[0] for row in states] == ["withdrawn", "pending"]
    first = requests.get(ask.store.db, 1)
    assert first is not None
    assert first.answer is not None
    error = read_answer(first.answer).error
    assert error is not None
    assert error.code == "withdrawn"


def test_who_is_to_approve_it_reads_all_of_it() -> None:
    summary = EFFECTS["ask_user"].summary
    assert summary is not None
    assert summary(ASKED) == "Ask in the chat:\nRed?\n   1) yes"
