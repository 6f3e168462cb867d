"""Kill -9 of the stage that holds Slack, at its system calls between the moment at which a post is
begun and the note of it: each message and each file stands in the channel's history once, and what
was still being written ends with its exact text. Real calls to the tests' Slack; nothing is put
back between two kills, so that what was said before is there, too."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.model import Attachment
from pynchy_cli.store import chats, outbound
from pynchy_cli.store.connection import Store
from tests.process.test_run_agent import wait_for
from tests.slack_home import SlackHome, answers
from tests.slack_server import SlackProcess
from tests.stage_server import LIMIT, StageServer
from tests.sweep import Point

CALLS = ("sendto", "recvfrom", "epoll_wait", "pwrite64", "fdatasync", "write", "connect", "close")
"""What a stage does between the two notes: it asks Slack, waits, is answered, and writes."""
TEXT = "\n".join(f"{number:05d} and so on, as long answers do" for number in range(250))
"""A text that takes three of Slack's messages."""
WAITS = "SELECT 1 FROM outbound_deliveries WHERE state NOT IN ('sent', 'dead') OR held"
SLICE = 17


class Kills:
    """A channel, a thread in it, and another channel; in each something is said before each kill,
    and what is being written in the other one is finished after it."""

    def __init__(self, slack: SlackProcess, home: SlackHome, root: Path) -> None:
        self.slack, self.home, self.root = slack, home, root
        self.asked = json.dumps(
            {"home": str(home.home), "once": False, "options": {"channel": "slack"}}
        )
        self.one, self.two = slack.channel("one", "alice"), slack.channel("two", "alice")
        self.thread = f"slack:{self.one}/{slack.say('alice', 'one', 'a question')}"
        self.server = StageServer(root, home.environ)
        self.round = self.tried = self.killed = 0
        self.wanted: dict[tuple[str, str | None], list[str]] = {}
        with self.store() as store, store.atomic() as db:
            for channel in (self.one, self.two):
                chats.claim(db, f"slack:{channel}", "slack", None, clock.now())

    def store(self) -> Store:
        return Store.open(self.home.home / "data/messages.db")

    def begin(self) -> None:
        """Say all that is to be brought."""
        self.round += 1
        first, second, now = f"slack:{self.one}", f"slack:{self.two}", clock.now()
        name = f"round {self.round}"
        with self.store() as store, store.atomic() as db:
            say = {"source": "agent", "now": now, "thread": ""}
            outbound.say(db, key=f"{name} a", chat_jid=first, content=f"{name}\n{TEXT}", **say)
            say["thread"] = self.thread
            outbound.say(db, key=f"{name} b", chat_jid=first, content=f"{name} there", **say)
            say["thread"] = ""
            last = outbound.say(db, key=f"{name} c", chat_jid=first, content=f"{name} end", **say)
            data = name.encode()
            digest = hashlib.sha256(data).hexdigest()
            folder = self.home.home / "data/files"
            folder.mkdir(exist_ok=True)
            (folder / digest).write_bytes(data)
            outbound.attach(db, last, [Attachment("same name", len(data), digest)])
            outbound.grow(
                db, key=f"{name} d", chat_jid=second, content=f"{name}: half",
                now=now, group_folder="", run_id=1, doing="thinking",
            )  # fmt: skip

    def finish(self) -> None:
        """Say the rest of what is being written, and have it all be brought."""
        name = f"round {self.round}"
        with self.store() as store, store.atomic() as db:
            outbound.say(
                db, key=f"{name} d", chat_jid=f"slack:{self.two}", content=f"{name}: whole",
                source="agent", now=clock.now(), thread="",
            )  # fmt: skip
        begun = self.server.start("listen@slack", self.asked, "", self.home.environ)
        wait_for(lambda: not self.home.rows(WAITS), "all is brought", limit=20)
        os.kill(begun.pid, signal.SIGTERM)
        assert begun.end() == 0, begun.errors

    def points(self) -> list[Point]:
        """The calls that the stage makes from the first note that a post is begun."""
        self.begin()
        log = self.root / "calls"
        self._traced("-o", str(log), "-e", f"trace={','.join(CALLS)}")
        self.finish()
        counts: Counter[str] = Counter()
        found = []
        is_begun = False
        for line in log.read_text("utf-8", "replace").splitlines():
            if name := re.match(r"(\w+)\(", line):
                counts[name[1]] += 1
                is_begun = is_begun or "chat.postMessage" in line
                if is_begun:
                    found.append(Point(name[1], counts[name[1]]))
        return found

    def kill_at(self, point: Point) -> None:
        """Kill the stage there, and run it again."""
        self.begin()
        inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        code = self._traced("-o", os.devnull, "-e", f"trace={point.call}", "-e", inject)
        self.tried += 1
        self.killed += code == -signal.SIGKILL
        self.finish()
        # Slack shows a file in the chat some time later.
        wait_for(lambda: len(self.sizes()) >= self.round, "the file", limit=20)

    def sizes(self) -> list[int]:
        """How large each file is that stands in the channel."""
        said = answers(self.slack, self.one)
        return [one["files"][0]["size"] for one in said if one.get("files")]

    def problems(self) -> Iterator[str]:
        """What is wrong in the channels."""
        for mark, times in self.slack.copies().items():
            if times > 1:
                yield f"{mark} was posted {times} times"
        rounds = range(1, self.round + 1)
        said = answers(self.slack, self.one)
        thread = self.thread.rpartition("/")[2]
        in_thread = [one["text"] for one in said if one.get("thread_ts") == thread]
        if in_thread != [f"round {number} there" for number in rounds]:
            yield f"in the thread: {in_thread}"
        top = [one for one in said if one.get("thread_ts") != thread]
        text = "\n".join(one["text"] for one in top if not one.get("files"))
        if text != "\n".join(f"round {n}\n{TEXT}\nround {n} end" for n in rounds):
            yield f"in the channel: {[one['text'][:20] for one in top]}"
        if (files := self.sizes()) != [len(f"round {number}") for number in rounds]:
            yield f"{len(files)} files of {self.round}"
        grown = [one["text"] for one in answers(self.slack, self.two)]
        if grown != [f"round {number}: whole" for number in rounds]:
            yield f"what was being written: {grown}"
        yield from map(str, self.home.rows("SELECT error FROM failures"))
        yield from self.home.rows("SELECT error FROM outbound_deliveries WHERE state <> 'sent'")

    def _traced(self, *options: str) -> int:
        begun = self.server.start("listen@slack", self.asked, "", self.home.environ, held=True)
        strace = subprocess.Popen(
            ["strace", "-qq", "-s", "200", "-e", "signal=none", "-p", str(begun.pid), *options]
        )
        begun.go_on()
        is_over = False
        while strace.poll() is None and not is_over:
            is_over = not self.home.rows(WAITS)
            time.sleep(0.005)
        if strace.poll() is None:
            os.kill(begun.pid, signal.SIGTERM)
        code = begun.end()
        strace.wait(LIMIT)
        return code


@pytest.fixture
def kills(tmp_path: Path, environment: dict[str, str]) -> Iterator[Kills]:
    with SlackProcess() as slack:
        slack.person("alice", "Alice Able")
        home = SlackHome(tmp_path, environment, slack.url)
        made = Kills(slack, home, tmp_path)
        try:
            yield made
        finally:
            made.server.__exit__(None, None, None)
            home.close()


def sweep(kills: Kills, points: Sequence[Point]) -> None:
    for point in points:
        kills.kill_at(point)
        assert not (found := list(kills.problems())), (point, found)


@pytest.mark.timeout(120)
def test_no_kill_doubles_what_stands_in_slack(kills: Kills) -> None:
    points = kills.points()
    sweep(kills, points[SLICE :: len(points) // 3])
    assert kills.killed >= 2


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_so_it_is_at_every_call(kills: Kills) -> None:
    points = kills.points()
    sweep(kills, points)
    print(
        json.dumps({"killed": kills.killed, "of": len(points), "marks": len(kills.slack.copies())})
    )
    assert kills.killed > len(points) // 2
