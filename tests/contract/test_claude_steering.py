"""What is said to the real Claude client while it works: read at the next tool, or answered
after what it is saying, and never lost track of; and a turn that somebody ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol import Interrupt, Notice, Replied, Steer, Text, ToolUse, TurnEnded
from tests.agent_process import Agent, first
from tests.anthropic_server import AnthropicServer
from tests.contract.test_claude_core import direct, environment, group, server

__all__ = ["direct", "environment", "group", "server"]

WAIT = "until [ -e go ]; do sleep 0.05; done; echo gone"
AT_WORK = "TOOL Bash " + json.dumps({"command": WAIT})


@pytest.fixture
def agent(tmp_path: Path, direct: dict[str, str], group: Path) -> Iterator[Agent]:
    """An agent in the group's folder that stays."""
    with Agent(tmp_path / "agent", direct, group) as agent:
        yield agent


def test_what_is_said_during_a_tool_is_read_in_the_same_turn(
    agent: Agent, group: Path, server: AnthropicServer
) -> None:
    agent.tell(first(AT_WORK, "claude", stay=True))
    agent.wait(ToolUse)
    agent.tell(Steer(turn="1.1", prompt="SAY and the owl, too", through=7))
    agent.tell(Steer(turn="0.1", prompt="SAY of another turn", through=8))
    (group / "go").touch()
    told = agent.wait(TurnEnded)
    assert (told.error, told.read, told.is_interrupted) == (None, 7, False)
    assert "and the owl, too" in server.texts(1)
    assert "of another turn" not in server.texts()
    assert agent.ask("SAY next").reply == "next"


def test_what_is_said_during_an_answer_gets_one_of_its_own(
    agent: Agent, server: AnthropicServer
) -> None:
    agent.tell(first("SLOW 40", "claude", stay=True))
    agent.wait(Text)
    agent.tell(Steer(turn="1.1", prompt="SAY second answer", through=9))
    earlier = agent.wait(Replied)
    told = agent.wait(TurnEnded)
    assert earlier.reply.endswith("w39")
    assert earlier.read == 0
    assert (told.reply, told.read) == ("second answer", 9)
    after = agent.records("1.1")
    text = [record.text for record in after[after.index(earlier) :] if isinstance(record, Text)]
    assert "".join(text) == "second answer"
    agent.tell(Steer(turn="1.1", prompt="SAY too late", through=10))
    assert agent.ask("SAY next").reply == "next"
    assert "too late" not in server.texts()


def test_an_interrupted_turn_ends_and_the_conversation_goes_on(
    agent: Agent, server: AnthropicServer
) -> None:
    agent.tell(first(AT_WORK, "claude", stay=True))
    agent.wait(ToolUse)
    agent.tell(Interrupt(turn="1.1"))
    told = agent.wait(TurnEnded)
    assert (told.error, told.is_interrupted, told.read) == (None, True, 0)
    after = agent.ask("SAY well then")
    assert (after.error, after.session_id) == (None, told.session_id)
    assert "until [ -e go ]" in server.texts()
    assert "well then" in server.texts()


def test_an_interruption_ends_what_waits_in_the_turn_too(agent: Agent) -> None:
    agent.tell(first("SLOW 200", "claude", stay=True))
    agent.wait(Text)
    agent.tell(Steer(turn="1.1", prompt="SLOW 201", through=3))
    agent.tell(Interrupt(turn="1.1"))
    told = agent.wait(TurnEnded)
    assert told.is_interrupted
    assert agent.ask("SAY next").reply == "next"


def test_an_interruption_before_the_start_comes_in_time(agent: Agent) -> None:
    agent.tell(first("SLOW 200", "claude", stay=True))
    agent.tell(Interrupt(turn="1.1"))
    assert agent.wait(TurnEnded).is_interrupted
    assert agent.ask("SAY next").reply == "next"


def test_what_waits_in_a_turn_that_fails_is_not_begun(
    tmp_path: Path, direct: dict[str, str], group: Path
) -> None:
    """It is asked again in a turn of its own, and nothing of it gets into another."""
    environment = {**direct, "CLAUDE_CODE_MAX_RETRIES": "1"}
    with Agent(tmp_path / "agent", environment, group) as agent:
        agent.tell(first("ERR 500", "claude", stay=True))
        agent.wait(Notice)
        agent.tell(Steer(turn="1.1", prompt="SLOW 40", through=3))
        told = agent.wait(TurnEnded)
        assert told.error is not None
        assert told.read == 0
        assert agent.ask("SAY next").reply == "next"
        text = [one.text for one in agent.records("2.1") if isinstance(one, Text)]
        assert "".join(text) == "next"
