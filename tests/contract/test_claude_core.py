"""The real Claude client against a scripted Messages API: what it is told, what it may do,
what of it becomes records. One client is started for a test, or two to continue; that is slow."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from agent_runner import archive
from agent_runner.protocol import Notice, Record, Started, Text, ToolResult, ToolUse, TurnEnded
from tests.agent_process import Agent, ended, first
from tests.anthropic_server import AnthropicServer

GATED = """
from agent_runner.cores.claude import ClaudeCore

async def gate(tool, arguments):
    if "secret" in str(arguments):
        return "Secrets stay where they are."
    if "broken" in str(arguments):
        raise RuntimeError("the gate broke")

class Gated(ClaudeCore):
    gates = (gate,)
"""


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """The group's folder."""
    folder = tmp_path / "group"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What the agent's sandbox holds, and a core with gates of its own, `gated`."""
    site = tmp_path / "site"
    (site / "gated-1.dist-info").mkdir(parents=True)
    (site / "gated.py").write_text(GATED)
    (site / "gated-1.dist-info" / "METADATA").write_text("Name: gated\nVersion: 1\n")
    entry = "[pynchy.cores]\ngated = gated:Gated\n"
    (site / "gated-1.dist-info" / "entry_points.txt").write_text(entry)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": f"{site}:{Path(__file__).parents[2]}",
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    """A model at the end of a TCP port."""
    with AnthropicServer() as server:
        yield server


@pytest.fixture
def direct(environment: dict[str, str], server: AnthropicServer) -> dict[str, str]:
    """The environment of a person who has a key and no gateway."""
    return {
        **environment,
        "ANTHROPIC_BASE_URL": server.url,
        "ANTHROPIC_AUTH_TOKEN": "the-key",
    }


def test_a_conversation_through_the_gateway_and_its_continuation(
    tmp_path: Path, group: Path, environment: dict[str, str]
) -> None:
    socket = tmp_path / "gateway.sock"
    environment |= {"PYNCHY_GATEWAY": str(socket), "ANTHROPIC_API_KEY": "must-not-be-used"}
    (group / "note.txt").write_text("the owl is grey\n")
    with AnthropicServer(socket) as server:
        with Agent(tmp_path / "first", environment, group) as agent:
            script = 'TOOL Bash {"command":"cat note.txt; pwd"}'
            agent.tell(first(script, "claude", stay=True, system_prompt="Be like an owl."))
            told = agent.wait(TurnEnded)
            warm = agent.ask("/compact @note.txt said &amp; done")
            assert agent.leave() == 0
            found = agent.records("1.1")
        _the_tool_ran_in(group, found, told)
        _the_request_is_as_meant(server)
        assert warm.reply == "echo: /compact @note.txt said &amp; done"
        assert "the owl is grey" in server.texts()
        assert warm.session_id == told.session_id

        with Agent(tmp_path / "second", environment, group) as agent:
            agent.tell(first("SAY still here", "claude", session_id=told.session_id))
            cold = agent.wait(TurnEnded)
            assert agent.end() == 0
        assert (cold.reply, cold.session_id) == ("still here", told.session_id)
        assert "the owl is grey" in server.texts()
        _the_archive_holds(tmp_path, group, "cat note.txt", "still here")


def _the_tool_ran_in(group: Path, found: Sequence[Record], told: TurnEnded) -> None:
    kinds = [type(record) for record in found]
    assert kinds[0] is Started
    assert kinds.index(Text) < kinds.index(ToolUse) < kinds.index(ToolResult)
    assert kinds[-2:] == [Text, TurnEnded]
    result = next(record for record in found if isinstance(record, ToolResult))
    assert (result.content, result.is_error) == (f"the owl is grey\n{group}", False)
    assert "the owl is grey" in told.reply
    assert told.seconds > 0
    starts = [record.session_id for record in found if isinstance(record, Started)]
    assert starts == [None, told.session_id]


def _the_request_is_as_meant(server: AnthropicServer) -> None:
    request, headers = server.requests[0], server.headers[0]
    assert headers["Authorization"] == "Bearer pynchy"
    assert not any("must-not-be-used" in value for value in headers.values())
    system = str(request["system"])
    assert "Claude" in system
    assert "Be like an owl." in system
    assert "persistent file-based memory" not in system
    assert "update-config" not in server.texts(0)
    tools = {tool["name"] for tool in request["tools"]}
    assert {"Bash", "Read", "Edit", "Write"} <= tools
    assert not {"AskUserQuestion", "EnterPlanMode", "ExitPlanMode"} & tools
    assert not {"CronCreate", "Monitor", "SendMessage", "WebFetch", "Workflow"} & tools
    assert "run_in_background" not in json.dumps(request["tools"])


