"""Firings of tasks as run-agent carries them out, in real sandboxes, by stages that are killed in
the middle: each is done once, and the conversation beside it knows nothing of it."""

from __future__ import annotations

import json
from typing import Any

from pynchy_cli.store.connection import Store
from tests.fired import fire
from tests.process.test_run_agent import Pipeline, pipeline, sources, wait_for

__all__ = ["pipeline", "sources"]

LOOKS = """
import json
known = Path("/home/agent/.claude/known")
said = json.dumps({"known": known.exists(), "group": sorted(os.listdir("/workspace/group"))})
known.touch()
"""
WAITS = 'do:Path("/workspace/group/began").touch()\nuntil("/workspace/group/go")\nsaid = "seen"'


def fired(pipeline: Pipeline, prompt: str, **more: Any) -> int:
    """A firing in the admin group; its run."""
    with Store.open(pipeline.home / "data/messages.db") as store:
        return fire(store, prompt, group_folder="main", **more)


def state(pipeline: Pipeline, run: int) -> str:
    (found,) = pipeline.rows(f"SELECT state FROM runs WHERE id = {run}")
    return str(found)


def does(pipeline: Pipeline, script: str) -> None:
    """What the agent does on what people say."""
    (pipeline.home / "groups/main/do.py").write_text(script)


def test_an_isolated_run_has_the_group_s_folder_and_a_state_of_its_own(pipeline: Pipeline) -> None:
    does(pipeline, LOOKS)
    firings = [fired(pipeline, "go on", id=f"Daily_news.v{number}") for number in (1, 2)]
    pipeline.settle("handing")
    assert [state(pipeline, one) for one in firings] == ["done", "done"]
    pipeline.ask("hello", "handing")
    fired(pipeline, "go on", id="task-group", context_mode="group")
    pipeline.settle("handing")
    told = [json.loads(reply) for reply in pipeline.replies()]
    assert [one["known"] for one in told] == [False, False, False, True]
    assert all("do.py" in one["group"] for one in told)
    assert pipeline.rows("SELECT lane FROM sessions") == ["chat"]
    assert not list((pipeline.home / "data/ipc").glob("*/*"))


def test_people_are_answered_while_a_task_is_at_work_and_its_worker_dies(
    pipeline: Pipeline,
) -> None:
    does(pipeline, 'said = "here"')
    folder = pipeline.home / "groups/main"
    pipeline.start("route")
    worker = pipeline.start("run-agent", "handing")
    firing = fired(pipeline, WAITS)
    wait_for((folder / "began").exists, "the task's agent")
    pipeline.run("send", "main", "hello")
    wait_for(lambda: pipeline.replies() == ["here"], "the answer")
    assert state(pipeline, firing) == "running"

    (folder / "began").unlink()
    worker.kill()
    worker.wait(30)
    pipeline.start("run-agent", "handing")
    wait_for((folder / "began").exists, "the task's next agent")
    (folder / "go").touch()
    wait_for(lambda: pipeline.replies() == ["here", "seen"], "the task's answer")
    wait_for(lambda: pipeline.rows("SELECT lane FROM sessions") == ["chat"], "its end")
    assert pipeline.rows("SELECT session_id FROM sessions") == ["made-up"]
    assert pipeline.rows(f"SELECT state, attempts, takeovers FROM runs WHERE id = {firing}") == [
        ("done", 1, 1)
    ]
    assert pipeline.rows("SELECT routed_seq, answered_seq FROM registered_groups") == [(1, 1)]


def test_a_task_s_agent_may_ask_people_and_has_helpers(pipeline: Pipeline) -> None:
    does(pipeline, 'said = "nobody asked"')
    for stage in ("route", "ipc-watch"):
        pipeline.start(stage)
    pipeline.start("run-agent", "handing")
    fired(
        pipeline,
        'do:told = ask("ask_user", questions=[{"question": "Red or blue?", "options":'
        ' [{"label": "red"}, {"label": "blue"}]}])["result"]["answers"]\n'
        'got = ask("run_in_sandbox", task="do:said = 6 * 7")["result"]["result"]\n'
        'said = f"{told} {got}"',
    )
    wait_for(lambda: pipeline.rows("SELECT 1 FROM questions WHERE state = 'pending'"), "a question")
    pipeline.run("send", "main", "2")
    wait_for(lambda: pipeline.replies()[-1:] == ["{'Red or blue?': 'blue'} 42"], "the answer")
    assert pipeline.rows("SELECT kind FROM runs ORDER BY id") == ["task", "child"]
    assert "nobody asked" not in pipeline.replies()


def test_one_who_has_finished_says_nothing_and_its_run_tells_of_it(pipeline: Pipeline) -> None:
    pipeline.start("ipc-watch")
    first, second = (
        fired(pipeline, f'do:ask("finished_work")\nsaid = "{mode}"', id=mode, context_mode=mode)
        for mode in ("isolated", "group")
    )
    queue = json.loads(pipeline.run("status", "--json", code=None))["queue"]["per_group"]["main"]
    assert (queue["pending_tasks"], queue["pending_messages"]) == (2, 0)
    pipeline.start("run-agent", "handing")
    for run in (first, second):
        wait_for(lambda run=run: state(pipeline, run) == "done", "the end")
    assert pipeline.replies() == []
    assert pipeline.rows("SELECT 1 FROM messages") == []
    log = pipeline.run("runs", "show", str(first), "--log")
    assert "lane task:isolated, task isolated" in log
    assert log.splitlines()[-2].endswith("internal     isolated")
    assert json.loads(pipeline.run("runs", "show", str(first)))["task"] == "isolated"


def test_a_task_s_run_is_cancelled_by_hand_and_tried_again_by_its_task(pipeline: Pipeline) -> None:
    worker = pipeline.start("run-agent", "moody")
    failing = fired(pipeline, "go on", id="task-moody")
    wait_for(lambda: state(pipeline, failing) == "failed", "the failure")
    assert pipeline.replies() == ["The scheduled task task-moody failed: it is not my day"]
    for retry in (("runs", "retry", str(failing)), ("retry", f"run:{failing}")):
        assert "`pynchy tasks run task-moody`" in pipeline.run(*retry, code=2)
    worker.terminate()
    assert worker.wait(30) == 0
    waiting = fired(pipeline, "go on", id="task-moody")
    assert "Cancelled run" in pipeline.run("runs", "cancel", str(waiting))
    working = fired(pipeline, "go on")
    pipeline.start("run-agent", "polite")
    wait_for((pipeline.home / "groups/main/started").exists, "the agent")
    assert "Stopped run" in pipeline.run("runs", "cancel", str(working), "--wait", "60")
    assert [state(pipeline, one) for one in (waiting, working)] == ["cancelled"] * 2
    assert len(pipeline.replies()) == 1
