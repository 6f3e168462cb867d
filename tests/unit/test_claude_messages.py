"""What the Claude client says, as records and in words."""

from __future__ import annotations

from typing import Any

import pytest
from claude_agent_sdk import (
    AssistantMessage,
    ResultMessage,
    StreamEvent,
    SystemMessage,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    UserMessage,
)

from agent_runner.cores import claude_errors
from agent_runner.cores.claude_messages import LONG, Translation
from agent_runner.cores.claude_prompts import Prompts
from agent_runner.protocol import Notice, Record, Text, Thinking, ToolResult, ToolUse, TurnEnded

TURN = "7.1"


def delta(text: str, parent: str | None = None) -> StreamEvent:
    event = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    return StreamEvent(uuid="u", session_id="s", event=event, parent_tool_use_id=parent)


def block_start(kind: str = "text") -> StreamEvent:
    event = {"type": "content_block_start", "content_block": {"type": kind}}
    return StreamEvent(uuid="u", session_id="s", event=event)


def assistant(*blocks: Any, **fields: Any) -> AssistantMessage:
    return AssistantMessage(content=list(blocks), model="m", **fields)


def result(**fields: Any) -> ResultMessage:
    known = {
        "subtype": "success",
        "duration_ms": 1,
        "duration_api_ms": 1,
        "is_error": False,
        "num_turns": 1,
        "session_id": "s",
    }
    return ResultMessage(**{**known, **fields})


def told(*messages: Any) -> list[Record]:
    translation = Translation(TURN)
    return [record for message in messages for record in translation.records(message)]


def test_text_is_told_as_it_streams_and_only_once() -> None:
    stream = [block_start(), delta("one "), delta("two"), assistant(TextBlock("one two"))]
    assert told(*stream) == [Text(turn=TURN, text="one "), Text(turn=TURN, text="two")]


def test_a_further_block_of_text_begins_a_paragraph() -> None:
    found = told(block_start(), delta("one"), block_start("tool_use"), block_start(), delta("two"))
    assert "".join(record.text for record in found if isinstance(record, Text)) == "one\n\ntwo"


def test_the_text_of_a_helper_is_not_the_answers() -> None:
    assert told(delta("aside", parent="toolu_1")) == []


def test_thinking_and_tools_are_told_whole() -> None:
    found = told(
        assistant(ThinkingBlock(thinking="hm", signature="s")),
        assistant(ThinkingBlock(thinking="", signature="s")),
        assistant(ToolUseBlock(id="t", name="Bash", input={"command": "id"})),
        UserMessage(content=[ToolResultBlock(tool_use_id="t", content="0", is_error=None)]),
    )
    assert found == [
        Thinking(turn=TURN, text="hm"),
        ToolUse(turn=TURN, tool_id="t", name="Bash", input={"command": "id"}),
        ToolResult(turn=TURN, tool_id="t", content="0"),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        (
            [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}],
            "a\n[image]\nb",
        ),
        ("x" * (LONG + 5), "x" * LONG + "\n[cut: 5 more characters]"),
    ],
)
def test_what_a_tool_gave_is_text_within_bounds(content: Any, text: str) -> None:
    (found,) = told(UserMessage(content=[ToolResultBlock("t", content, is_error=True)]))
    assert found == ToolResult(turn=TURN, tool_id="t", content=text, is_error=True)


def test_what_befalls_the_conversation_is_a_notice() -> None:
    data = {"type": "system", "subtype": "api_retry", "attempt": 1, "uuid": "u", "session_id": "s"}
    found = told(
        SystemMessage("api_retry", data),
        SystemMessage("compact_boundary", {"compact_metadata": {"trigger": "auto"}}),
        SystemMessage("init", {"tools": []}),
        UserMessage(content="said by the user"),
    )
    assert found == [
        Notice(turn=TURN, subtype="api_retry", data={"attempt": 1}),
        Notice(turn=TURN, subtype="compact", data={"compact_metadata": {"trigger": "auto"}}),
    ]


