"""Answers to what agents have asked, by the real `route`: once, whole, to whoever asked, and from
those alone who may speak there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_runner.protocol.requests import Option, Question
from pynchy_cli import clock
from pynchy_cli.store import chats, messages, questions
from tests.people import BEFORE, People

COLOUR = Question(
    question="Which colour?", options=(Option(label="red"), Option(label="light blue"))
)
NAME = Question(question="What name?")


@pytest.fixture
def people(environment: dict[str, str], tmp_path: Path) -> People:
    """A team whose agent is at work."""
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", is_admin=True)
    made.group("team", "owner", "ann")
    made.say(("owner", "@pynchy paint it"))
    made.route()
    made.at_work()
    return made


def result(people: People, request: int) -> object:
    """What the agent was answered, if it was."""
    answer = people.answer(request)
    return answer.result if answer else None


def test_an_option_answers_without_a_word_to_the_assistant(people: People) -> None:
    asked = people.question("q2w3", COLOUR)
    assert people.said("ann", "I like green") is None
    assert people.said("ann", " Light BLUE ") == "✅ Which colour? – light blue"
    assert result(people, asked) == {
        "answers": {"Which colour?": "light blue"},
        "answered_by": "ann",
    }
    assert people.state(asked) == "done"
    assert people.rows("SELECT state, answered_by FROM questions") == [("answered", "local:ann")]
    assert people.rows("SELECT kind, decision, who FROM audit") == [
        ("question", "answered", "local:ann")
    ]


def test_an_answer_is_not_said_to_the_agent_as_well(people: People) -> None:
    people.question("q2w3", COLOUR)
    people.said("owner", "2")
    people.said("owner", "@pynchy and the door?")
    assert people.rows("SELECT state, count(*) FROM runs GROUP BY 1 ORDER BY 1") == [
        ("queued", 1),
        ("running", 1),
    ]
    prompt = people.told()[1]
    assert ("the door" in prompt, ">2<" in prompt) == (True, False)


def test_only_who_may_speak_there_answers_and_only_there(people: People) -> None:
    people.group("desk", "*")
    asked = people.question("q2w3", COLOUR)
    for who, chat in (("eve", "local:team"), ("owner", "local:desk"), ("owner", "local:main")):
        for text in ("1", "@pynchy red", "q2w3 1", "1: red"):
            assert people.said(who, text, chat) is None, (who, chat, text)
    assert (people.state(asked), people.answer(asked)) == ("waiting", None)
    assert people.said("ann", "1") == "✅ Which colour? – red", "and not the owner alone"


def test_only_people_answer_in_any_of_the_groups_chats(people: People) -> None:
    people.group("other", "owner")
    asked = people.question("q2w3", COLOUR)
    with people.store() as store, store.atomic() as db:
        messages.tell(
            db, key="x", chat_jid="local:team", content="1", kind="notice", now=clock.now()
        )
        chats.seen(db, "local:lounge", None, clock.now())
        db.execute("INSERT INTO group_chats(jid, group_folder) VALUES ('local:lounge', 'team')")
    people.route()
    assert people.said("owner", "1", "local:other") is None
    assert people.state(asked) == "waiting"
    # It is shown in all of them.
    assert people.said("owner", "1", "local:lounge") == "✅ Which colour? – red"
    assert people.state(asked) == "done"


def test_what_is_answered_in_part_is_kept_and_the_rest_asked_again(people: People) -> None:
    asked = people.question("q2w3", COLOUR, NAME)
    assert people.said("ann", "red") == (
        "✅ Which colour? – red\n\n❓ Asked of you (q2w3):\n2. What name?\n\n"
        "Answer in your own words behind @pynchy."
    )
    assert people.state(asked) == "waiting"
    assert people.said("ann", "Whiskers") is None
    people.route()
    assert people.said("owner", "@pynchy  Whiskers the 2nd") == "✅ What name? – Whiskers the 2nd"
    assert result(people, asked) == {
        "answers": {"Which colour?": "red", "What name?": "Whiskers the 2nd"},
        "answered_by": "owner",
    }


def test_all_at_once_with_a_line_for_each(people: People) -> None:
    asked = people.question("q2w3", COLOUR, NAME)
    assert people.said("ann", "2: Tom\n1: 2") is not None
    assert result(people, asked) == {
        "answers": {"Which colour?": "light blue", "What name?": "Tom"},
        "answered_by": "ann",
    }


def test_of_several_the_oldest_is_meant_unless_another_is_named(people: People) -> None:
    first, second = people.question("q2w3", COLOUR), people.question("x4y5", COLOUR, NAME)
    assert people.said("ann", "X4Y5: 2") is not None
    assert (people.state(first), people.state(second)) == ("waiting", "waiting")
    assert people.said("ann", "1") == "✅ Which colour? – red"
    assert result(people, first) == {"answers": {"Which colour?": "red"}, "answered_by": "ann"}
    people.said("ann", "x4y5 Tom")
    answers = {"Which colour?": "light blue", "What name?": "Tom"}
    assert result(people, second) == {"answers": answers, "answered_by": "ann"}


def test_it_is_answered_once(people: People) -> None:
    asked = people.question("q2w3", COLOUR)
    people.say(("owner", "1"), ("ann", "2"))
    people.route()
    assert result(people, asked) == {"answers": {"Which colour?": "red"}, "answered_by": "owner"}
    assert people.rows("SELECT count(*) FROM outbound_ledger") == [(1,)]
    assert people.rows("SELECT count(*) FROM audit") == [(1,)]


def test_commands_come_before_answers(people: People) -> None:
    asked = people.question("q2w3", Question(question="What now?", options=(Option(label="stop"),)))
    assert people.said("ann", "@pynchy pending") is not None
    assert people.state(asked) == "waiting"
    assert people.said("ann", "stop") == (
        "✋ Stopping. What was said so far stays, and the conversation goes on."
    )
    answer = people.answer(asked)
    assert answer is not None
    assert answer.error is not None


@pytest.mark.parametrize("how", ["ended", "begun again", "sandbox gone"])
def test_an_answer_after_the_turn_becomes_a_message_once(people: People, how: str) -> None:
    """Whoever asked is gone: the agent reads question, options and answer in a run of their own."""
    asked = people.question("q2w3", COLOUR, NAME)
    people.said("ann", "red")
    with people.store() as store, store.atomic() as db:
        if how == "begun again":
            db.execute("UPDATE runs SET started_at = '2999-01-01T00:00:00.000Z'")
        if how == "sandbox gone":
            db.execute("UPDATE sessions SET owner = NULL, folder = NULL")
    if how == "ended":
        people.over(1)
    answer = people.said("owner", "@pynchy Tom & Jerry")
    assert answer is not None
    assert answer.startswith("✅ What name? – Tom & Jerry\nThe turn that asked is over")
    people.say(("ann", "1"), ("owner", "@pynchy anything else?"))
    people.route()
    people.route()
    assert people.state(asked) == "done"
    _, queued = people.rows("SELECT state, first_seq, last_seq FROM runs ORDER BY id")
    assert queued[0] == "queued"
    prompt = people.told()[1]
    for words in ("Which colour?", "Options: red; light blue", "Answer: red", "What name?"):
        assert prompt.count(words) == 1, words
    assert prompt.count("Tom &amp; Jerry") == 1, "once, and not also as it was said"
    assert prompt.count("anything else?") == 1
    assert 'sender="owner"' in prompt
    kinds = "SELECT message_type, audience, sender FROM messages WHERE id LIKE 'pynchy:question:%'"
    assert people.rows(kinds) == [("answer", "agent", "owner")]


def test_nothing_that_is_too_late_is_an_answer(people: People) -> None:
    asked = people.question("q2w3", COLOUR, expires_at=BEFORE)
    assert people.said("ann", "1") is None
    with people.store() as store, store.atomic() as db:
        assert questions.expire(db, clock.now()) == 1
        assert questions.expire(db, clock.now()) == 0
    answer = people.answer(asked)
    assert answer is not None
    assert answer.error is not None
    assert answer.error.code == "expired"
    said = people.rows("SELECT chat_jid, content FROM outbound_ledger")
    assert said == [("local:team", "⌛ Nobody answered q2w3 in time; the question is closed.")]
    assert people.rows("SELECT kind, decision FROM audit") == [("question", "expired")]
    assert people.said("ann", "1") is None


def test_what_was_answered_in_part_is_not_lost_when_it_expires(people: People) -> None:
    asked = people.question("q2w3", COLOUR, NAME)
    people.said("ann", "red")
    with people.store() as store, store.atomic() as db:
        assert questions.expire(db, "2999-01-01T00:00:00.001Z") == 1
    answer = people.answer(asked)
    assert answer is not None
    assert answer.error is not None
    assert '{"Which colour?": "red"}' in answer.error.message


def test_in_a_group_that_needs_no_word_anything_is_an_answer(people: People) -> None:
    asked = people.question("q2w3", COLOUR, folder="main", chat="local:main")
    people.said("owner", "neither, rather green", "local:main")
    assert people.state(asked) == "done"
    assert people.rows("SELECT count(*) FROM runs WHERE group_folder = 'main'") == [(1,)], (
        "nobody waits there: it is told in a run"
    )
    assert people.rows("SELECT content FROM messages WHERE message_type = 'answer'")[0][0].endswith(
        "Answer: neither, rather green"
    )


def test_a_number_that_no_option_has_is_no_answer(people: People) -> None:
    """It was mistyped, and nobody could take it back."""
    asked = people.question("q2w3", COLOUR)
    wrong = "There is no option 9: there are 1 to 2. Something else is said in words."
    assert [people.said("ann", text) for text in ("@pynchy 9", "1: 9")] == [wrong, wrong]
    assert people.said("ann", "9") is None
    assert (people.state(asked), people.answer(asked)) == ("waiting", None)
    assert people.said("ann", "@pynchy 9 parts of red") == "✅ Which colour? – 9 parts of red"
    dozens = Question(question="How many?", options=(Option(label="6"), Option(label="12")))
    people.question("a4b5", dozens)
    assert people.said("ann", "@pynchy 9") == "✅ How many? – 9", "numbers are asked for"


def test_pending_lists_questions_with_their_ids(people: People) -> None:
    people.question("q2w3", COLOUR, NAME)
    said = people.said("ann", "@pynchy pending")
    assert said is not None
    assert said.startswith("❓ q2w3: Which colour? and 1 more (")
    people.said("ann", "red")
    said = people.said("ann", "@pynchy pending")
    assert said is not None
    assert said.startswith("❓ q2w3: What name? (")


def test_one_group_s_broken_row_stops_no_other(people: People) -> None:
    people.group("desk", "owner")
    people.question("q2w3", COLOUR)
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE questions SET questions = 'rubbish'")
    people.say(("owner", "@pynchy one"), ("owner", "@pynchy two"))
    people.say(("owner", "@pynchy three"), chat="local:desk")
    people.stage("route", code=1)
    assert people.rows("SELECT state FROM runs WHERE group_folder = 'desk'") == [("queued",)]
    assert people.rows("SELECT subject FROM failures") == [("message:2",)]
