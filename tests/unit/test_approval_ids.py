"""The short ids of what is asked of people: none comes again for thirty days."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol.requests import AskUser, Question
from pynchy_cli import clock
from pynchy_cli.ipc.handlers.questions import EFFECTS
from pynchy_cli.store import approvals, groups
from tests.asking import Asking, asking

NOW = "2026-01-01T08:00:00.000Z"
DAY = 86_400.0


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    with asking(tmp_path) as made:
        made.group("work")
        yield made


def drawn(ask: Asking, now: str) -> str:
    with ask.store.atomic() as db:
        return approvals.new_id(db, now)


def repeat(monkeypatch: pytest.MonkeyPatch, first: str, times: int, then: str) -> None:
    """The next draws give `first` so many times, and `then` for ever."""
    said = iter(first * times)
    endless = iter(then * 1000)
    monkeypatch.setattr(secrets, "choice", lambda letters: next(said, None) or next(endless))


def test_an_id_is_not_given_again_though_its_group_was_removed(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = EFFECTS["ask_user"].rows
    assert rows is not None
    request = AskUser(questions=(Question(question="Where?"),))
    asked = ask.asked(groups.get(ask.store.db, "work"), request, "local:work")
    repeat(monkeypatch, "k7m2", 1, "k7m2b3c4")
    with ask.store.atomic() as db:
        rows(db, asked, NOW, None)
        groups.remove(db, "work")
    assert [row[0] for row in ask.store.db.execute("SELECT id FROM questions")] == []
    repeat(monkeypatch, "k7m2", 1, "b3c4")
    assert drawn(ask, clock.after(NOW, 30 * DAY - 1)) == "b3c4"
    repeat(monkeypatch, "k7m2", 1, "d5e6")
    assert drawn(ask, clock.after(NOW, 30 * DAY + 1)) == "d5e6"  # the chat shows it still
    with ask.store.atomic() as db:
        db.execute("DELETE FROM outbound_ledger")
    repeat(monkeypatch, "k7m2", 1, "d5e6")
    assert drawn(ask, clock.after(NOW, 30 * DAY + 1)) == "k7m2"


def test_where_all_short_ones_are_taken_they_get_longer(ask: Asking) -> None:
    letters, digits = approvals._LETTERS, approvals._DIGITS
    short = [a + b + c + d for a in letters for b in digits for c in letters for d in digits]
    with ask.store.atomic() as db:
        db.executemany("INSERT INTO ids_given(id, at) VALUES (?, ?)", [(id, NOW) for id in short])
    found = drawn(ask, NOW)
    assert len(found) == 6
    assert approvals.SHAPE.fullmatch(found)
