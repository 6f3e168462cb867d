"""Conversations in containers while workers, containers and the engine itself die: whatever was
at work goes on or is begun again, people see one whole answer, and no container is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pynchy_cli.config.paths import Home
from pynchy_cli.store.connection import Store
from tests.engine import BASE, Engine, import_base, own, require
from tests.fired import fire
from tests.planted import ROOT
from tests.process.test_run_agent import Pipeline, sources, wait_for

__all__ = ["sources"]

IMAGE = "pynchy-planted:test"

pytestmark = pytest.mark.timeout(300)


def planted_image(engine: Engine, sources: Path) -> None:
    """An image that holds the cores of the tests, under a name that nobody builds over."""
    site = {
        "agent_runner": ROOT / "agent_runner",
        "msgspec": Path(msgspec.__file__).parent,
        "planted_cores": sources / "planted_cores",
        "planted-1.dist-info": sources / "planted-1.dist-info",
    }
    import_base(engine, IMAGE, site)


def in_docker(engine: Engine) -> dict[str, str]:
    """What a home's environment says so that its agents live there."""
    return {
        "DOCKER_HOST": engine.host,
        "PYNCHY_SANDBOX__RUNTIME": "docker",
        "PYNCHY_SANDBOX__IMAGE": IMAGE,
        "PYNCHY_SANDBOX__BASE_IMAGE": BASE,
        "PYNCHY_QUEUE__MAX_RETRIES": "20",
    }


@pytest.fixture(scope="module")
def killable(sources: Path) -> Iterator[Engine]:
    require()
    with own(keeps_containers=True) as made:
        planted_image(made, sources)
        yield made


@pytest.fixture
def pipeline(
    tmp_path: Path, environment: dict[str, str], sources: Path, killable: Engine
) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path, {**environment, "PYTHONPATH": str(sources)})
    made.environ |= in_docker(killable)
    made.run("init", "--yes")
    try:
        yield made
    finally:
        made.close()
        for id in containers(killable, all=True):
            killable.docker("rm", "--force", id)


def containers(engine: Engine, *, all: bool = False) -> list[str]:
    options = ["--all"] if all else []
    return engine.docker("ps", "--no-trunc", "--quiet", *options).stdout.split()


def asked(pipeline: Pipeline, core: str = "slow") -> subprocess.Popen[bytes]:
    """A worker in the middle of its answer."""
    pipeline.start("route")
    worker = pipeline.start("run-agent", core)
    pipeline.run("send", "main", "hello")
    wait_for(lambda: pipeline.rows("SELECT content FROM outbound_ledger") == ["half "], "text")
    return worker


def orphaned(pipeline: Pipeline, engine: Engine) -> str:
    """A container in the middle of its answer, whose worker was killed."""
    worker = asked(pipeline)
    (sandbox,) = containers(engine)
    worker.kill()
    worker.wait(30)
    return sandbox


def go_on(pipeline: Pipeline) -> None:
    (pipeline.home / "groups/main/go").touch()


def is_answered_once(pipeline: Pipeline, engine: Engine, *, attempts: int = 1) -> None:
    """One whole answer; and once the worker has left, no sandbox, and nothing at work."""
    wait_for(lambda: pipeline.replies() == ["half and whole"], "the answer")
    assert pipeline.rows("SELECT count(*) FROM outbound_ledger") == [1]
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("done", attempts)]
    leave(pipeline)
    engine.await_empty()
    assert pipeline.rows("SELECT 1 FROM sessions WHERE owner IS NOT NULL") == []
    assert not list((pipeline.home / "data/ipc").glob("*/*"))


def leave(pipeline: Pipeline) -> None:
    for child in pipeline.living:
        if child.poll() is None:
            child.terminate()
    assert [child.wait(60) for child in pipeline.living if child.poll() != -signal.SIGKILL] != []


def test_a_killed_worker_s_container_is_taken_over_in_mid_answer(
    pipeline: Pipeline, killable: Engine
) -> None:
    sandbox = orphaned(pipeline, killable)
    pipeline.start("run-agent", "slow")
    wait_for(lambda: owner(pipeline) == worker_number(pipeline), "the next worker")
    assert containers(killable) == [sandbox]
    go_on(pipeline)
    is_answered_once(pipeline, killable)


