"""The rehearsal as clients of the Messages API see it: the form of its answers, what its
script does, and one conversation with the real Claude command line."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from claude_agent_sdk import ClaudeAgentOptions, ClaudeSDKClient, ResultMessage

from pynchy_cli.config.settings import Settings
from pynchy_cli.gateway.conversation import Spoken, moment_of, said_in
from pynchy_cli.gateway.rehearsal import LARGEST
from pynchy_cli.gateway.script import FAREWELL, HOST, INTRODUCTION, Tool, next_step
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.log import Log
from pynchy_cli.model import Firing, NewMessage, Task
from pynchy_cli.routing import transcript
from pynchy_cli.scheduling.prompt import prompt as scheduling_prompt

TOOLS = [{"name": "Read", "input_schema": {}}, {"name": "Bash", "input_schema": {}}]
ASK = "Please read note.txt and tell me what it says."


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="gw"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@asynccontextmanager
async def rehearsal(folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    gateway = Gateway(Settings(), Log(logging.getLogger("pynchy.gateway")))
    await gateway.open(folder / "s1-1")
    connector = aiohttp.UnixConnector(str(folder / "s1-1" / "gateway.sock"))
    try:
        async with aiohttp.ClientSession("http://gateway", connector=connector) as client:
            yield client
    finally:
        await gateway.close(folder / "s1-1")
        await gateway.stop()


def scheduling(kind: str, value: str, prompt: str) -> Tool:
    """The call of the tool that schedules a task."""
    said = {"schedule_type": kind, "schedule_value": value, "prompt": prompt}
    return Tool(f"{HOST}schedule_task", said)


def said(*texts: str) -> str:
    return transcript.prompt(
        NewMessage("1", "local:main", "owner", 'A "B" <C>', text, "2026-01-01T00:00:00.000Z")
        for text in texts
    )


def request(*messages: Any, stream: bool = False, tools: Any = TOOLS) -> dict[str, Any]:
    entries = [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]
    return {
        "model": "claude-x",
        "max_tokens": 100,
        "messages": entries,
        "stream": stream,
        "tools": tools,
    }


async def post(client: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    async with client.post("/v1/messages", json=body) as received:
        assert received.status == 200
        document: dict[str, Any] = await received.json()
        return document


def deep(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = [value]
    return value


CALL = {"type": "tool_use", "id": "1", "name": "Read", "input": "no object"}
RESULT = {"type": "tool_result", "tool_use_id": "1", "content": deep(900)}
ODD = [{"role": "assistant", "content": [CALL]}, {"role": "user", "content": [RESULT]}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"model":"x","messages":[]}', 400),
        (b'{"model":"x","messages":[{"role":"user","content":"\xff"}]}', 400),
        (b'{"model":"x","tools":[{"a":' + b"[" * 5000, 400),
        (json.dumps(request(*ODD)).encode(), 200),
        (json.dumps(request("read a.b " * (LARGEST // 18))).encode(), 200),
        (json.dumps(request("x" * LARGEST)).encode(), 413),
    ],
)
def test_whatever_a_sandbox_sends_is_answered(
    short: Path, caplog: pytest.LogCaptureFixture, body: bytes, status: int
) -> None:
    async def work() -> None:
        async with (
            rehearsal(short) as client,
            client.post("/v1/messages", data=io.BytesIO(body)) as received,
        ):
            assert received.status == status
            assert received.content_type == "application/json"

    asyncio.run(work())
    assert caplog.text == ""


async def streamed(client: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    """Reads a stream as the API's clients do, strictly, and puts the message together."""
    async with client.post("/v1/messages", json={**body, "stream": True}) as received:
        assert received.content_type == "text/event-stream"
        raw = (await received.read()).decode()
    assert raw.endswith("\n\n")
    events = []
    for chunk in raw.removesuffix("\n\n").split("\n\n"):
        kind, data = chunk.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert kind == f"event: {events[-1]['type']}"
    return assembled([event for event in events if event["type"] != "ping"])


def assembled(events: list[dict[str, Any]]) -> dict[str, Any]:
    first, *middle, last = events
    assert (first["type"], last["type"]) == ("message_start", "message_stop")
    message: dict[str, Any] = first["message"]
    assert (message["content"], message["stop_reason"]) == ([], None)
    partial = ""
    for event in middle:
        if event["type"] == "content_block_start":
            assert event["index"] == len(message["content"])
            message["content"].append(event["content_block"])
            partial = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                message["content"][event["index"]]["text"] += delta["text"]
            else:
                assert delta["type"] == "input_json_delta"
                partial += delta["partial_json"]
        elif event["type"] == "content_block_stop":
            if partial:
                message["content"][event["index"]]["input"] = json.loads(partial)
        else:
            assert event["type"] == "message_delta"
            message |= event["delta"]
            message["usage"] |= event["usage"]
    return message