def _the_archive_holds(home: Path, group: Path, *texts: str) -> None:
    (transcript,) = (home / ".claude" / "projects").glob("*/*.jsonl")
    kept = archive.keep(transcript, group, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert (
        kept == group / "conversations" / "2026-01-02-030405-tool-bash-command-cat-note-txt-pwd.md"
    )
    assert all(text in kept.read_text() for text in texts)


def test_what_a_helper_found_is_part_of_the_turn_that_asked_it(
    tmp_path: Path, group: Path, direct: dict[str, str]
) -> None:
    errand = 'TOOL Bash {"command":"echo plinth"}'
    helper = {"description": "look", "prompt": errand, "subagent_type": "general-purpose"}
    with Agent(tmp_path / "ipc", direct, group) as agent:
        agent.tell(first(f"TOOL Agent {json.dumps(helper)}", "claude"))
        end = agent.wait(TurnEnded)
        used = [record.name for record in agent.records() if isinstance(record, ToolUse)]
    assert "plinth" in end.reply
    assert used == ["Agent", "Bash"]


def test_an_agent_killed_in_a_tool_leaves_nothing_and_can_be_continued(
    tmp_path: Path, group: Path, direct: dict[str, str], server: AnthropicServer
) -> None:
    with Agent(tmp_path / "first", direct, group) as agent:
        agent.tell(first('TOOL Bash {"command":"tail -f /dev/null"}', "claude"))
        agent.wait(ToolUse)
        named = agent.wait(Started, where=lambda started: started.session_id is not None)
        children = psutil.Process(agent.process.pid).children(recursive=True)
        agent.let_go()
        agent.end()
        assert children
        assert all(ended(child) for child in children)
    with Agent(tmp_path / "second", direct, group) as agent:
        agent.tell(first("SAY go on", "claude", session_id=named.session_id))
        assert agent.end() == 0
        assert not any(isinstance(record, Notice) for record in agent.records())
    assert "tail -f /dev/null" in server.texts()


def test_a_conversation_that_is_gone_begins_afresh_and_says_so(
    tmp_path: Path, group: Path, direct: dict[str, str]
) -> None:
    gone = "1e2d8d5f-694a-4ead-b187-850c29122ba6"
    with Agent(tmp_path / "ipc", direct, group) as agent:
        agent.tell(first("hello", "claude", session_id=gone))
        end = agent.wait(TurnEnded)
        notice = agent.wait(Notice)
    assert notice.subtype == "session_lost"
    assert gone in notice.data["reason"]
    assert (end.reply, end.error) == ("echo: hello", None)
    assert end.session_id not in (None, gone)


def test_what_the_models_api_refuses_is_said_in_words_and_the_agent_stays(
    tmp_path: Path, group: Path, direct: dict[str, str]
) -> None:
    with Agent(tmp_path / "ipc", direct, group) as agent:
        agent.tell(first("ERR 401", "claude", stay=True))
        key = agent.wait(TurnEnded)
        retry = agent.wait(Notice)
        overloaded = agent.ask("ERR 529")
        recovered = agent.ask("ERR 500 1")
        assert agent.leave() == 0
    assert "refused the key; check ANTHROPIC_API_KEY" in str(key.error)
    assert key.is_permanent
    assert (retry.subtype, retry.data["error_status"]) == ("api_retry", 401)
    assert "127.0.0.1" not in str(overloaded.error)
    assert str(overloaded.error).startswith(
        "The model is overloaded; it may be tried again later (529): "
    )
    assert "API Error" not in str(overloaded.error)
    assert not overloaded.is_permanent
    assert (recovered.error, recovered.reply) == (None, "echo: ERR 500 1")


def test_a_gate_refuses_and_one_that_breaks_has_refused(
    tmp_path: Path, group: Path, direct: dict[str, str]
) -> None:
    with Agent(tmp_path / "ipc", direct, group) as agent:
        agent.tell(first('TOOL Bash {"command":"touch fine"}', "gated", stay=True))
        agent.wait(TurnEnded)
        refused = agent.ask('TOOL Bash {"command":"touch secret"}')
        agent.ask('TOOL Bash {"command":"touch broken"}')
        results = [record for record in agent.records() if isinstance(record, ToolResult)]
    assert [result.is_error for result in results] == [False, True, True]
    assert "Secrets stay where they are." in refused.reply
    assert [path.name for path in group.iterdir()] == ["fine"]


def test_a_client_that_dies_ends_its_turn_in_words(
    tmp_path: Path, group: Path, direct: dict[str, str]
) -> None:
    with Agent(tmp_path / "ipc", direct, group) as agent:
        agent.tell(first("SLOW 1000", "claude", stay=True))
        agent.wait(Text)
        (client,) = (
            process
            for process in psutil.Process(agent.process.pid).children()
            if "claude" in process.name()
        )
        client.send_signal(signal.SIGKILL)
        assert agent.end() == 1
        end = agent.records()[-1]
    assert isinstance(end, TurnEnded)
    assert "The Claude client ended" in str(end.error)
    assert not end.is_permanent
