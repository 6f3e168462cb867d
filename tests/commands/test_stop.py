"""`pynchy stop`, and the word in a chat: real workers, and agents that are at work."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pynchy_cli.agent.turn import STOPPED
from tests.conftest import Pynchy
from tests.process.test_run_agent import (
    Pipeline,
    pipeline,  # noqa: F401
    sources,  # noqa: F401
    started,
    wait_for,
)


def at_work(pipeline: Pipeline, core: str = "polite", **env: str) -> subprocess.Popen[bytes]:  # noqa: F811
    """A worker whose agent has begun to answer; the worker."""
    worker = pipeline.start("run-agent", core, **env)
    pipeline.run("send", "main", "tell me a story")
    pipeline.run("route", "--once")
    started(pipeline)
    wait_for(lambda: pipeline.rows("SELECT content FROM outbound_ledger") == ["half "], "text")
    return worker


def stop(pipeline: Pipeline, code: int, *options: str) -> dict[str, object]:  # noqa: F811
    told: dict[str, object] = json.loads(pipeline.run("stop", "main", *options, code=code))
    return told


def test_a_turn_at_work_is_stopped_and_its_conversation_goes_on(pipeline: Pipeline) -> None:  # noqa: F811
    at_work(pipeline)
    told = stop(pipeline, 0, "--wait", "60")
    assert told == {
        "ok": True,
        "group": "main",
        "run": 1,
        "result": "stopped",
        "state": "cancelled",
        "message": "Stopped run 1 of main. What it had said stays, and the conversation goes on.",
    }
    assert pipeline.replies() == [f"half\n\n{STOPPED}"]
    again = stop(pipeline, 1)
    assert (again["result"], again["run"]) == ("nothing", None)
    (pipeline.home / "groups/main/go").touch()
    pipeline.run("send", "main", "go on")
    pipeline.run("route", "--once")
    wait_for(lambda: len(pipeline.replies()) == 2, "the next answer")
    assert pipeline.replies()[1] == "whole, in turn 2", "the sandbox stayed"


def test_the_word_in_the_chat_does_the_same(pipeline: Pipeline) -> None:  # noqa: F811
    pipeline.start("route")
    pipeline.start("run-agent", "polite")
    pipeline.run("send", "main", "tell me a story")
    started(pipeline)
    said = json.loads(pipeline.run("send", "main", "stop", "--timeout", "60", "--json"))
    assert (said["state"], said["replies"][0]["source"]) == ("answered", "host")
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") == ["cancelled"], "the end")
    assert f"half\n\n{STOPPED}" in pipeline.replies()


def test_what_was_said_since_is_answered_next(pipeline: Pipeline) -> None:  # noqa: F811
    at_work(pipeline, PYNCHY_DEFAULTS__FOLLOW_UP="queue")
    pipeline.run("send", "main", "and then?")
    pipeline.run("route", "--once")
    told = stop(pipeline, 0, "--wait", "60")
    assert (told["run"], told["state"]) == (1, "cancelled")
    assert str(told["message"]).endswith("What was said since is answered by run 2.")


def test_without_a_worker_it_is_stopped_as_soon_as_there_is_one(pipeline: Pipeline) -> None:  # noqa: F811
    worker = at_work(pipeline)
    worker.kill()
    worker.wait(30)
    told = stop(pipeline, 1, "--wait", "600")
    assert (told["result"], told["state"], told["ok"]) == ("no_worker", "running", False)
    assert "run-agent isn't running" in str(told["message"])
    pipeline.settle("polite")
    assert pipeline.rows("SELECT state, error FROM runs") == [("cancelled", "stopped by hand")]
    assert pipeline.replies() == [f"half\n\n{STOPPED}"]


def test_one_that_does_not_end_in_time_is_said(pipeline: Pipeline) -> None:  # noqa: F811
    at_work(pipeline, "slow")
    told = stop(pipeline, 1, "--wait", "0.1")
    assert (told["result"], told["state"]) == ("not_yet", "running")
    (pipeline.home / "groups/main/go").touch()
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") != ["running"], "the end")


def test_one_that_waits_to_be_tried_again_is_named(pipeline: Pipeline) -> None:  # noqa: F811
    pipeline.run("send", "main", "hello")
    pipeline.run("route", "--once")
    # Nobody is at work any more when this ends, and the next attempt is far away.
    env = {"PYNCHY_QUEUE__BASE_RETRY": "3000"}
    worker = pipeline.start("run-agent", "moody", **env)
    wait_for(lambda: pipeline.rows("SELECT attempts, state FROM runs") == [(1, "queued")], "it")
    told = stop(pipeline, 1)
    assert (told["result"], told["run"], told["state"]) == ("nothing", 1, "queued")
    assert [told["not_before"]] == pipeline.rows("SELECT not_before FROM runs")
    assert f"until {told['not_before']} to be tried again" in str(told["message"])
    assert "`pynchy runs cancel 1` ends it" in str(told["message"])
    assert worker.poll() is None


def test_a_shell_s_run_is_ended_too(pipeline: Pipeline) -> None:  # noqa: F811
    environ = {**pipeline.environ, "PYNCHY_AGENT__CORE": "polite"}
    command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home), "run-agent"]
    with subprocess.Popen(
        [*command, "main"],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stderr is not None
        child.stdin.write(b"hello")
        child.stdin.close()
        started(pipeline)
        pipeline.run("runs", "cancel", "1", "--wait", "60")
        words = child.stderr.read().decode()
        assert (child.wait(60), words) == (1, "pynchy run-agent: stopped by hand\n")
    assert pipeline.rows("SELECT state FROM runs") == ["cancelled"]


@pytest.mark.parametrize("arguments", [("mian",), ("main", "--wait", "-1")])
def test_what_can_t_be_stopped(pynchy: Pynchy, home: object, arguments: tuple[str, ...]) -> None:
    done = pynchy("stop", *arguments, code=None)
    assert done.returncode in (1, 2)
    assert "Did you mean 'main'?" in done.stderr or "--wait" in done.stderr
