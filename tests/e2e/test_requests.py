"""What agents ask of the host, all the way: the real Claude CLI in a real sandbox calls a tool, the
stage beside it finds the file, and what it answers comes back to the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.anthropic_server import AnthropicServer
from tests.engine import BASE, Engine
from tests.planted import plant, plant_plugin
from tests.process.test_run_agent import Pipeline, wait_for

HANDY = """
from pynchy_cli.plugins import hookimpl
from pynchy_cli.plugins.tools import Tool

async def whoami(arguments, caller):
    return {"group": caller.group, "admin": caller.is_admin}

class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        schema = {"type": "object", "additionalProperties": False}
        return [Tool("whoami", "Say who asks.", schema, whoami)]

plugin = Plugin()
"""
ADMINS = {"mcp__pynchy__list_groups", "mcp__pynchy__register_group"}

pytestmark = pytest.mark.timeout(300)  # Whoever comes first builds the image.


class Talk:
    """A home whose model is the test's own, with `ipc-watch` at work in it."""

    def __init__(self, pipeline: Pipeline, server: AnthropicServer) -> None:
        self.pipeline = pipeline
        self.server = server

    def ask(self, group: str, tool: str, **fields: object) -> str:
        """Have the group's model call a tool once; its last words, which tell what that gave."""
        name = tool if tool == "Bash" else f"mcp__pynchy__{tool}"
        text = f"TOOL {name} {json.dumps(fields)}"
        return self.pipeline.run("run-agent", group, core="claude", input=text)

    def offered(self) -> set[str]:
        """The host's tools, as the model was told of them last."""
        names = {tool["name"] for tool in self.server.requests[-1]["tools"]}
        return {name for name in names if name.startswith("mcp__pynchy__")}


@pytest.fixture(params=["bubblewrap", "docker"])
def talk(
    request: pytest.FixtureRequest, tmp_path: Path, environment: dict[str, str]
) -> Iterator[Talk]:
    plant_plugin(tmp_path / "site", "handy", HANDY)
    env = {
        **environment,
        "PYTHONPATH": str(tmp_path / "site"),
        "PYNCHY_GROUPS__WORK__TOOLS": "handy",
    }
    if request.param == "docker":
        engine: Engine = request.getfixturevalue("engine")
        env |= {
            "DOCKER_HOST": engine.host,
            "PYNCHY_SANDBOX__RUNTIME": "docker",
            "PYNCHY_SANDBOX__BASE_IMAGE": BASE,
        }
    with AnthropicServer() as server:
        env |= {"PYNCHY_GATEWAY__UPSTREAM": server.url, "ANTHROPIC_API_KEY": "sk-ant-api03-test"}
        pipeline = Pipeline(tmp_path, env)
        try:
            pipeline.run("init", "--yes")
            pipeline.run("groups", "add", "work")
            pipeline.start("ipc-watch")
            lock = pipeline.home / "data/run/ipc-watch.lock"
            wait_for(lock.exists, "the stage")
            yield Talk(pipeline, server)
        finally:
            pipeline.close()


def test_a_model_s_tools_are_its_group_s_and_do_what_the_host_says(talk: Talk) -> None:
    talk.pipeline.run("listen", "stdin", "--chat", "stdin:elsewhere", input="hi\n")
    assert '"group":"work","admin":false' in talk.ask("work", "whoami").replace("\\", "")
    assert not talk.offered() & ADMINS
    assert {"mcp__pynchy__whoami", "mcp__pynchy__add_todo"} <= talk.offered()
    refused = talk.ask("work", "send_message", text="psst", chat_jid="local:main")
    assert "is not a chat of this group" in refused
    assert "It is noted." in talk.ask("work", "add_todo", content="buy a plinth")
    assert "buy a plinth" in talk.ask("work", "list_todos")
    serve = "python -P -S -m agent_runner.tools --ipc /workspace/ipc </dev/null; echo ended $?"
    assert "ended 0" in talk.ask("work", "Bash", command=serve)
    listed = talk.ask("main", "list_groups").replace("\\", "")
    assert talk.offered() >= ADMINS
    assert "mcp__pynchy__whoami" not in talk.offered()
    assert "stdin:elsewhere" in listed
    assert talk.pipeline.rows(
        "SELECT group_folder, type, role, state FROM requests ORDER BY id"
    ) == [
        ("work", "service", "group", "done"),
        ("work", "send_message", "group", "refused"),
        ("work", "add_todo", "group", "done"),
        ("work", "list_todos", "group", "done"),
        ("main", "list_groups", "admin", "done"),
    ]


def test_a_model_schedules_a_task_and_finds_it_listed(talk: Talk) -> None:
    """In the words of its tool, and at the time that clocks show in the zone that it names."""
    when = {"schedule_type": "once", "schedule_value": "2030-07-01 09:00", "prompt": "Call Ada."}
    made = talk.ask("work", "schedule_task", **when, timezone="Europe/Berlin").replace("\\", "")
    assert "The host has scheduled it." in made
    assert "Mon 2030-07-01 09:00 CEST" in made
    tasks = "SELECT id, group_folder, chat_jid, next_run, source FROM scheduled_tasks"
    ((id, *task),) = talk.pipeline.rows(tasks)
    assert task == ["work", "local:work", "2030-07-01T07:00:00.000Z", "agent"]
    assert id in made
    listed = talk.ask("work", "list_tasks").replace("\\", "")
    assert f'"id":"{id}"' in listed
    assert '"prompt":"Call Ada."' in listed
    six = {"schedule_type": "cron", "schedule_value": "0 0 9 * * *", "prompt": "Call Ada."}
    assert "(schedule_invalid)" in talk.ask("work", "schedule_task", **six)
    assert "mcp__pynchy__finished_work" not in talk.offered()
    assert "It is cancelled." in talk.ask("work", "cancel_task", task_id=id)
    assert talk.pipeline.rows("SELECT status FROM scheduled_tasks") == ["cancelled"]


def test_a_core_s_own_client_starts_the_tools_server_in_its_sandbox(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    sources = str(plant(tmp_path / "sources"))
    pipeline = Pipeline(tmp_path, {**environment, "PYTHONPATH": sources})
    pipeline.run("init", "--yes")
    said = pipeline.run("run-agent", "main", core="outward", input="go on")
    assert "'add_todo', 'ask_user'" in said
    assert "It is noted." in said
    assert pipeline.rows("SELECT content FROM todos") == ["by another client"]
