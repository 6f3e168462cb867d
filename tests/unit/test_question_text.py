"""How questions of agents read, and what answers them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runner.protocol.requests import Option, Question
from pynchy_cli.routing import question_text
from pynchy_cli.routing.question_text import options_in, rendered, words_in

COLOUR = Question(
    question="Which colour?",
    options=(Option(label="red", description="the warm one"), Option(label="Light blue")),
)
DAYS = Question(
    question="Which days?",
    options=(Option(label="Mon"), Option(label="Tue"), Option(label="Wed")),
    multiple=True,
)
NAME = Question(question="What name?")


def test_questions_are_numbered_and_say_how_they_are_answered() -> None:
    assert rendered("k4m2", [COLOUR, DAYS, NAME], [1, 2, 3], "andy").splitlines() == [
        "❓ Asked of you (k4m2):",
        "1. Which colour?",
        "   1) red – the warm one",
        "   2) Light blue",
        "2. Which days?",
        "   1) Mon",
        "   2) Tue",
        "   3) Wed",
        "3. What name?",
        "",
        "Answer with an option's number or name (several, as `1, 3`, where more than one may be "
        "chosen), or in your own words behind @andy. All at once: a line for each, as `1: …`.",
    ]
    assert rendered("k4m2", [COLOUR, NAME], [2], None).splitlines() == [
        "❓ Asked of you (k4m2):",
        "2. What name?",
        "",
        "Answer in your own words.",
    ]


def test_what_an_agent_writes_can_not_turn_the_text() -> None:
    text = rendered("k4m2", [Question(question="a\u202eb\x1b[2J")], [1], None)
    assert "\u202e" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("2", {1: "Light blue"}),
        (" RED. ", {1: "red"}),
        ("light  BLUE", {1: "Light blue"}),
        ("1, 3", {1: "red", 2: ["Wed"]}),
        ("1: 2", {1: "Light blue"}),
        ("2: 1, 3", {2: ["Mon", "Wed"]}),
        ("1: red\n2: tue, mon\n3: Ann of 1: x", {1: "red", 2: ["Tue", "Mon"], 3: "Ann of 1: x"}),
        ("1: something else", {1: "something else"}),
    ],
)
def test_options_and_lines_answer_without_the_assistants_name(
    text: str, answers: dict[int, object]
) -> None:
    assert options_in(text, [COLOUR, DAYS, NAME], [1, 2, 3]) == answers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "0",
        "redder",
        "red or blue",
        "1 2",
        "1, 2, 3, 4",
        "1, x",
        "10:30",
        "2:30",
        "4: x",
        "1: red\nand then",
        "1: red\n1: blue",
        "1:",
        "hello",
    ],
)
def test_talk_is_no_answer(text: str) -> None:
    assert options_in(text, [COLOUR, DAYS, NAME], [1, 2, 3]) is None


def test_a_question_without_options_is_not_answered_by_a_number_alone() -> None:
    assert options_in("2", [NAME], [1]) is None
    assert words_in("2", [NAME], [1]) == {1: "2"}


def test_what_is_answered_already_is_not_answered_again() -> None:
    assert options_in("1: red", [COLOUR, DAYS], [2]) is None
    assert options_in("1", [COLOUR, DAYS], [2]) == {2: ["Mon"]}


def test_words_for_the_assistant_answer_the_first_open_one() -> None:
    assert words_in("  rather green ", [COLOUR, NAME], [1, 2]) == {1: "rather green"}
    assert words_in("rather green", [COLOUR, NAME], [2]) == {2: "rather green"}
    assert words_in(" ", [COLOUR], [1]) is None
    assert words_in("x" * (question_text.LONGEST + 1), [NAME], [1]) is None


@given(st.text(max_size=60), st.sampled_from([[1, 2, 3], [2, 3], [3]]))
def test_no_text_makes_it_fail_and_only_open_ones_are_answered(text: str, open: list[int]) -> None:
    for read in (options_in, words_in):
        found = read(text, [COLOUR, DAYS, NAME], open)
        assert found is None or (found and set(found) <= set(open))