def test_the_answer_is_the_results() -> None:
    ended = Translation(TURN).ended(result(result=" The answer. ", session_id="s-2"))
    assert ended == TurnEnded(turn=TURN, reply="The answer.", session_id="s-2")


def test_an_empty_result_after_some_text_is_that_text() -> None:
    translation = Translation(TURN)
    list(translation.records(assistant(TextBlock("Done it."))))
    list(translation.records(assistant(TextBlock("aside"), parent_tool_use_id="t")))
    list(translation.records(assistant(TextBlock("an error"), error="unknown")))
    assert translation.ended(result(result="")).reply == "Done it."


@pytest.mark.parametrize(
    ("fields", "words", "is_permanent"),
    [
        (
            {"api_error_status": 401, "result": "bad key"},
            "refused the key; check ANTHROPIC_API_KEY or the login (401): bad key",
            True,
        ),
        ({"api_error_status": 404}, "name of the model (404).", True),
        ({"api_error_status": 429}, "too many requests", False),
        ({"api_error_status": 500}, "The model's API failed (500).", False),
        ({"api_error_status": 529}, "overloaded", False),
        (
            {"result": "Connection refused"},
            "can't be reached or gave no answer: Connection refused",
            False,
        ),
        ({"subtype": "error_max_turns"}, "more steps than it may.", False),
        ({"subtype": "error_during_execution", "errors": ["a", "b"]}, "interrupted: a; b", False),
        ({"api_error_status": 500, "result": "x" * 9999}, "x" * 500, False),
    ],
)
def test_a_failure_is_said_in_words(fields: Any, words: str, is_permanent: bool) -> None:
    ended = Translation(TURN).ended(result(is_error=True, **fields))
    assert words in str(ended.error)
    assert len(str(ended.error)) < 1000
    assert (ended.reply, ended.is_permanent, ended.session_id) == ("", is_permanent, "s")


def test_an_error_without_the_flag_is_an_error() -> None:
    assert claude_errors.failure(result(subtype="error_max_turns")) is not None
    assert claude_errors.failure(result()) is None


def test_a_dead_client_is_told_with_its_last_words() -> None:
    words = claude_errors.died(RuntimeError("exit code 1\nlong output"), ["", " no memory \n"])
    assert words == "The Claude client ended: exit code 1: no memory"
    assert claude_errors.died(None, []) == "The Claude client ended: it just ended."


@pytest.mark.parametrize(
    ("fields", "is_ours"),
    [
        ({"user_message_uuids": ["other", "mine"]}, True),
        ({"user_message_uuid": "mine"}, True),
        ({"user_message_uuids": ["other"], "user_message_uuid": "other"}, False),
        ({"user_message_uuids": ["mine"], "origin": {"kind": "task-notification"}}, True),
        ({"origin": {"kind": "task-notification"}}, False),
        ({}, True),
    ],
)
def test_a_result_is_told_apart_by_the_prompts_that_it_names(fields: Any, is_ours: bool) -> None:
    prompts = Prompts()
    mine = prompts.add(7)
    named = {name: _named(value, mine) for name, value in fields.items()}
    assert prompts.answered_by(result(**named)) is is_ours
    assert (prompts.is_done, prompts.read) == (is_ours, 7 if is_ours else 0)


def _named(value: Any, mine: str) -> Any:
    if isinstance(value, list):
        return [_named(one, mine) for one in value]
    return mine if value == "mine" else value


def test_an_answer_to_a_later_prompt_is_one_to_those_before() -> None:
    prompts = Prompts()
    _, second, third = (prompts.add(number) for number in (1, 2, 3))
    assert prompts.answered_by(result(user_message_uuid=second))
    assert (prompts.read, prompts.is_done) == (2, False)
    assert prompts.answered_by(result(user_message_uuids=[second, third]))
    assert (prompts.read, prompts.is_done) == (3, True)
