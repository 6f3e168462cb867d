"""Agents that start others, in real sandboxes, with real stages that are killed in the middle: each
asker gets one answer, and nothing of a child is left or seen by anybody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.test_run_agent import Pipeline, pipeline, sources, wait_for

__all__ = ["pipeline", "sources"]

ONE = {"PYNCHY_QUEUE__MAX_CONCURRENT": "1"}


def script(pipeline: Pipeline, text: str) -> Path:
    """What the group's agent does; its folder."""
    folder = pipeline.home / "groups/main"
    (folder / "do.py").write_text(text)
    return folder


def say(pipeline: Pipeline) -> None:
    pipeline.run("send", "main", "hello")
    pipeline.run("route", "--once")


def pid_of(pipeline: Pipeline, run: int) -> int:
    """The process that has a run."""
    found = pipeline.rows(
        "SELECT processes.pid FROM processes JOIN runs ON runs.owner = processes.id"
        f" WHERE runs.id = {run} AND runs.state = 'running'"
    )
    return int(found[0]) if found else 0


LOOKS = """
def may_write(path):
    try:
        Path(path, "trace").touch()
    except OSError:
        return False
    return True
import json
said = json.dumps({
    "top": sorted(os.listdir("/workspace")),
    "ipc": sorted(os.listdir("/workspace/ipc")),
    "input": sorted(os.listdir("/workspace/ipc/input")),
    "group": sorted(os.listdir("/workspace/group")),
    "group_w": may_write("/workspace/group"),
    "parent_w": may_write("/workspace/parent"),
    "claude": sorted(os.listdir("/home/agent/.claude")),
    "said_to": prompt.count("hel" + "lo"),
})
"""


def test_children_see_what_they_share_and_one_run_is_at_work_at_a_time(pipeline: Pipeline) -> None:
    folder = script(
        pipeline,
        f"""
import json
Path("/home/agent/.claude/secret").touch()
looks = {LOOKS!r}
found = {{how: ask("run_in_sandbox", task="do:" + looks, folder=how)["result"]["result"]
         for how in ("none", "read", "write")}}
deep = 'said = ask("run_in_sandbox", task="do:said = 6 * 7")["result"]["result"]'
found["deep"] = ask("run_in_sandbox", task="do:" + deep)["result"]["result"]
said = json.dumps(found)
""",
    )
    say(pipeline)
    pipeline.run("run-agent", "--once", core="handing", **ONE)
    (reply,) = pipeline.replies()
    assert pipeline.rows("SELECT error FROM runs WHERE error IS NOT NULL") == []
    told = json.loads(reply)
    assert told.pop("deep") == "42"
    seen = {how: json.loads(text) for how, text in told.items()}
    assert {how: one["top"] for how, one in seen.items()} == {
        "none": ["group", "ipc"],
        "read": ["files", "group", "ipc", "parent"],
        "write": ["files", "group", "ipc"],
    }
    assert [one["group"] for one in seen.values()][:2] == [[], []]
    assert "do.py" in seen["write"]["group"]
    assert all(one["group_w"] for one in seen.values())
    assert not any(one["parent_w"] for one in seen.values())
    assert all(one["input"] == ["0.json"] for one in seen.values())
    assert not any("secret" in one["claude"] or one["said_to"] for one in seen.values())
    assert (folder / "trace").exists(), "the one that shares all has written"
    assert pipeline.rows("SELECT lane FROM sessions") == ["chat"]
    assert not list((pipeline.home / "data/ipc").glob("*/*"))
    assert pipeline.rows("SELECT DISTINCT state FROM runs") == ["done"]


def test_a_shell_s_agent_has_children_too(pipeline: Pipeline) -> None:
    task = 'do:said = ask("run_in_sandbox", task="do:said = 6 * 7")["result"]["result"]'
    assert pipeline.run("run-agent", "main", core="handing", input=task, **ONE) == "42\n"
    assert pipeline.rows("SELECT kind, state FROM runs") == [("shell", "done"), ("child", "done")]
    assert pipeline.rows("SELECT lane FROM sessions") == []
    assert pipeline.replies() == []


