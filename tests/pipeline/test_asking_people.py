"""What agents ask, from their file to people and back into one: each stage is a process of its own
and ends after each step, so that all of it is in the file in between."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent_runner.protocol import Answer, read_answer
from agent_runner.protocol.requests import (
    AddTodo,
    AskUser,
    Option,
    Question,
    Request,
    write_request,
)
from tests.people import People

QUESTION = Question(question="Which?", options=(Option(label="this"), Option(label="that")))
GATED = {"defaults__gate": "add_todo"}


@pytest.fixture
def people(environment: dict[str, str], tmp_path: Path) -> People:
    """The admin group and a team, whose agents are at work."""
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", "ann", is_admin=True)
    made.group("team", "owner", "ann")
    made.say(("owner", "@pynchy go on"))
    made.route()
    made.at_work("team")
    made.say(("owner", "@pynchy go on"), chat="local:main")
    made.route()
    made.at_work("main")
    for group in ("main", "team"):
        for part in ("requests", "responses"):
            (made.home.session(group, f"{group}-session") / part).mkdir(parents=True)
    return made


def ask(people: People, group: str, request: Request, **settings: str) -> None:
    """Ask, as a tool in the sandbox does; the desk takes it."""
    folder = people.home.session(group, f"{group}-session") / "requests"
    (folder / ".draft").write_bytes(write_request(request))
    (folder / ".draft").rename(folder / "00000001-r1.json")
    people.stage("ipc-watch", **settings)
    assert list(folder.iterdir()) == []


def answered(people: People, group: str) -> Answer | None:
    """What the sandbox was answered."""
    path = people.home.session(group, f"{group}-session") / "responses" / "r1.json"
    return read_answer(path.read_bytes()) if path.exists() else None


def id_of(people: People, table: str) -> str:
    return str(people.rows(f"SELECT id FROM {table}")[0][0])


def test_an_answer_comes_to_whoever_asked_from_those_who_may_speak(people: People) -> None:
    """Answers carry the check of their sender, and the owner's own count."""
    ask(people, "team", AskUser(questions=(QUESTION,)))
    id = id_of(people, "questions")
    assert answered(people, "team") is None
    for text in ("1", f"{id} 1", "@pynchy this"):
        assert people.said("mallory", text) is None
    people.stage("ipc-watch")
    assert answered(people, "team") is None
    assert people.said("owner", "2") == "✅ Which? – that"
    people.stage("ipc-watch")
    answer = answered(people, "team")
    assert answer is not None
    assert answer.result == {"answers": {"Which?": "that"}, "answered_by": "owner"}


def test_a_question_ends_by_time_with_a_word_in_the_chat(people: People) -> None:
    soon = {"approvals__question_expiry": "0.001"}
    folder = people.home.session("team", "team-session") / "requests"
    (folder / "00000001-r1.json").write_bytes(write_request(AskUser(questions=(QUESTION,))))
    people.stage("ipc-watch", **soon)
    end = time.monotonic() + 60
    while answered(people, "team") is None and time.monotonic() < end:
        people.stage("ipc-watch", **soon)
    answer = answered(people, "team")
    assert answer is not None
    assert answer.error is not None
    assert answer.error.code == "expired"
    said = people.rows("SELECT content FROM outbound_ledger WHERE key LIKE 'question:%:expired'")
    assert len(said) == 1


def test_a_yes_counts_from_whom_and_where_it_was_asked(people: People) -> None:
    """Approvals are bound to people and places."""
    ask(people, "team", AddTodo(content="milk"), **GATED)
    id = id_of(people, "approvals")
    refused = f"You may not decide on {id}; that is for: owner."
    assert people.said("ann", f"approve {id}") == refused
    assert people.said("mallory", f"approve {id}") is None
    elsewhere = f"{id} was not asked in this chat, and can't be decided here."
    assert people.said("owner", f"@pynchy approve {id}", "local:main") == elsewhere
    people.stage("ipc-watch", **GATED)
    assert answered(people, "team") is None
    assert people.said("owner", f"approve {id}") == f"✅ {id} is approved."
    for _ in range(2):
        people.stage("ipc-watch", **GATED)
    answer = answered(people, "team")
    assert answer is not None
    assert answer.ok
    assert people.rows("SELECT group_folder, content FROM todos") == [("team", "milk")]
    decided = people.rows("SELECT state, decided_by FROM approvals")
    assert decided == [("approved", "owner")]


def test_a_no_comes_to_whoever_asked(people: People) -> None:
    ask(people, "team", AddTodo(content="milk"), **GATED)
    people.said("owner", f"deny {id_of(people, 'approvals')} not now")
    people.stage("ipc-watch")
    answer = answered(people, "team")
    assert answer is not None
    assert answer.error is not None
    assert (answer.error.code, "not now" in answer.error.message) == ("denied", True)
    assert people.rows("SELECT count(*) FROM todos") == [(0,)]


def test_the_owners_command_runs_once_and_its_output_is_said(people: People) -> None:
    people.home.group("main").mkdir(parents=True, exist_ok=True)
    shell = {"commands__shell": "true"}
    people.said("owner", "!echo hello | tee -a ran", "local:main", **shell)
    for _ in range(2):
        people.stage("ipc-watch", **shell)
    assert (people.home.group("main") / "ran").read_text() == "hello\n"
    said = people.rows("SELECT content, chat_jid FROM outbound_ledger ORDER BY id DESC LIMIT 1")
    assert said == [("✅ exit code 0\n\nhello", "local:main")]
    kinds = people.rows("SELECT kind, decision, who FROM audit ORDER BY id")
    assert kinds[0] == ("shell", "accepted", "owner")