def test_a_stream_says_what_the_whole_answer_says_and_each_time_the_same(short: Path) -> None:
    async def work() -> None:
        async with rehearsal(short) as client:
            for text in (said("hello & <goodbye>"), said(ASK)):
                body = request(text)
                first, again = await streamed(client, body), await streamed(client, body)
                assert first == again
                whole = await post(client, body)
                assert whole["content"][0]["type"] == first["content"][0]["type"]
                for key in ("text", "input", "name"):
                    assert whole["content"][0].get(key) == first["content"][0].get(key)
                assert whole["stop_reason"] == first["stop_reason"]

    asyncio.run(work())


def test_a_file_is_read_by_a_tool_and_reported(short: Path) -> None:
    async def work() -> None:
        async with rehearsal(short) as client:
            asked = {"role": "user", "content": [{"type": "text", "text": said(ASK)}]}
            called = await post(client, request(asked))
            assert called["stop_reason"] == "tool_use"
            (use,) = called["content"]
            assert (use["name"], use["input"]) == ("Read", {"file_path": "note.txt"})
            result = {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": use["id"],
                        "content": "     1→the word\n     2→is x7\n"
                        "<system-reminder>no</system-reminder>",
                    }
                ],
            }
            answer = await post(client, request(asked, called, result))
            assert answer["stop_reason"] == "end_turn"
            text = answer["content"][0]["text"]
            assert "I used Read note.txt; it says:\n\nthe word\nis x7\n" in text
            assert text.startswith(INTRODUCTION)
            assert text.endswith(FAREWELL)

    asyncio.run(work())


@pytest.mark.parametrize(
    ("text", "tools", "step"),
    [
        (ASK, {"Read", "Bash"}, Tool("Read", {"file_path": "note.txt"})),
        ("look into docs/a-b.md.", {"Read"}, Tool("Read", {"file_path": "docs/a-b.md"})),
        ("Read the file `.env.example`!", {"Read"}, Tool("Read", {"file_path": ".env.example"})),
        ("read a;b.txt", {"Bash"}, None),
        ("read b.txt", {"Bash"}, Tool("Bash", {"command": "cat -- b.txt"})),
        ("list the files", {"Bash"}, Tool("Bash", {"command": "ls -A"})),
        ("which files are there?", {"Glob"}, Tool("Glob", {"pattern": "*"})),
        ("run `id -u` please", {"Bash"}, Tool("Bash", {"command": "id -u"})),
        (ASK, set(), None),
        ("I read about it. Open the door", {"Read", "Bash"}, None),
        ("hello", {"Read", "Bash"}, None),
        (
            "ask me: tea or green coffee?",
            {f"{HOST}ask_user"},
            Tool(
                f"{HOST}ask_user",
                {
                    "questions": [
                        {
                            "question": "tea or green coffee?",
                            "options": [{"label": "tea"}, {"label": "green coffee"}],
                        }
                    ]
                },
            ),
        ),
        ("ask me: tea or coffee?", {"Bash"}, None),
        (
            "send me `a word`",
            {f"{HOST}send_message"},
            Tool(f"{HOST}send_message", {"text": "a word"}),
        ),
        (
            "hand `a task` to another sandbox",
            {f"{HOST}run_in_sandbox"},
            Tool(f"{HOST}run_in_sandbox", {"task": "a task"}),
        ),
        (
            "register local:family as Family",
            {f"{HOST}register_group"},
            Tool(
                f"{HOST}register_group",
                {"jid": "local:family", "folder": "family", "name": "Family"},
            ),
        ),
        (
            "Remind me every 30m to stretch!",
            {f"{HOST}schedule_task"},
            scheduling("interval", "30m", "Remind me to stretch."),
        ),
        (
            "please remind me at 2026-12-01 09:00 to read note.txt",
            {f"{HOST}schedule_task", "Read"},
            scheduling("once", "2026-12-01 09:00", "Remind me to read note.txt."),
        ),
        (
            'remind me on "0 18 * * 1-5" to go home',
            {f"{HOST}schedule_task"},
            scheduling("cron", "0 18 * * 1-5", "Remind me to go home."),
        ),
        ("remind me every 30m to read note.txt", {"Read"}, None),
        ("which are my tasks?", {f"{HOST}list_tasks"}, Tool(f"{HOST}list_tasks", {})),
        (
            "cancel task-k2m4p6",
            {f"{HOST}cancel_task"},
            Tool(f"{HOST}cancel_task", {"task_id": "task-k2m4p6"}),
        ),
        (
            "Pause `job-k2m4p6`, please",
            {f"{HOST}pause_task"},
            Tool(f"{HOST}pause_task", {"task_id": "job-k2m4p6"}),
        ),
    ],
)
def test_what_the_script_understands(text: str, tools: set[str], step: Tool | None) -> None:
    found = next_step(moment_of([Spoken("user", said(text))]), frozenset(tools))
    if step is None:
        assert isinstance(found, str)
        assert f"You said: {text}" in found
    else:
        assert isinstance(found, Tool)
        assert found.name == step.name
        assert {k: v for k, v in found.input.items() if k != "description"} == step.input


