"""The worker with agents that behave and agents that don't: real stages as processes, real
sandboxes. Nothing is lost, nothing is done twice, and what goes wrong is said in words."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import locks
from tests.planted import plant


class Pipeline:
    """One home, and its stages."""

    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        self.home = root / "home"
        self.environ = {
            **environ,
            "PYNCHY_LOG__LEVEL": "error",
            "PYNCHY_QUEUE__BASE_RETRY": "0.01",
            "PYNCHY_QUEUE__MAX_RETRIES": "2",
        }
        self.living: list[subprocess.Popen[bytes]] = []

    def run(
        self,
        *arguments: str,
        core: str = "echo",
        code: int | None = 0,
        input: str = "",
        **env: str,
    ) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(self.home), *arguments],
            env={**self.environ, "PYNCHY_AGENT__CORE": core, **env},
            input=input,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, stage: str, core: str = "echo", **env: str) -> subprocess.Popen[bytes]:
        asked = json.dumps({"home": str(self.home), "once": False, "options": {}})
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pynchy_cli.stage", stage, asked],
            env={**self.environ, "PYNCHY_AGENT__CORE": core, **env},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.living.append(child)
        return child

    def rows(self, query: str) -> list[Any]:
        db = sqlite3.connect(self.home / "data" / "messages.db", timeout=10)
        try:
            found = db.execute(query).fetchall()
        finally:
            db.close()
        return [row[0] if len(row) == 1 else row for row in found]

    def replies(self) -> list[str]:
        return self.rows("SELECT content FROM outbound_ledger WHERE is_final = 1 ORDER BY id")

    def settle(self, core: str, **env: str) -> None:
        """Run what waits until nothing does."""
        until = time.monotonic() + 60
        while self.rows("SELECT 1 FROM runs WHERE state IN ('queued', 'running')"):
            assert time.monotonic() < until, "the run never ends"
            self.run("run-agent", "--once", core=core, code=None, **env)

    def ask(self, text: str, core: str, **env: str) -> list[str]:
        """Say something to the admin group, and the replies there are when all is done."""
        self.run("send", "main", text)
        self.run("route", "--once")
        self.settle(core, **env)
        return self.replies()

    def close(self) -> None:
        for child in self.living:
            if child.poll() is None:
                child.kill()
            child.wait(30)
            assert child.stderr is not None
            child.stderr.close()


def wait_for(condition: Callable[[], object], what: str, limit: float = 60) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until, f"{what} did not come"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def pipeline(tmp_path: Path, environment: dict[str, str], sources: Path) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path, {**environment, "PYTHONPATH": str(sources)})
    made.run("init", "--yes")
    try:
        yield made
    finally:
        made.close()
    wait_for(
        lambda: not [one for one in (made.home / "data/run").glob("*.lock") if locks.is_held(one)],
        "the end of every process",
    )


def test_rubbish_is_ignored_and_the_answer_kept(pipeline: Pipeline) -> None:
    assert pipeline.ask("hello", "rubbish") == ["after the rubbish"]


def test_a_flood_ends_the_turn_at_once_and_says_so(pipeline: Pipeline) -> None:
    said = pipeline.ask("hello", "flood", PYNCHY_SANDBOX__MAX_OUTPUT="5000000")
    assert said == [
        "Sorry, I could not answer this: the agent wrote more than 5000000 bytes of output"
    ]
    assert pipeline.rows("SELECT attempts FROM runs") == [1]
    assert pipeline.rows("SELECT answered_seq FROM registered_groups") == [1]


def test_an_agent_that_says_nothing_is_tried_again_then_given_up(pipeline: Pipeline) -> None:
    said = pipeline.ask("hello", "silent")
    assert said == ["Sorry, I could not answer this: the agent's sandbox ended with code 0"]
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("failed", 3)]


def test_a_hanging_agent_is_ended(pipeline: Pipeline) -> None:
    (said,) = pipeline.ask("hello", "hang", PYNCHY_SANDBOX__ACTIVITY_TIMEOUT="0.5")
    assert said == "Sorry, I could not answer this: the agent gave no sign of life for 0.5 s"


def test_an_agent_that_forges_its_log_is_ended(pipeline: Pipeline) -> None:
    (said,) = pipeline.ask("hello", "forger", PYNCHY_SANDBOX__ACTIVITY_TIMEOUT="20")
    assert "output log" in said
    assert "root:" not in said


def test_a_failed_run_can_be_retried_by_hand(pipeline: Pipeline) -> None:
    said = pipeline.ask("hello", "moody")
    assert said == ["Sorry, I could not answer this: it is not my day"]
    (pipeline.home / "groups/main/well").touch()
    pipeline.run("retry", "run:1")
    pipeline.settle("moody")
    assert pipeline.replies() == [*said, "well again"]
    assert "retried already" in pipeline.run("retry", "run:1", code=2)


def test_what_is_no_core_is_said_before_anything_is_tried(pipeline: Pipeline) -> None:
    pipeline.run("send", "main", "hello")
    pipeline.run("route", "--once")
    for name, why in (("nonsense", "No plugin is called 'nonsense'"), ("stdin", "offers no core")):
        told = pipeline.run("run-agent", "--once", core=name, code=100)
        assert why in told
        assert "Traceback" not in told
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("queued", 0)]
    pipeline.settle("echo")
    assert len(pipeline.replies()) == 1


def test_a_live_agent_takes_the_next_turn(pipeline: Pipeline) -> None:
    pipeline.start("route")
    worker = pipeline.start("run-agent", "counting")
    for number in (1, 2, 3):
        pipeline.run("send", "main", f"message {number}")
        wait_for(lambda n=number: len(pipeline.replies()) == n, f"reply {number}")
    assert pipeline.replies() == ["turn 1", "turn 2", "turn 3"]
    assert pipeline.rows("SELECT session_id, owner IS NULL FROM sessions") == [("made-up", 0)]
    worker.terminate()
    assert worker.wait(30) == 0
    assert pipeline.rows("SELECT session_id, owner IS NULL FROM sessions") == [("made-up", 1)]
    assert not list((pipeline.home / "data/ipc").glob("*/*"))


def test_a_warm_agent_is_ended_when_it_was_idle_long_enough(pipeline: Pipeline) -> None:
    pipeline.start("route")
    pipeline.start("run-agent", "counting", PYNCHY_SANDBOX__IDLE_TIMEOUT="0.2")
    pipeline.run("send", "main", "one")
    wait_for(lambda: pipeline.replies() == ["turn 1"], "the reply")
    wait_for(lambda: pipeline.rows("SELECT owner IS NULL FROM sessions") == [1], "the end")
    pipeline.run("send", "main", "two")
    wait_for(lambda: pipeline.replies() == ["turn 1", "turn 1"], "the second reply")


def started(pipeline: Pipeline) -> None:
    wait_for((pipeline.home / "groups/main/started").exists, "the agent")


@pytest.mark.parametrize("how", ["worker", "both"])
def test_a_killed_worker_s_run_is_taken_over(pipeline: Pipeline, how: str) -> None:
    worker = pipeline.start("run-agent", "slow")
    pipeline.run("send", "main", "hello")
    pipeline.run("route", "--once")
    started(pipeline)
    wait_for(lambda: pipeline.rows("SELECT content FROM outbound_ledger") == ["half "], "text")
    if how == "both":
        second = pipeline.start("run-agent", "slow")
        both = "SELECT count(*) FROM processes WHERE stage = 'run-agent'"
        wait_for(lambda: pipeline.rows(both) == [2], "the second")
    worker.kill()
    worker.wait(30)
    (pipeline.home / "groups/main/go").touch()
    if how == "both":
        wait_for(lambda: pipeline.replies() == ["half and whole"], "the reply")
        assert second.poll() is None
    else:
        pipeline.settle("slow")
    assert pipeline.replies() == ["half and whole"]
    assert pipeline.rows("SELECT count(*) FROM outbound_ledger") == [1]
    assert pipeline.rows("SELECT state, attempts, takeovers FROM runs") == [("done", 1, 1)]


def test_a_stopped_worker_waits_for_its_agents_and_then_puts_their_runs_back(
    pipeline: Pipeline,
) -> None:
    worker = pipeline.start("run-agent", "slow", PYNCHY_SANDBOX__STOP_GRACE="0.2")
    pipeline.run("send", "main", "hello")
    pipeline.run("route", "--once")
    started(pipeline)
    worker.terminate()
    assert worker.wait(30) == 0
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("queued", 0)]
    (pipeline.home / "groups/main/go").touch()
    pipeline.settle("slow")
    assert pipeline.replies() == ["half and whole"]


def pause_and_cancel(pipeline: Pipeline, worker: subprocess.Popen[bytes]) -> bool:
    """Stop the worker and cancel its run; not where it holds the write lock just then."""
    worker.send_signal(signal.SIGSTOP)
    db = sqlite3.connect(pipeline.home / "data/messages.db", isolation_level=None, timeout=0.2)
    try:
        db.execute("UPDATE runs SET state = 'cancelled', owner = NULL")
    except sqlite3.OperationalError:
        worker.send_signal(signal.SIGCONT)
        return False
    finally:
        db.close()
    return True


def test_a_paused_worker_that_wakes_writes_nothing_more(pipeline: Pipeline) -> None:
    """Its run was given to somebody else meanwhile: what it still hears is void."""
    worker = pipeline.start("run-agent", "slow")
    pipeline.run("send", "main", "hello")
    pipeline.run("route", "--once")
    started(pipeline)
    wait_for(lambda: pause_and_cancel(pipeline, worker), "a moment outside of a transaction")
    (pipeline.home / "groups/main/go").touch()
    worker.send_signal(signal.SIGCONT)
    wait_for(lambda: pipeline.rows("SELECT owner IS NULL FROM sessions") == [1], "the end")
    assert pipeline.rows("SELECT state FROM runs") == ["cancelled"]
    assert pipeline.replies() == []


def test_four_workers_answer_everything_once(pipeline: Pipeline) -> None:
    names = [f"team-{n}" for n in range(8)]
    for name in names:
        pipeline.run("groups", "add", name, "--trigger", "always")
    pipeline.start("route")
    for _ in range(4):
        pipeline.start("run-agent", PYNCHY_QUEUE__MAX_CONCURRENT="3")
    lines = "".join(
        json.dumps({"id": f"{name}-{n}", "chat": f"local:{name}", "text": f"{name} says {n}"})
        + "\n"
        for n in range(5)
        for name in names
    )
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home)),
            *("listen", "stdin"),
        ],
        input=lines.encode(),
        env=pipeline.environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wait_for(
        lambda: (
            pipeline.rows("SELECT min(answered_seq) FROM registered_groups WHERE folder <> 'main'")
            >= [33]
            and not pipeline.rows("SELECT 1 FROM runs WHERE state IN ('queued', 'running')")
        ),
        "every answer",
    )
    said = "\n".join(pipeline.replies()).splitlines()
    assert sorted(said) == sorted(f"{name} says {n}" for n in range(5) for name in names)


def test_the_foreground_form_answers_a_shell(pipeline: Pipeline) -> None:
    def ask(group: str, prompt: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home)]
        return subprocess.run(
            [*command, "run-agent", group],
            input=prompt,
            env=pipeline.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = ask("main", "plain words <b>&amp;")
    assert (done.returncode, done.stdout) == (0, "plain words <b>&amp;\n"), done.stderr
    assert pipeline.replies() == []
    assert pipeline.rows("SELECT kind, state FROM runs") == [("shell", "done")]
    assert pipeline.rows("SELECT count(*) FROM sessions") == [0]
    nothing = ask("nobody", "hello")
    assert nothing.returncode == 1
    assert "nobody" in nothing.stderr
    assert "Traceback" not in nothing.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_shell_that_reads_no_further_is_left_in_peace(
    pipeline: Pipeline, options: tuple[str, ...]
) -> None:
    command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home), "run-agent"]
    with subprocess.Popen(
        [*command, "main", *options],
        env=pipeline.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        child.stdin.write(b"hello")
        child.stdin.close()
        words = child.stderr.read().decode()
        assert (child.wait(60), words) == (0, "")
    assert pipeline.rows("SELECT count(*) FROM runs WHERE state = 'running'") == [0]


def test_a_core_s_environment_holds_no_secret(pipeline: Pipeline) -> None:
    pipeline.environ["ANTHROPIC_API_KEY"] = "sk-ant-canary"
    pipeline.start("route")
    pipeline.start("run-agent", "counting")
    pipeline.run("send", "main", "one")
    wait_for(lambda: pipeline.replies() == ["turn 1"], "the reply")
    own = os.getpid()
    seen = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
            environ = (entry / "environ").read_bytes()
        except OSError:
            continue
        is_agent = int(entry.name) != own and b"--ipc" in line and b"agent_runner" in line
        if is_agent and b"/home/agent" in environ:
            seen += 1
            assert b"sk-ant-canary" not in environ + line
    assert seen
