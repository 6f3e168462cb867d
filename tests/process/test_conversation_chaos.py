"""Conversations while workers, sandboxes and the container engine are killed at random: each
message is answered exactly once, nothing is left at work, and no sandbox is left. What was drawn
is said when it fails: PYNCHY_CHAOS_SEED draws the same again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.engine import Engine, own, require
from tests.process.test_docker_faults import containers, in_docker, planted_image
from tests.process.test_run_agent import Pipeline, pipeline, sources, wait_for

__all__ = ["pipeline", "sources"]

SEED = "PYNCHY_CHAOS_SEED"
GROUPS = [f"team-{number}" for number in range(4)]
WORKERS = 2
WORDS = 12
"""In each message; so long an answer takes, in twentieths of a second."""
KILLS = 3
"""So many things are killed while the conversations of a round are under way."""


class Chaos:
    """A home whose stages are killed and started again; in Docker where there is an engine."""

    def __init__(self, pipeline: Pipeline, engine: Engine | None, chance: random.Random) -> None:
        self.pipeline = pipeline
        self.engine = engine
        self.chance = chance
        self.story: list[str] = []
        self.asked: list[str] = []
        self.workers = [self._worker() for _ in range(WORKERS)]
        pipeline.start("route")
        self.network = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "pynchy_cli", "--home", str(pipeline.home)),
                *("listen", "stdin"),
            ],
            env=pipeline.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )

    def _worker(self) -> subprocess.Popen[bytes]:
        return self.pipeline.start("run-agent", "telling")

    def say(self, group: str) -> None:
        """A message whose words nobody else says."""
        number = len(self.asked)
        self.asked.append(f"m{number}")
        words = " ".join(f"m{number}" if n == 0 else f"w{n}" for n in range(WORDS))
        line = {"id": f"n{number}", "chat": f"local:{group}", "text": words}
        assert self.network.stdin is not None
        self.network.stdin.write(json.dumps(line).encode() + b"\n")
        self.network.stdin.flush()
        self.story.append(f"m{number} to {group}")

    def round(self) -> None:
        """A conversation in each group, and so many kills, in any order; then all is answered."""
        steps = [lambda group=group: self.say(group) for group in GROUPS]
        steps += [lambda: self.say(self.chance.choice(GROUPS)) for _ in GROUPS]
        steps += [self.kill] * KILLS
        self.chance.shuffle(steps)
        for step in steps:
            step()
            time.sleep(self.chance.random() * 0.3)
        self.begin_again()
        wait_for(self.is_quiet, "the end of all runs", limit=100)

    def kill(self) -> None:
        """Kill something, and start again what nobody else would."""
        what = [self.kill_worker, self.kill_sandbox, self.kill_sandbox]
        if self.engine is not None:
            what.append(self.kill_engine)
        self.chance.choice(what)()

    def kill_worker(self) -> None:
        at = self.chance.randrange(WORKERS)
        self.story.append(f"worker {at} killed")
        self.workers[at].kill()
        self.workers[at].wait(30)
        self.workers[at] = self._worker()

    def kill_sandbox(self) -> None:
        found = sorted(self.sandboxes())
        if not found:
            return
        one = self.chance.choice(found)
        self.story.append(f"sandbox {one} killed")
        if self.engine is not None:
            self.engine.docker("kill", str(one), check=False)
        else:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(int(one)).kill()

    def sandboxes(self) -> list[str]:
        """What may be killed: containers, or any process that a worker has below it."""
        if self.engine is not None:
            return containers(self.engine) if self.engine.daemon is not None else []
        found = []
        for worker in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                below = psutil.Process(worker.pid).children(recursive=True)
                found += [str(one.pid) for one in below]
        return found

    def kill_engine(self) -> None:
        assert self.engine is not None
        keeps = self.chance.random() < 0.5
        self.story.append(f"engine killed; containers are kept: {keeps}")
        self.engine.kill()
        self.engine.keeps_containers = keeps
        time.sleep(self.chance.random() * 0.5)
        self.engine.start()

    def begin_again(self) -> None:
        """A worker that can't work leaves, and its supervisor starts it again."""
        for at, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.workers[at] = self._worker()

    def is_quiet(self) -> bool:
        self.begin_again()
        heard = self.pipeline.rows("SELECT count(*) FROM messages WHERE message_type = 'user'")
        routed = "SELECT min(answered_seq >= routed_seq) FROM registered_groups"
        last = "SELECT 1 FROM messages m JOIN registered_groups g ON m.chat_jid = 'local:' ||"
        last += " g.folder WHERE m.message_type = 'user' AND m.seq > g.answered_seq"
        return (
            heard == [len(self.asked)]
            and self.pipeline.rows(routed) == [1]
            and not self.pipeline.rows(last)
            and not self.pipeline.rows("SELECT 1 FROM runs WHERE state IN ('queued', 'running')")
        )

    def problems(self) -> list[str]:
        """What is wrong, once all is quiet."""
        said = " ".join(self.pipeline.replies()).split()
        times = Counter(word for word in said if word.startswith("m"))
        found = [f"{one} has {times[one]} answers" for one in self.asked if times[one] != 1]
        if (ends := said.count(f"w{WORDS - 1}")) != len(self.asked):
            found.append(f"{ends} ends of {len(self.asked)} messages")
        found += [f"{one!r} was said" for one in self.pipeline.replies() if "Sorry" in one]
        if open_ones := self.pipeline.rows(
            "SELECT content FROM outbound_ledger WHERE NOT is_final"
        ):
            found.append(f"unfinished answers: {open_ones}")
        if failed := self.pipeline.rows("SELECT id, error FROM runs WHERE state = 'failed'"):
            found.append(f"failed runs: {failed}")
        return found

    def leave(self) -> list[str]:
        """Stop all stages; what is left of sandboxes then."""
        assert self.network.stdin is not None
        self.network.stdin.close()
        self.network.wait(60)
        for worker in self.workers:
            worker.terminate()
        left = [f"a worker ended with {code}" for one in self.workers if (code := one.wait(60))]
        left += [str(one) for one in (self.pipeline.home / "data/ipc").glob("*/*")]
        left += self.pipeline.rows("SELECT sandbox FROM sessions WHERE owner IS NOT NULL")
        return left + (containers(self.engine, all=True) if self.engine is not None else [])