def test_of_a_task_s_prompt_it_hears_the_task() -> None:
    told = "[SCHEDULED TASK]\nDue: read plan.txt\n\nThe task:\nread note.txt"
    for text in (told, f"<earlier_attempt>\n</earlier_attempt>\n\n{told}"):
        found = next_step(moment_of([Spoken("user", text)]), frozenset({"Read"}))
        assert found == Tool("Read", {"file_path": "note.txt"})
    assert said_in(said(told)) == [told]


def fired(prompt: str) -> Spoken:
    """What an agent is told when a task is due."""
    now = "2026-12-01T08:00:00.000Z"
    task = Task(
        **{field.name: None for field in fields(Task)}  # type: ignore[arg-type]
        | {"id": "task-k2m4p6", "schedule_type": "once", "schedule_value": now}
        | {"timezone": "UTC", "prompt": prompt}
    )
    told = scheduling_prompt(task, Firing(1, task.id, now, now, None, False, "fired", None))
    return Spoken("user", told)


def test_a_task_s_run_is_about_the_task_alone() -> None:
    """Not about what the run is told besides."""
    answer = next_step(moment_of([fired("Remind me to `go`\nhome.")]), frozenset({"Bash", "Read"}))
    assert isinstance(answer, str)
    assert "It is time for this: Remind me to `go`\nhome." in answer
    assert "clock" not in answer
    read = next_step(moment_of([fired("Read note.txt, please.")]), frozenset({"Bash", "Read"}))
    assert read == Tool("Read", {"file_path": "note.txt"})


def test_a_task_s_run_may_have_nothing_to_say() -> None:
    """By the tool, where there is one, and else by an answer that is for nobody."""
    spoken = [fired("Look, and say nothing.")]
    tool = frozenset({f"{HOST}finished_work"})
    assert next_step(moment_of(spoken), tool) == Tool(f"{HOST}finished_work", {})
    use = {"type": "tool_use", "id": "t", "name": f"{HOST}finished_work", "input": {}}
    done = {"type": "tool_result", "tool_use_id": "t", "content": "The host knows."}
    after = next_step(
        moment_of([*spoken, Spoken("assistant", [use]), Spoken("user", [done])]), tool
    )
    assert isinstance(after, str)
    assert "I used finished_work" in after
    alone = next_step(moment_of(spoken), frozenset())
    assert isinstance(alone, str)
    assert alone.startswith("<internal>")
    assert alone.endswith("</internal>")
    other = next_step(moment_of([Spoken("user", said("say nothing"))]), tool)
    assert isinstance(other, str)
    assert "You said: say nothing" in other


def test_it_remembers_what_the_request_holds_and_nothing_else() -> None:
    spoken = [
        Spoken("user", [{"type": "text", "text": "<system-reminder>a</system-reminder>"}]),
        Spoken("system", "# Environment"),
        Spoken("user", said("my cat is called Miez & Co", "really")),
        Spoken("assistant", "Good."),
        Spoken("user", said("What did I say before?")),
    ]
    answer = next_step(moment_of(spoken), frozenset())
    assert isinstance(answer, str)
    assert "Before this you said:\n1. my cat is called Miez & Co\n2. really\n" in answer
    assert "Environment" not in answer
    alone = next_step(moment_of(spoken[-1:]), frozenset())
    assert isinstance(alone, str)
    assert "the conversation begins here" in alone


def test_a_tool_that_fails_is_said_to_have_failed() -> None:
    use = {"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "note.txt"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "gone", "is_error": True}
    spoken = [Spoken("user", ASK), Spoken("assistant", [use]), Spoken("user", [result])]
    answer = next_step(moment_of(spoken), frozenset({"Read"}))
    assert isinstance(answer, str)
    assert "I tried Read note.txt; it failed:\n\ngone" in answer


CALLED = [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "id"}}]
GIVEN = [{"type": "tool_result", "tool_use_id": "t1", "content": "root"}]


