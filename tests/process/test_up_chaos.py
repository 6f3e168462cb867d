"""`pynchy up` while people talk in Slack and any process of its tree is killed at random, the
supervisor and the sandboxes too. Whoever keeps `up` (a service manager, here the test) starts it
again; everything else comes back by itself, nothing is lost, and nothing stands in Slack twice.
What was drawn is printed: PYNCHY_CHAOS_SEED draws the same again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pynchy_cli import clock
from pynchy_cli.errors import PynchyError
from pynchy_cli.store import status
from tests.process.test_run_agent import wait_for
from tests.slack_home import SlackHome, problems
from tests.slack_server import SlackProcess

SEED = "PYNCHY_CHAOS_SEED"
CHANNELS = 3
PATIENCE = 60.0
"""Seconds for which we wait until all is back: far more than it takes, which is printed."""


class Upheaval:
    """A home under `pynchy up`, what is said in it, and who was killed."""

    def __init__(self, slack: SlackProcess, home: SlackHome, chance: random.Random) -> None:
        self.slack = slack
        self.home = home
        self.chance = chance
        self.killed: Counter[str] = Counter()
        self.story: list[str] = []
        self.took: list[float] = []
        self.asked: dict[str, tuple[str, str | None]] = {}
        self.channels = [slack.channel(f"dev-{n}", "alice", "bob") for n in range(CHANNELS)]
        for number, channel in enumerate(self.channels):
            home.group(f"team-{number}", channel)
        self.log = (home.home / "up.log").open("wb")
        self.up = self.start()
        self.wait()

    def start(self) -> psutil.Process:
        command = [sys.executable, "-P", "-m", "pynchy_cli", "--home", str(self.home.home), "up"]
        child = subprocess.Popen(
            [*command, "--json"],
            env={**self.home.environ, "PYNCHY_LOG__LEVEL": "info"},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        self.parent = child
        return psutil.Process(child.pid)

    def say(self) -> None:
        """Somebody says a word that nobody else says."""
        word = f"m{len(self.asked)}"
        channel = self.chance.choice(self.channels)
        self.slack.say(self.chance.choice(("alice", "bob")), channel, word)
        self.asked[word] = (channel, None)

    def kill(self) -> None:
        """Kill any process of the tree, and wait until all is as before."""
        kinds: dict[str, list[psutil.Process]] = {}
        for one in [self.up, *self.up.children(recursive=True)]:
            kinds.setdefault(name_of(one).partition(" ")[0], []).append(one)
        kind = self.chance.choice(sorted(kinds))  # or it would mostly be parts of sandboxes
        victim = self.chance.choice(kinds[kind])
        name = name_of(victim)
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        self.killed[kind] += 1
        if victim.pid == self.up.pid:
            self.parent.wait(30)
            self.up = self.start()
        begun = time.monotonic()
        if self.chance.random() < 0.5:
            self.say()  # while it is away
        self.wait(victim)
        self.took.append(time.monotonic() - begun)
        self.story.append(f"m{len(self.asked) - 1}: {name} killed, back in {self.took[-1]:.1f} s")

    def wait(self, victim: psutil.Process | None = None) -> None:
        wait_for(lambda: self.is_whole(victim), "all stages", limit=PATIENCE)

    def is_whole(self, victim: psutil.Process | None) -> bool:
        """Whether every stage runs as a child of this supervisor, without the one that was killed,
        and the channel is connected."""
        data = self.home.home / "data"
        try:
            told = status.read(str(data / "messages.db"), str(data / "run"), clock.now())
        except PynchyError:
            return False
        ours = {one.pid for one in self.up.children()}
        pids = [one["pid"] for one in told["stages"].values() if one["running"]]
        return (
            len(pids) == len(told["stages"]) > 0
            and set(pids) <= ours
            and (victim is None or victim.pid not in pids)
            and bool(told["channels"].get("slack"))
        )

    def is_answered(self) -> bool:
        heard = self.home.rows("SELECT count(*) FROM messages WHERE id LIKE 'slack-%'")
        return heard == [len(self.asked)] and self.home.is_quiet()


def name_of(process: psutil.Process) -> str:
    """What it is, for people."""
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return "gone"
    for module in ("pynchy_cli.stage", "pynchy_cli.supervise"):
        if module in words:
            return words[words.index(module) + 1] if module == "pynchy_cli.stage" else "up"
    return f"{Path(words[0]).name if words else 'zombie'} {process.pid}"


def live(slack: SlackProcess, home: SlackHome, kills: int) -> None:
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    chance = random.Random(seed)
    upheaval = Upheaval(slack, home, chance)
    try:
        for _ in range(kills):
            for _ in range(chance.randint(1, 4)):
                upheaval.say()
                time.sleep(chance.random() * 0.2)
            upheaval.kill()
        wait_for(upheaval.is_answered, "every answer", limit=120)
        tree = upheaval.up.children(recursive=True)
        found = problems(slack, upheaval.asked)
        assert not found, found
        assert home.rows("SELECT count(*) FROM outbound_deliveries WHERE state = 'dead'") == [0]
        upheaval.up.terminate()
        upheaval.parent.wait(60)
        _, left = psutil.wait_procs(tree, timeout=30)
        assert not left, left
    finally:
        upheaval.parent.kill()
        upheaval.parent.wait()
        upheaval.log.close()
        print(*upheaval.story, sep="\n")
        print("stored:", home.rows("SELECT count(*) FROM messages WHERE id LIKE 'slack-%'"))
        print("runs:", home.rows("SELECT state, count(*) FROM runs GROUP BY state"))
        print(f"{len(upheaval.asked)} messages, killed: {dict(upheaval.killed)}")
        print(f"posted: {len(slack.posts())}, copies: {len(slack.posts()) - len(slack.copies())}")
        took = sorted(upheaval.took)
        if took:
            print(f"back after {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s at most")


@pytest.fixture
def slack() -> Iterator[SlackProcess]:
    with SlackProcess(ack=1.0, retries=(0.0, 0.2, 0.4)) as server:
        server.person("alice", "Alice Able")
        server.person("bob", "Bob Best")
        yield server


@pytest.fixture
def slack_home(
    tmp_path: Path, environment: dict[str, str], slack: SlackProcess
) -> Iterator[SlackHome]:
    made = SlackHome(tmp_path, environment, slack.url)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.timeout(300)
def test_any_process_may_be_killed(slack: SlackProcess, slack_home: SlackHome) -> None:
    live(slack, slack_home, kills=6)


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_two_hundred_kills(slack: SlackProcess, slack_home: SlackHome) -> None:
    live(slack, slack_home, kills=200)
