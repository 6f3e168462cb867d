"""A day in Slack, in half a minute: people talk in channels and threads while the network fails in
every way it knows and every stage is killed at random. Each message is answered once, in its
thread, in order, and nothing stands in the history twice. What was drawn is printed:
PYNCHY_CHAOS_SEED draws the same again."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.test_run_agent import wait_for
from tests.slack_home import SlackHome, problems
from tests.slack_server import SlackProcess

SEED = "PYNCHY_CHAOS_SEED"
CHANNELS = 4
THREADS = 3
"""Threads that people talk in, in each channel."""
DELIVERIES = (
    "SELECT state, max(attempts), max(error), max(next_attempt_at), count(*)"
    " FROM outbound_deliveries GROUP BY state"
)
POSTING = ("429", "500", "drop", "after_drop", "after_500")


class Day:
    """What people say and what goes wrong, drawn by chance."""

    def __init__(self, slack: SlackProcess, home: SlackHome, chance: random.Random) -> None:
        self.slack = slack
        self.home = home
        self.chance = chance
        self.story: list[str] = []
        self.faults: Counter[str] = Counter()
        self.asked: dict[str, tuple[str, str | None]] = {}
        self.channels = [slack.channel(f"dev-{n}", "alice", "bob") for n in range(CHANNELS)]
        for number, channel in enumerate(self.channels):
            home.group(f"team-{number}", channel)
        self.threads: dict[str, list[str]] = {channel: [] for channel in self.channels}
        self.stages: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("listen", "route", "run-agent"):
            self.start(name)

    def start(self, name: str) -> None:
        home = self.home
        self.stages[name] = home.listen() if name == "listen" else home.start(name)

    def say(self) -> None:
        """Somebody says a word that nobody else says, in a channel or a thread."""
        word = f"m{len(self.asked)}"
        channel = self.chance.choice(self.channels)
        threads = self.threads[channel]
        thread = self.chance.choice(threads) if threads and self.chance.random() < 0.5 else None
        who = self.chance.choice(("alice", "bob"))
        ts = self.slack.say(who, channel, word, thread_ts=thread or "")
        self.asked[word] = (channel, thread)
        if thread is None and len(threads) < THREADS:
            threads.append(ts)

    def go_wrong(self) -> None:
        """Something that goes wrong."""
        wrongs: list[Callable[[], str]] = [
            lambda: self.posting("chat.postMessage"),
            lambda: self.posting("chat.update"),
            lambda: self.posting("conversations.history"),
            self.redeliver,
            self.refresh,
            self.reset,
            self.stall,
            self.restart,
            self.refuse,
            *(lambda name=name: self.kill(name) for name in self.stages),
            lambda: self.kill("listen"),
        ]
        self.tell(self.chance.choice(wrongs)())

    def tell(self, what: str) -> None:
        self.faults[what.partition(":")[0]] += 1
        self.story.append(f"after m{len(self.asked) - 1}: {what}")

    def posting(self, method: str) -> str:
        kind, times = self.chance.choice(POSTING), self.chance.randint(1, 3)
        self.slack.fault(method, kind, times, retry_after=1)
        return f"{method} {kind}: {times}"

    def redeliver(self) -> str:
        acks = self.slack.acks()
        if acks:
            self.slack.again(self.chance.choice(acks)["event_id"])
        return "redelivery"

    def refresh(self) -> str:
        self.slack.disconnect("refresh_requested")
        return "refresh"

    def reset(self) -> str:
        self.slack.kill()
        return "TCP reset"

    def stall(self) -> str:
        self.slack.stall(True)
        time.sleep(0.5)
        self.slack.stall(False)
        return "stall"

    def restart(self) -> str:
        self.slack.stop()
        time.sleep(self.chance.random() * 0.5)
        self.slack.start()
        return "server restart"

    def refuse(self) -> str:
        self.slack.refuse_links(2)
        self.slack.kill()
        return "refused tickets"

    def kill(self, name: str) -> str:
        self.stages[name].kill()
        self.stages[name].wait(30)
        self.start(name)
        return f"{name} killed"

    def end(self) -> None:
        """All is well again, and what was said is answered."""
        self.slack.heal()
        self.slack.stall(False)
        wait_for(self.is_answered, "every answer", limit=60)

    def stored_out_of_order(self) -> list[str]:
        """The places where what was said was stored in another order; answers follow that."""
        found = []
        for channel, thread in set(self.asked.values()):
            name = f"slack:{channel}/{thread}" if thread else ""
            got = self.home.rows(
                f"SELECT content FROM messages WHERE chat_jid = 'slack:{channel}'"
                f" AND thread = '{name}' AND message_type = 'user' ORDER BY seq"
            )
            if got != sorted(got, key=lambda word: int(word[1:])):
                found.append(f"stored out of order in {channel}, {thread}: {got}")
        return found

    def is_answered(self) -> bool:
        heard = self.home.rows("SELECT count(*) FROM messages WHERE id LIKE 'slack-%'")
        return heard == [len(self.asked)] and self.home.is_quiet()


def live(slack: SlackProcess, home: SlackHome, messages: int, wrongs: int) -> None:
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    chance = random.Random(seed)
    day = Day(slack, home, chance)
    steps = [day.say] * messages + [day.go_wrong] * wrongs
    chance.shuffle(steps)
    try:
        for step in steps:
            step()
            time.sleep(chance.random() * 0.05)
        day.end()
        for stage in day.stages.values():
            assert stage.poll() is None
            inet = psutil.Process(stage.pid).net_connections("inet")
            assert not [one for one in inet if one.status == psutil.CONN_LISTEN], "nobody calls us"
        found = problems(slack, day.asked)
        found += day.stored_out_of_order()
        assert not found, found
        assert home.rows("SELECT count(*) FROM outbound_deliveries WHERE state = 'dead'") == [0]
    finally:
        print(*day.story, sep="\n")
        for name, stage in day.stages.items():
            if stage.poll() is not None:
                assert stage.stderr is not None
                print(f"{name} has ended: {stage.returncode}", stage.stderr.read().decode())
        stored = home.rows("SELECT content FROM messages WHERE id LIKE 'slack-%'")
        print(f"stored: {len(stored)}, not: {sorted(set(day.asked) - set(stored))}")
        print("runs:", home.rows("SELECT state, count(*) FROM runs GROUP BY state"))
        print("deliveries:", home.rows(DELIVERIES))
        print(f"{len(day.asked)} messages, faults: {dict(day.faults)}")
        print(f"posted: {len(slack.posts())}, copies: {len(slack.posts()) - len(slack.copies())}")


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
def test_a_day_in_slack(slack: SlackProcess, slack_home: SlackHome) -> None:
    live(slack, slack_home, messages=250, wrongs=20)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_long_day_in_slack(slack: SlackProcess, slack_home: SlackHome) -> None:
    live(slack, slack_home, messages=2500, wrongs=200)
