"""A group's notes of what is to be done, as its agents add, list and tick them off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_runner.protocol import requests
from pynchy_cli import clock
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.handlers.todos import EFFECTS
from pynchy_cli.store import groups, todos
from tests.asking import Asking, asking


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """A home with the groups family and work."""
    with asking(tmp_path) as made:
        made.group("family")
        made.group("work")
        yield made


def told(ask: Asking, folder: str, request: requests.Request) -> Mapping[str, Any]:
    """What an agent of the group is told."""
    group = groups.get(ask.store.db, folder)
    effect = EFFECTS[requests.type_of(request)]
    assert effect.is_immediate(request)
    return ask.told(effect, ask.asked(group, request))


def test_what_is_added_is_listed_until_it_is_done(ask: Asking) -> None:
    milk = told(ask, "family", requests.AddTodo(content="buy milk"))["id"]
    bread = told(ask, "family", requests.AddTodo(content="buy bread"))["id"]
    assert told(ask, "family", requests.CompleteTodo(todo_id=milk)) == {"id": milk, "done": True}
    left = told(ask, "family", requests.ListTodos())
    assert [one["content"] for one in left["todos"]] == ["buy bread"]
    assert left["more"] is False
    all = told(ask, "family", requests.ListTodos(include_done=True))["todos"]
    assert [(one["id"], one["done"]) for one in all] == [(milk, True), (bread, False)]
    assert "done_at" in all[0]
    assert "done_at" not in all[1]


def test_a_group_sees_and_ticks_off_its_own_alone(ask: Asking) -> None:
    id = told(ask, "family", requests.AddTodo(content="a secret"))["id"]
    assert told(ask, "work", requests.ListTodos(include_done=True))["todos"] == []
    with pytest.raises(RequestRefused, match=f"no todo {id} of this group") as refused:
        told(ask, "work", requests.CompleteTodo(todo_id=id))
    assert refused.value.code == "todo_unknown"
    assert [one.done for one in todos.all(ask.store.db, "family", True)] == [False]


def test_what_is_done_stays_done_when_it_was(ask: Asking) -> None:
    with ask.store.atomic() as db:
        id = todos.add(db, "family", "buy milk", clock.now())
        assert todos.complete(db, "family", id, "2026-01-31T08:00:00.000Z")
    with ask.store.atomic() as db:
        assert todos.complete(db, "family", id, "2026-01-31T09:00:00.000Z")
    (one,) = todos.all(ask.store.db, "family", True)
    assert one.done_at == "2026-01-31T08:00:00.000Z"


def test_of_very_many_the_newest_are_listed_and_the_rest_is_told_of(ask: Asking) -> None:
    with ask.store.atomic() as db:
        for number in range(todos.SHOWN + 5):
            todos.add(db, "family", f"todo {number}", clock.now())
    found = told(ask, "family", requests.ListTodos())
    assert found["more"] is True
    assert [one["content"] for one in found["todos"]] == [
        f"todo {number}" for number in range(5, todos.SHOWN + 5)
    ]


def test_a_removed_groups_notes_go_with_it(ask: Asking) -> None:
    told(ask, "family", requests.AddTodo(content="buy milk"))
    with ask.store.atomic() as db:
        groups.remove(db, "family")
    assert todos.all(ask.store.db, "family", True) == []
