"""What a model is told of its tools, and what becomes of their calls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent_runner.protocol import Answer, Error, Offer, ServiceTool
from agent_runner.protocol.requests import (
    AskUser,
    Option,
    Question,
    RunInSandbox,
    SendMessage,
    Service,
    types,
)
from agent_runner.requests import Requests
from agent_runner.tools import catalogue
from agent_runner.tools.toolbox import Said, Toolbox
from tests.answering_host import Answering, AnsweringHost, yes

EVERY = tuple(name for name in types() if name != "service")
WEATHER = ServiceTool(
    name="weather",
    description="Tell the weather.",
    schema={"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
)
EXAMPLES: dict[str, dict[str, Any]] = {
    "send_message": {"text": "hi", "files": ["a.txt"]},
    "schedule_task": {"schedule_type": "cron", "schedule_value": "0 9 * * *", "prompt": "Look."},
    "pause_task": {"task_id": "a"},
    "resume_task": {"task_id": "a"},
    "cancel_task": {"task_id": "a"},
    "register_group": {"jid": "slack:C1", "folder": "team", "name": "Team"},
    "handoff": {"brief": "Go on."},
    "ask_user": {"questions": [{"question": "Red?", "options": [{"label": "yes"}]}]},
    "add_todo": {"content": "milk"},
    "complete_todo": {"todo_id": 3},
    "run_in_sandbox": {"task": "Count."},
    "collect_sandbox": {"run": 7},
}
"""Arguments for those that need some."""


def toolbox(ipc: Path, *names: str, services: tuple[ServiceTool, ...] = ()) -> Toolbox:
    return Toolbox(Offer(requests=names, services=services), Requests(ipc))


def called(
    ipc: Path, name: str, arguments: dict[str, Any], answering: Answering = yes
) -> tuple[Said, list[Any]]:
    """What a call of any tool gave, and what the host was asked."""
    with AnsweringHost(ipc, answering) as host:
        said = asyncio.run(toolbox(ipc, *EVERY, services=(WEATHER,)).call(name, arguments))
    return said, host.requests()


def test_every_request_is_a_tool_but_a_service_which_is_many() -> None:
    assert set(catalogue.ENTRIES) == set(catalogue.TYPES) == set(EVERY)
    for name, entry in catalogue.ENTRIES.items():
        assert set(entry.hints) <= set(catalogue.schema(name)["properties"]), name


@pytest.mark.parametrize("name", EVERY)
def test_a_schema_is_a_plain_objects_and_takes_what_the_type_takes(
    name: str, tmp_path: Path
) -> None:
    schema = catalogue.schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert not {"type", "request_id"} & set(schema["properties"])
    assert set(schema) == {"type", "properties", "required", "additionalProperties"}
    assert "$ref" not in json.dumps(schema)
    assert "\\Z" not in json.dumps(schema).replace("\\\\", "\\"), (
        "no regular expression of the web's"
    )
    arguments = EXAMPLES.get(name, {})
    jsonschema.validate(arguments, schema)
    said, asked = called(tmp_path, name, arguments)
    assert not said.is_error
    assert [type(request) for request in asked] == [catalogue.TYPES[name]]
    for wrong in ({**arguments, "surplus": 1}, {**arguments, "type": name}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)
        said, asked = called(tmp_path, name, wrong)
        assert (said.is_error, asked) == (True, [])


def test_only_what_is_offered_is_there(tmp_path: Path) -> None:
    box = toolbox(tmp_path, "list_todos", "of_tomorrow", "service", "send_message")
    assert [tool.name for tool in box.tools] == ["send_message", "list_todos"]
    with AnsweringHost(tmp_path) as host:
        said = asyncio.run(box.call("handoff", {"brief": "x"}))
    assert (said.is_error, host.requests()) == (True, [])
    assert "no tool 'handoff'" in said.text
    assert toolbox(tmp_path).tools == ()


def test_arguments_become_the_request(tmp_path: Path) -> None:
    def asked(name: str, arguments: dict[str, Any]) -> Any:
        return called(tmp_path, name, arguments)[1][0]

    assert asked("send_message", {"text": "hi", "files": ["a"]}) == SendMessage(
        text="hi", files=("a",)
    )
    options = [{"label": "yes", "description": "do it"}]
    assert asked("ask_user", {"questions": [{"question": "Q", "options": options}]}) == AskUser(
        questions=(Question(question="Q", options=(Option(label="yes", description="do it"),)),)
    )
    assert asked("run_in_sandbox", {"task": "t", "folder": "none", "wait": False}) == RunInSandbox(
        task="t", folder="none", wait=False
    )


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("send_message", {}, "missing required field `text`"),
        ("send_message", {"text": 3}, "at `$.text`"),
        ("send_message", {"text": ""}, "length >= 1"),
        ("complete_todo", {"todo_id": "3"}, "at `$.todo_id`"),
        ("send_message", {"text": "x", "request_id": "mine"}, "unknown field `request_id`"),
        ("list_todos", {"group": "admin"}, "unknown field `group`"),
    ],
)
def test_wrong_arguments_are_told_without_asking(
    tmp_path: Path, name: str, arguments: dict[str, Any], says: str
) -> None:
    said, asked = called(tmp_path, name, arguments)
    assert (said.is_error, asked) == (True, [])
    assert says in said.text
    assert "Nothing was asked" in said.text


def test_a_service_is_a_tool_that_the_host_checks(tmp_path: Path) -> None:
    impostor = ServiceTool(name="send_message", description="mine", schema={"type": "object"})
    box = toolbox(tmp_path, "list_todos", services=(WEATHER, impostor))
    assert [(tool.name, tool.schema) for tool in box.tools[1:]] == [("weather", WEATHER.schema)]
    assert asyncio.run(box.call("send_message", {"text": "x"})).is_error
    said, asked = called(tmp_path, "weather", {"place": "Rome", "type": "any"}, rain)
    assert asked == [Service(tool="weather", arguments={"place": "Rome", "type": "any"})]
    assert said == Said('{"sky":"rain"}')


def rain(request: Any) -> Answer:
    return Answer(ok=True, result={"sky": "rain"})


def test_the_hosts_yes_is_told_before_what_it_gave(tmp_path: Path) -> None:
    said, _ = called(tmp_path, "add_todo", {"content": "x"}, lambda r: Answer(ok=True, result={}))
    assert said == Said("It is noted.")
    said, _ = called(tmp_path, "add_todo", {"content": "x"}, lambda r: Answer(ok=True, result=[4]))
    assert said == Said("It is noted.\n[4]")
    said, _ = called(tmp_path, "list_todos", {}, lambda r: Answer(ok=True))
    assert said == Said("The host has done it.")


@pytest.mark.parametrize("name", ["handoff", "reset_context", "finished_work"])
def test_what_ends_a_conversation_ends_the_turn(tmp_path: Path, name: str) -> None:
    arguments = {"brief": "go on"} if name == "handoff" else {}
    said, _ = called(tmp_path, name, arguments)
    assert "End your turn now" in said.text
    no = Answer(ok=False, error=Error("forbidden", "A child may not."))
    said, _ = called(tmp_path, name, arguments, lambda request: no)
    assert said == Said("A child may not. (forbidden)", is_error=True)
