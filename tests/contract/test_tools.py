"""The tools as two clients see them: MCP's own, by standard input and output, and the real Claude
client, with a scripted model. The host at the other end answers with real files."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from agent_runner.protocol import (
    Answer,
    Error,
    FollowUp,
    Offer,
    ServiceTool,
    ToolResult,
    TurnEnded,
    write_document,
)
from agent_runner.protocol.requests import AskUser, Request, SendMessage
from agent_runner.requests import Requests
from agent_runner.tools.toolbox import Toolbox
from tests.agent_process import LIMIT, Agent, first
from tests.answering_host import AnsweringHost
from tests.anthropic_server import AnthropicServer

ROOT = Path(__file__).parents[2]
WEATHER = ServiceTool(name="weather", description="Tell it.", schema={"type": "object"})
OFFER = Offer(requests=("send_message", "list_todos", "ask_user"), services=(WEATHER,))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }


def answering(request: Request) -> Answer | None:
    """What a host might say; people take their time."""
    match request:
        case SendMessage(text="secret"):
            return Answer(ok=False, error=Error("denied", "Ann said no."))
        case SendMessage():
            return Answer(ok=True, result={"message": 17})
        case AskUser():
            return None
    return Answer(ok=True, result={"asked": type(request).__name__})


def text(result: object) -> str:
    assert isinstance(result, CallToolResult)
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def conversation(server: StdioServerParameters, host: AnsweringHost) -> None:
    async with asyncio.timeout(LIMIT), Client(server) as client:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == [
            *OFFER.requests[:1],
            "ask_user",
            "list_todos",
            "weather",
        ]
        assert all(tool.input_schema["type"] == "object" for tool in listed)
        question = {"questions": [{"question": "Red or blue?"}]}
        waiting = asyncio.create_task(client.call_tool("ask_user", question))
        sent = await client.call_tool("send_message", {"text": "hi"})
        assert (sent.is_error, text(sent).splitlines()[-1]) == (False, '{"message":17}')
        refused = await client.call_tool("send_message", {"text": "secret"})
        assert (refused.is_error, text(refused)) == (True, "Ann said no. (denied)")
        wrong = await client.call_tool("send_message", {"text": 1})
        assert (wrong.is_error, "Nothing was asked" in text(wrong)) == (True, True)
        unknown = await client.call_tool("handoff", {"brief": "x"})
        assert unknown.is_error
        assert text(await client.call_tool("weather", {})) == '{"asked":"Service"}'
        assert not waiting.done()
        await asyncio.to_thread(host.wait, 4)
        asked = next(n for n, one in enumerate(host.requests()) if isinstance(one, AskUser))
        host.answer(host.id(asked), Answer(ok=True, result="blue"))
        assert text(await waiting) == '"blue"'


def test_any_client_is_served_the_offer_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "0.json").write_bytes(write_document(first("hi", offer=OFFER)))
    toolbox = Toolbox(OFFER, Requests(tmp_path))
    command, *args = toolbox.command
    server = StdioServerParameters(command=command, args=args, env=toolbox.variables)
    with AnsweringHost(tmp_path, answering) as host:
        asyncio.run(conversation(server, host))
    assert [type(request).__name__ for request in host.requests()].count("SendMessage") == 2


def test_without_a_run_there_is_no_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent_runner.tools", "--ipc", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, stdin=-3)
    assert (done.returncode, done.stdout) == (2, "")
    assert "0.json is not there" in done.stderr


def offered(server: AnthropicServer, number: int = 0) -> set[str]:
    """The tools in a request to the model that are not the client's own."""
    names = {tool["name"] for tool in server.requests[number]["tools"]}
    return {name for name in names if name.startswith("mcp__")}


def test_claude_asks_the_host_and_is_told_its_answer(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    ipc, group = tmp_path / "ipc", tmp_path / "group"
    group.mkdir()
    with AnthropicServer() as server, AnsweringHost(ipc, answering) as host:
        environment |= {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_AUTH_TOKEN": "key"}
        with Agent(ipc, environment, group) as agent:
            script = 'TOOL mcp__pynchy__send_message {"text":"half done"}'
            agent.tell(first(script, "claude", stay=True, offer=OFFER))
            told = agent.wait(TurnEnded)
            refused = agent.ask('TOOL mcp__pynchy__send_message {"text":"secret"}')
            not_offered = agent.ask('TOOL mcp__pynchy__handoff {"brief":"x"}')
            asking = 'TOOL mcp__pynchy__ask_user {"questions":[{"question":"Red?"}]}'
            agent.tell(FollowUp(turn="4.1", prompt=asking))
            host.answer(host.wait(3), Answer(ok=True, result={"answers": ["no, blue"]}))
            answered = agent.wait(TurnEnded, "4.1")
            assert agent.leave() == 0
            results = [record for record in agent.records() if isinstance(record, ToolResult)]
    assert host.requests()[:2] == [SendMessage(text="half done"), SendMessage(text="secret")]
    assert [type(request) for request in host.requests()[2:]] == [AskUser]
    assert '\\"message\\":17' in told.reply
    assert "Ann said no. (denied)" in refused.reply
    assert "no, blue" in answered.reply
    assert [result.is_error for result in results] == [False, True, True, False]
    assert not_offered.error is None
    names = ("send_message", "ask_user", "list_todos", "weather")
    assert offered(server) == {f"mcp__pynchy__{name}" for name in names}


def test_claude_has_no_server_where_nothing_is_offered(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    group = tmp_path / "group"
    group.mkdir()
    with AnthropicServer() as server:
        environment |= {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_AUTH_TOKEN": "key"}
        with Agent(tmp_path / "ipc", environment, group) as agent:
            agent.tell(first("SAY hi", "claude"))
            assert agent.wait(TurnEnded).reply == "hi"
    assert offered(server) == set()
    assert server.requests[0]["tools"]
