"""From Slack's event to its row, from a reply's row to the call that posts it, and a burst in many
chats at once. Times are of one clock: the workspace is a process on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.store import Store, outbound
from tests.benchmarks.place import summary
from tests.process.test_run_agent import wait_for
from tests.slack_home import SlackHome
from tests.slack_server import SlackProcess

COUNT = 200
CHATS, BURST = 20, 1000


def figures() -> Iterator[str]:
    """The lines to print."""
    with tempfile.TemporaryDirectory() as folder, SlackProcess() as slack:
        slack.person("alice", "Alice Able")
        home = SlackHome(Path(folder), {**os.environ, "PYNCHY_AGENT__CORE": "echo"}, slack.url)
        try:
            channels = [slack.channel(f"dev-{number}", "alice") for number in range(CHATS)]
            for number, channel in enumerate(channels):
                home.group(f"team-{number}", channel)
            listener = psutil.Process(home.listen().pid)
            wait_for(lambda: slack.sockets() == 1, "the connection")
            slack.say("alice", channels[0], "so that names are known")
            wait_for(lambda: stored(home) == 1, "the first row")
            events = summary(list(taken(slack, home, channels[0])))
            yield f"Slack's event to its row and back: {events} (goal 5)"
            posts = summary(list(posted(slack, home, channels[1])))
            yield f"a reply's row to the call that posts it: {posts} (goal 20)"
            yield burst(slack, home, channels, listener)
        finally:
            home.close()


def stored(home: SlackHome) -> int:
    """How many of Slack's messages have rows."""
    return int(home.rows("SELECT count(*) FROM messages WHERE id LIKE 'slack-%'")[0])


def taken(slack: SlackProcess, home: SlackHome, channel: str) -> Iterator[float]:
    """Milliseconds from an event's sending to its acknowledgement, which comes after its row."""
    slack.forget()
    before = stored(home)
    for number in range(COUNT):
        slack.say("alice", channel, f"message {number}")
        time.sleep(0.01)
    wait_for(lambda: stored(home) == before + COUNT, "all rows")
    for ack in slack.acks():
        if ack.get("seconds") is not None:
            yield ack["seconds"] * 1000


def posted(slack: SlackProcess, home: SlackHome, channel: str) -> Iterator[float]:
    """Milliseconds from a reply's commit to the call by which it is posted."""
    slack.forget()
    committed: dict[int, float] = {}
    with Store.open(Home(home.home).database) as store:
        for number in range(COUNT):
            with store.atomic() as db:
                reply = outbound.say(
                    db,
                    key=f"bench:{number}",
                    chat_jid=f"slack:{channel}",
                    content=f"reply {number}",
                    source="host",
                    now=clock.now(),
                )
            committed[reply] = time.time()
            time.sleep(0.03)
    wait_for(lambda: len(slack.posts(channel)) >= COUNT, "all posts")
    for call in slack.calls("chat.postMessage"):
        mark = call["args"]["metadata"]["event_payload"]["id"]
        number = int(mark.partition(":")[2].partition(".")[0])
        yield (call["at"] - committed[number]) * 1000


def burst(
    slack: SlackProcess, home: SlackHome, channels: list[str], listener: psutil.Process
) -> str:
    """Many messages in many chats at once."""
    before, memory = stored(home), listener.memory_info().rss
    began = time.monotonic()
    slack.say_all(
        [("alice", channels[number % CHATS], f"burst {number}", "") for number in range(BURST)]
    )
    wait_for(lambda: stored(home) >= before + BURST, "the burst's rows")
    took, more = time.monotonic() - began, listener.memory_info().rss - memory
    return (
        f"{BURST} messages in {CHATS} chats at once: {stored(home) - before} rows in {took:.1f} s,"
        f" memory {memory / 2**20:.0f} MB and {more / 2**20:.0f} MB more"
    )