def test_what_the_agent_wrote_while_nobody_listened_is_read_afterwards(
    pipeline: Pipeline, killable: Engine
) -> None:
    sandbox = orphaned(pipeline, killable)
    go_on(pipeline)
    log = pipeline.home / "data/ipc/main"
    wait_for(lambda: any(b"whole" in one.read_bytes() for one in log.glob("*/output/log")), "it")
    assert pipeline.replies() == []
    pipeline.start("run-agent", "slow")
    wait_for(lambda: pipeline.replies() == ["half and whole"], "the answer")
    assert containers(killable) == [sandbox]
    is_answered_once(pipeline, killable)


def test_a_stopped_worker_leaves_its_agent_at_work(pipeline: Pipeline, killable: Engine) -> None:
    worker = asked(pipeline)
    (sandbox,) = containers(killable)
    worker.terminate()
    assert worker.wait(30) == 0
    assert pipeline.rows("SELECT state FROM runs") == ["running"]
    assert containers(killable) == [sandbox]
    pipeline.start("run-agent", "slow")
    wait_for(lambda: owner(pipeline) == worker_number(pipeline), "the next worker")
    go_on(pipeline)
    is_answered_once(pipeline, killable)


def test_a_stopped_worker_leaves_a_task_s_agent_at_work(
    pipeline: Pipeline, killable: Engine
) -> None:
    worker = pipeline.start("run-agent", "slow")
    with Store.open(pipeline.home / "data/messages.db") as store:
        fire(store, id="Daily_news.v2", group_folder="main")
    wait_for((pipeline.home / "groups/main/started").exists, "the agent")
    (sandbox,) = containers(killable)
    names = killable.docker("ps", "--format", "{{.Names}}").stdout.split()
    assert names == ["pynchy-main-task-Daily_news.v2"]
    worker.terminate()
    assert worker.wait(30) == 0
    assert pipeline.rows("SELECT state FROM runs") == ["running"]
    assert containers(killable) == [sandbox]
    pipeline.start("run-agent", "slow")
    wait_for(lambda: owner(pipeline) == worker_number(pipeline), "the next worker")
    go_on(pipeline)
    is_answered_once(pipeline, killable)


def owner(pipeline: Pipeline) -> object:
    return pipeline.rows("SELECT owner FROM sessions")[0]


def worker_number(pipeline: Pipeline) -> object:
    return pipeline.rows("SELECT max(id) FROM processes WHERE stage = 'run-agent'")[0]


def test_a_warm_container_is_taken_over_and_goes_on(pipeline: Pipeline, killable: Engine) -> None:
    pipeline.start("route")
    worker = pipeline.start("run-agent", "counting")
    pipeline.run("send", "main", "one")
    wait_for(lambda: pipeline.replies() == ["turn 1"], "the first answer")
    (sandbox,) = containers(killable)
    worker.kill()
    worker.wait(30)
    pipeline.run("send", "main", "two")
    worker = pipeline.start("run-agent", "counting")
    wait_for(lambda: pipeline.replies() == ["turn 1", "turn 2"], "the second answer")
    assert containers(killable) == [sandbox]
    worker.terminate()
    assert worker.wait(30) == 0
    killable.await_empty()
    assert pipeline.rows("SELECT attempts FROM runs") == [1, 1]


@pytest.mark.parametrize("keeps", [True, False], ids=["live-restore", "without"])
def test_an_engine_killed_in_mid_answer_costs_no_answer(
    pipeline: Pipeline, killable: Engine, keeps: bool
) -> None:
    asked(pipeline)
    killable.kill()
    killable.keeps_containers = keeps
    if keeps:
        go_on(pipeline)
        wait_for(lambda: pipeline.replies() == ["half and whole"], "the answer")
        killable.start()
    else:
        killable.start()
        go_on(pipeline)
    is_answered_once(pipeline, killable, attempts=1 if keeps else 2)


def test_worker_and_engine_killed_together(pipeline: Pipeline, killable: Engine) -> None:
    """The next worker can't begin without the engine, and then goes on with the container."""
    worker = asked(pipeline)
    killable.keeps_containers = True
    killable.kill()
    worker.kill()
    worker.wait(30)
    for runtime in ("docker", "auto"):
        said = pipeline.run(
            "run-agent", "--once", core="slow", code=1, PYNCHY_SANDBOX__RUNTIME=runtime
        )
        assert "doesn't answer" in said
    killable.start()
    pipeline.start("run-agent", "slow")
    wait_for(lambda: owner(pipeline) == worker_number(pipeline), "the next worker")
    go_on(pipeline)
    is_answered_once(pipeline, killable)