@contextlib.contextmanager
def engine_of(runtime: str, sources: Path) -> Iterator[Engine | None]:
    if runtime != "docker":
        yield None
        return
    require()
    with own(keeps_containers=True) as engine:
        planted_image(engine, sources)
        yield engine


def converse(pipeline: Pipeline, engine: Engine | None, conversations: int) -> None:
    """So many conversations, killed at random, and no problem."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    pipeline.environ |= in_docker(engine) if engine is not None else {}
    pipeline.environ |= {
        "PYNCHY_SANDBOX__STOP_GRACE": "0",
        "PYNCHY_SANDBOX__RUNTIME": "bubblewrap" if engine is None else "docker",
        "PYNCHY_QUEUE__MAX_RETRIES": "100",
        "PYNCHY_QUEUE__MAX_CONCURRENT": "4",
    }
    for group in GROUPS:
        pipeline.run("groups", "add", group, "--trigger", "always")
    chaos = Chaos(pipeline, engine, random.Random(seed))
    try:
        for _ in range(conversations // len(GROUPS)):
            chaos.round()
        problems = [*chaos.problems(), *chaos.leave()]
        assert not problems, chaos.story
    finally:
        print(*chaos.story, sep="\n")
        chaos.network.kill()
        chaos.network.wait(30)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", ["bubblewrap", "docker"])
def test_twenty_conversations(pipeline: Pipeline, sources: Path, runtime: str) -> None:
    with engine_of(runtime, sources) as engine:
        converse(pipeline, engine, 20)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("runtime", ["bubblewrap", "docker"])
def test_two_hundred_conversations(pipeline: Pipeline, sources: Path, runtime: str) -> None:
    with engine_of(runtime, sources) as engine:
        converse(pipeline, engine, 200)