@pytest.mark.parametrize("role", ["user", "system"])
def test_what_is_said_while_a_tool_runs_is_answered_too(role: str) -> None:
    """As the core tells it, with one model and with another."""
    text = f"The user sent a new message while you were working:\n{said('hello')}\nAddress it."
    if role == "user":
        text = f"<system-reminder>{text}</system-reminder>"
    spoken = [
        Spoken("user", said("run `id`")),
        Spoken("assistant", CALLED),
        Spoken("user", GIVEN),
        Spoken(role, [{"type": "text", "text": text}]),
    ]
    answer = next_step(moment_of(spoken), frozenset({"Bash"}))
    assert isinstance(answer, str)
    assert "I used Bash id; it says:\n\nroot\n\nYou said: hello\n" in answer
    assert "run `id`" not in answer


def test_a_turn_that_somebody_ended_is_over() -> None:
    spoken = [
        Spoken("user", said("run `id`")),
        Spoken("assistant", CALLED),
        Spoken("user", GIVEN),
        Spoken("user", [{"type": "text", "text": "[Request interrupted by user for tool use]"}]),
        Spoken("user", said("my cat is Miez", "What did I say before?")),
    ]
    answer = next_step(moment_of(spoken), frozenset({"Bash"}))
    assert isinstance(answer, str)
    assert "I used" not in answer
    assert "Before this you said:\n1. run `id`\n2. my cat is Miez\n" in answer


def test_hostile_texts_cost_no_more_than_their_length() -> None:
    size = 300_000
    for piece in (
        "<system-reminder>",
        "<message ",
        "<messages><message>",
        "read a",
        "run `",
        "ask me a",
        "hand `",
        "remind me ",
        "remind me on `",
        "remind me every 30m to ",
        "cancel task-",
        "[SCHEDULED TASK]\n\nThe task:\n",
    ):
        text = piece * (size // len(piece))
        said_in(text)
        next_step(moment_of([Spoken("user", text)]), frozenset())
    next_step(moment_of([Spoken("user", "read " + "a" * size)]), frozenset({"Read"}))


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"model": "x", "messages": []}', b'{"model": "x"}', b"\xff", b"[" * 9999],
)
def test_what_cannot_be_read_is_refused_in_the_apis_form(short: Path, body: bytes) -> None:
    async def work() -> None:
        async with (
            rehearsal(short) as client,
            client.post("/v1/messages", data=io.BytesIO(body)) as received,
        ):
            assert received.status == 400
            error = await received.json()
            assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")

    asyncio.run(work())


def test_counting_and_models(short: Path) -> None:
    async def work() -> None:
        async with rehearsal(short) as client:
            async with client.post("/v1/messages/count_tokens", data=b"x" * 400) as received:
                assert await received.json() == {"input_tokens": 100}
            async with client.get("/v1/models") as received:
                assert [one["id"] for one in (await received.json())["data"]] == ["rehearsal"]
            async with client.get("/v1/models/claude-x") as received:
                assert (await received.json())["id"] == "claude-x"

    asyncio.run(work())


async def told(client: ClaudeSDKClient, text: str) -> str:
    await client.query(said(text))
    async for message in client.receive_response():
        if isinstance(message, ResultMessage):
            assert not message.is_error
            return str(message.result)
    raise AssertionError("no result")


def test_claude_itself_reads_a_file_and_resumes(short: Path) -> None:
    place = short / "group"
    place.mkdir()
    word = secrets.token_hex(8)
    (place / "note.txt").write_text(f"the word is {word}\n")
    talk: list[str] = []

    def options(session: str | None) -> ClaudeAgentOptions:
        return ClaudeAgentOptions(
            cwd=place,
            resume=session,
            setting_sources=[],
            permission_mode="bypassPermissions",
            stderr=talk.append,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(short),
                "CLAUDE_CONFIG_DIR": str(short / "claude"),
                "ANTHROPIC_UNIX_SOCKET": str(short / "s1-1" / "gateway.sock"),
                "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
                "ANTHROPIC_AUTH_TOKEN": "none",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_RETRIES": "2",
                "IS_SANDBOX": "1",
            },
        )

    async def work() -> None:
        async with rehearsal(short):
            async with ClaudeSDKClient(options(None)) as claude:
                answer = await told(claude, ASK)
                assert word in answer
                assert INTRODUCTION in answer
                names = list((short / "claude" / "projects").rglob("*.jsonl"))
            assert len(names) == 1
            async with ClaudeSDKClient(options(names[0].stem)) as claude:
                answer = await told(claude, "What did I say before?")
                assert f"1. {ASK}" in answer

    asyncio.run(work())
