"""What can be pressed under a reply, and what is heard when it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol.requests import Option, Question
from pynchy_cli.channels.base import Button
from pynchy_cli.channels.pressing import buttons_for
from pynchy_cli.config.settings import Commands, Settings
from pynchy_cli.model import Reply
from pynchy_cli.routing import question_text
from pynchy_cli.routing.chat_commands import Words
from pynchy_cli.store import Store, approvals, groups, questions
from pynchy_cli.store.migrate import migrate
from tests.pending import ASKED_AT, LATER, needs_yes, waits

NOW = "2026-01-31T08:01:00.000Z"
STANDARD = Settings()
COLOUR = Question(
    question="Which?", options=(Option(label="red"), Option(label="Light\u202e blue"))
)
DAYS = Question(question="When?", options=(Option(label="Mon"), Option(label="Tue")), multiple=True)
NUMBERS = Question(
    question="How many?", options=tuple(Option(label=label) for label in ("2", "3.", "one"))
)
NAME = Question(question="What name?")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    file = tmp_path / "messages.db"
    migrate(file)
    with Store.open(file) as opened:
        with opened.atomic() as db:
            groups.add(
                db,
                folder="main",
                name="Main",
                jid="local:main",
                is_admin=True,
                trigger_mode="always",
                trigger_pattern=None,
                allowed_users=("owner",),
                now=ASKED_AT,
            )
        yield opened


def reply(key: str) -> Reply:
    """A reply of this key."""
    return Reply(1, key, "local:main", "main", None, "?", 1, True, "host", ASKED_AT)


def pressed(
    store: Store, key: str, settings: Settings = STANDARD, now: str = NOW
) -> tuple[Button, ...]:
    """The buttons under a reply of this key."""
    return buttons_for(store.db, reply(key), settings, now)


def asked(store: Store, *given: Question) -> questions.Asked:
    """Questions that wait for answers as `k7m2`."""
    request = waits(store, 2, "ask_user", '{"type": "ask_user", "questions": []}')
    with store.atomic() as db:
        return questions.ask(
            db,
            id="k7m2",
            request=request,
            chat_jid="local:main",
            questions=given,
            expires_at=LATER,
            now=ASKED_AT,
        )


@pytest.mark.parametrize("key", ["approval:k7m2", "approval:k7m2:admin"])
def test_a_yes_or_a_no(store: Store, key: str) -> None:
    needs_yes(store, "k7m2")
    yes, no = pressed(store, key)
    assert yes == Button("Approve", "approve k7m2", "primary")
    assert no == Button("Deny", "deny k7m2", "danger")
    words = Words(Commands())
    commands = [words.command_in(one.says, is_triggered=False) for one in (yes, no)]
    assert [(one.name, one.id) for one in commands if one] == [
        ("approve", "k7m2"),
        ("deny", "k7m2"),
    ]


def test_it_is_said_in_the_words_that_are_heard(store: Store) -> None:
    needs_yes(store, "k7m2")
    own = Settings(commands=Commands(approve=("ja", "yes"), deny=()))
    assert pressed(store, "approval:k7m2", own) == (Button("Approve", "ja k7m2", "primary"),)


def test_no_buttons_where_nothing_is_asked_any_more(store: Store) -> None:
    needs_yes(store, "k7m2")
    assert pressed(store, "approval:k7m2", now=LATER) == ()
    with store.atomic() as db:
        approvals.decide(db, approvals.get(db, "k7m2"), "approved", "owner", NOW)
    assert pressed(store, "approval:k7m2") == ()
    assert pressed(store, "approval:none") == ()
    assert pressed(store, "question:none") == ()
    assert pressed(store, "run:1.1:1") == ()


def test_options(store: Store) -> None:
    asked(store, COLOUR)
    assert pressed(store, "question:k7m2") == (
        Button("red", "k7m2 1"),
        Button("Light\\u202e blue", "k7m2 2"),
    )
    assert pressed(store, "question:k7m2", now=LATER) == ()


def test_several_questions_have_buttons_while_they_are_open(store: Store) -> None:
    found = asked(store, COLOUR, NAME, DAYS)
    both = pressed(store, "question:k7m2")
    assert [one.label for one in both] == [
        *("1: red", "1: Light\\u202e blue"),
        *("3: Only Mon", "3: Only Tue", "3: All of them"),
    ]
    with store.atomic() as db:
        questions.note(db, found, {1: "red"}, "owner")
    assert pressed(store, "question:k7m2") == both[2:]
    with store.atomic() as db:
        questions.settle(db, found, {"answers": {}}, "owner", NOW)
    assert pressed(store, "question:k7m2") == ()


@pytest.mark.parametrize("given", [(COLOUR,), (DAYS,), (NUMBERS,), (NAME, NUMBERS, DAYS, COLOUR)])
def test_what_is_said_is_heard_as_what_stands_on_the_button(
    store: Store, given: tuple[Question, ...]
) -> None:
    found = asked(store, *given)
    wanted: list[question_text.Answers] = []
    for number, question in enumerate(given, 1):
        labels = [option.label for option in question.options]
        several = [*([one] for one in labels), labels]
        wanted += [{number: one} for one in (several if question.multiple else labels)]
    buttons = pressed(store, "question:k7m2")
    heard = [
        question_text.options_in(one.says.removeprefix("k7m2 "), found.questions, found.open)
        for one in buttons
    ]
    assert heard == wanted


def test_there_are_no_more_than_a_message_takes(store: Store) -> None:
    many = Question(question="?", options=tuple(Option(label=f"o{n}") for n in range(10)))
    asked(store, many, many, many)
    assert len(pressed(store, "question:k7m2")) == 20