def test_a_container_taken_away_in_mid_answer_is_made_anew(
    pipeline: Pipeline, killable: Engine
) -> None:
    asked(pipeline)
    (sandbox,) = containers(killable)
    killable.docker("rm", "--force", sandbox)
    go_on(pipeline)
    is_answered_once(pipeline, killable, attempts=2)


def test_what_ended_while_no_worker_lived_is_removed(pipeline: Pipeline, killable: Engine) -> None:
    worker = asked(pipeline, "slow")
    (sandbox,) = containers(killable)
    go_on(pipeline)
    wait_for(lambda: pipeline.replies() == ["half and whole"], "the answer")
    worker.kill()
    worker.wait(30)
    killable.docker("kill", sandbox)
    assert containers(killable, all=True) == [sandbox]
    pipeline.start("run-agent", "slow")
    killable.await_empty()
    is_answered_once(pipeline, killable)


def test_a_killed_shell_s_container_is_ended(pipeline: Pipeline, killable: Engine) -> None:
    """Nobody waits for its answer any more."""
    command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home)]
    with subprocess.Popen(
        [*command, "run-agent", "main"],
        env={**pipeline.environ, "PYNCHY_AGENT__CORE": "slow"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as shell:
        assert shell.stdin is not None
        shell.stdin.write(b"hello")
        shell.stdin.close()
        wait_for((pipeline.home / "groups/main/started").exists, "the agent")
        shell.kill()
    assert len(containers(killable)) == 1
    pipeline.start("run-agent", "slow")
    killable.await_empty()
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") == ["cancelled"], "the run's end")


def test_orphans_of_this_home_are_removed_and_strangers_left(
    pipeline: Pipeline, killable: Engine
) -> None:
    def begun(home: str) -> str:
        labels = (f"--label=pynchy.home={home}", "--label=pynchy.session=s77-1")
        command = ("run", "--detach", *labels, BASE, "sleep", "600")
        return killable.docker(*command).stdout.strip()

    import_base(killable)
    ours, foreign = begun(Home(pipeline.home).id), begun("0ther000")
    pipeline.start("run-agent")
    wait_for(lambda: ours not in containers(killable, all=True), "the orphan's end")
    assert containers(killable) == [foreign]


def test_without_an_engine_messages_wait_and_the_reason_is_said(
    pipeline: Pipeline, killable: Engine
) -> None:
    killable.kill()
    command = pipeline.start("route")
    assert command.poll() is None
    pipeline.run("send", "main", "hello")
    wait_for(lambda: pipeline.rows("SELECT state FROM runs") == ["queued"], "the run")
    go_on(pipeline)
    worker = pipeline.start("run-agent", "slow")
    assert worker.wait(60) == 1
    assert "The container engine at" in pipeline.run("status", code=None)
    killable.start()
    pipeline.start("run-agent", "slow")
    is_answered_once(pipeline, killable)


def test_an_agent_in_a_container_waits_on_for_its_child(
    pipeline: Pipeline, killable: Engine
) -> None:
    """Their worker is killed: the agent goes on waiting, and its child begins again."""
    folder = pipeline.home / "groups/main"
    (folder / "do.py").write_text(
        'task = \'do:until("/workspace/parent/go"); said = "found"\'\n'
        "said = ask('run_in_sandbox', task=task)['result']['result']\n"
    )
    one = {"PYNCHY_QUEUE__MAX_CONCURRENT": "1"}
    pipeline.start("route")
    pipeline.start("ipc-watch")
    worker = pipeline.start("run-agent", "handing", **one)
    pipeline.run("send", "main", "hello")
    wait_for(lambda: len(containers(killable)) == 2, "the child's container")
    worker.kill()
    worker.wait(30)
    pipeline.start("run-agent", "handing", **one)
    go_on(pipeline)
    wait_for(pipeline.replies, "the answer")
    assert pipeline.replies() == ["found"]
    assert pipeline.rows("SELECT kind, state, attempts FROM runs") == [
        *(("chat", "done", 1), ("child", "done", 1)),
    ]
    leave(pipeline)
    killable.await_empty()
    assert not list((pipeline.home / "data/ipc").glob("*/*"))