def test_whoever_waits_in_a_shell_is_told_that_the_agent_waits_for_a_person(
    pipeline: Pipeline,
) -> None:
    """Else nobody there knows why nothing comes; and nothing else is told there."""
    command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home)]
    asked = subprocess.Popen(
        [*command, "run-agent", "main"],
        env={
            **pipeline.environ,
            "PYNCHY_AGENT__CORE": "handing",
            "PYNCHY_DEFAULTS__GATE": "add_todo",
            "PYNCHY_LOG__LEVEL": "info",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert asked.stdin is not None
        assert asked.stderr is not None
        asked.stdin.write('do:said = ask("add_todo", content="beans")["ok"]')
        asked.stdin.close()
        asked.stdin = None
        line = asked.stderr.readline()
        (id,) = pipeline.rows("SELECT id FROM approvals")
        assert (
            line == f"It needs a yes to add_todo: `pynchy approvals show {id}` tells all of it.\n"
        )
        pipeline.run("approvals", "approve", id)
        assert asked.communicate(timeout=60) == ("True\n", "")
    finally:
        asked.kill()
        asked.communicate()


CALLS = """
told = ask("run_in_sandbox", task="do:until('/workspace/parent/go'); said = 'found'")
with Path("/workspace/group/answers").open("a") as file:
    file.write(str(told) + "\\n")
said = told["result"]["result"]
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_leaves_one_answer(pipeline: Pipeline, workers: int) -> None:
    folder = script(pipeline, CALLS)
    pipeline.start("ipc-watch")
    for _ in range(workers):
        pipeline.start("run-agent", "handing")
    say(pipeline)
    wait_for(lambda: pid_of(pipeline, 2), "the child")
    os.kill(pid_of(pipeline, 2), signal.SIGKILL)
    pipeline.start("run-agent", "handing")
    (folder / "go").touch()
    wait_for(pipeline.replies, "the answer")
    assert pipeline.replies() == ["found"]
    assert len((folder / "answers").read_text().splitlines()) == 1
    open_rows = "SELECT 1 FROM runs WHERE state IN ('queued', 'running')"
    wait_for(lambda: not pipeline.rows(open_rows), "the end of all runs")
    assert pipeline.replies() == ["found"]
    assert pipeline.rows("SELECT DISTINCT attempts FROM runs WHERE state = 'done'") == [1]
    wait_for(lambda: pipeline.rows("SELECT lane FROM sessions") == ["chat"], "the child's end")
    of_child = list((pipeline.home / "data/ipc").glob("*/c*"))
    wait_for(lambda: not [one for one in of_child if one.exists()], "the end of its folders")


def test_a_desk_that_is_killed_answers_all_the_same(pipeline: Pipeline) -> None:
    folder = script(pipeline, CALLS)
    desk = pipeline.start("ipc-watch")
    pipeline.start("run-agent", "handing", **ONE)
    say(pipeline)
    wait_for(lambda: pid_of(pipeline, 2), "the child")
    desk.kill()
    (folder / "go").touch()
    wait_for(lambda: pipeline.rows("SELECT 1 FROM runs WHERE result = 'found'"), "the child's end")
    pipeline.start("ipc-watch")
    wait_for(pipeline.replies, "the answer")
    assert pipeline.replies() == ["found"]
    assert len((folder / "answers").read_text().splitlines()) == 1


def test_a_brief_outlives_its_worker(pipeline: Pipeline) -> None:
    folder = script(
        pipeline,
        """
if "go on with" in prompt:
    said = f"new, told {prompt.count('go on with')}"
else:
    ask("handoff", brief="go on with the sheep")
    Path("/workspace/group/asked").touch()
    until("/workspace/group/never")
""",
    )
    pipeline.start("ipc-watch")
    worker = pipeline.start("run-agent", "handing")
    say(pipeline)
    wait_for((folder / "asked").exists, "the host's answer")
    worker.kill()
    pipeline.start("run-agent", "handing")
    wait_for(pipeline.replies, "the answer")
    open_rows = "SELECT 1 FROM runs WHERE state IN ('queued', 'running')"
    wait_for(lambda: not pipeline.rows(open_rows), "the end of all runs")
    assert pipeline.replies() == ["new, told 1"]


def test_a_stop_waits_for_no_agent_that_waits_for_a_person(pipeline: Pipeline) -> None:
    script(pipeline, 'said = str(ask("ask_user", questions=[{"question": "Red or blue?"}]))')
    pipeline.start("ipc-watch")
    worker = pipeline.start("run-agent", core="handing", PYNCHY_SANDBOX__STOP_GRACE="3600")
    say(pipeline)
    wait_for(lambda: pipeline.rows("SELECT 1 FROM questions WHERE state = 'pending'"), "a question")
    worker.terminate()
    assert worker.wait(60) == 0
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("queued", 0)]
