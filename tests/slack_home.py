"""A home whose groups live in a Slack of the tests' own, and its stages as processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.process.test_run_agent import Pipeline
from tests.slack_server import Control

CHANNEL = "PYNCHY_CHANNELS__SLACK__MAIN__"


class SlackHome(Pipeline):
    """One home, connected to one workspace. `url` is the workspace's Web API."""

    def __init__(self, root: Path, environ: dict[str, str], url: str) -> None:
        super().__init__(root, environ)
        self.environ |= {
            f"{CHANNEL}BASE_URL": url,
            f"{CHANNEL}BOT_TOKEN": "xoxb-pynchy",
            f"{CHANNEL}APP_TOKEN": "xapp-1-A0PYNCHY01",
            f"{CHANNEL}EDIT_INTERVAL": "0.1",
            f"{CHANNEL}SETTLE": "0.3",
            f"{CHANNEL}PING_INTERVAL": "0.5",
            "PYNCHY_QUEUE__MAX_RETRIES": "100",
            "PYNCHY_SANDBOX__STOP_GRACE": "0",
        }
        self.run("init", "--yes")

    def listen(self, **env: str) -> subprocess.Popen[bytes]:
        """The channel's stage."""
        options = {"channel": "slack"}
        asked = json.dumps({"home": str(self.home), "once": False, "options": options})
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pynchy_cli.stage", "listen@slack", asked],
            env={**self.environ, **env},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.living.append(child)
        return child

    def group(self, folder: str, channel: str, *options: str) -> None:
        """A group that answers everybody in a channel, whatever they say."""
        always = ("--trigger", "always", "--allow", "*")
        self.run("groups", "add", f"slack:{channel}", "--folder", folder, *always, *options)

    def is_quiet(self) -> bool:
        """Whether nothing is under way, in the file."""
        return not self.rows(
            "SELECT 1 FROM runs WHERE state IN ('queued', 'running') UNION ALL"
            " SELECT 1 FROM outbound_deliveries WHERE state IN ('pending', 'sending', 'unknown')"
            " UNION ALL SELECT 1 FROM registered_groups g JOIN messages m ON m.chat_jid = g.jid"
            " WHERE m.seq > g.routed_seq AND m.message_type = 'user' AND m.verdict = 'allowed'"
        )


def answers(slack: Control, channel: str) -> list[dict[str, Any]]:
    """What the bot has said in a channel, as it stands there, oldest first."""
    return [one for one in slack.history(channel) if one.get("bot_id")]


def problems(slack: Control, asked: dict[str, tuple[str, str | None]]) -> list[str]:
    """What is wrong with the answers to what was asked: word → the channel and the thread where it
    was said. Each word is in one answer, where it was asked, in the order of asking; and nothing
    that we have posted is there twice."""
    found = [f"{mark} stands there {n} times" for mark, n in slack.copies().items() if n > 1]
    said: dict[tuple[str, str | None], list[str]] = {}
    times: Counter[str] = Counter()
    for channel in {channel for channel, _ in asked.values()}:
        for one in answers(slack, channel):
            words = re.findall(r"\bm\d+\b", one["text"])
            times.update(words)
            said.setdefault((channel, one.get("thread_ts")), []).extend(words)
    found += [f"{word} is answered {times[word]} times" for word in asked if times[word] != 1]
    for place in set(asked.values()):
        wanted = [word for word, where in asked.items() if where == place]
        got = [word for word in said.get(place, []) if word in wanted]
        if sorted(got) == sorted(wanted) and got != wanted:
            found.append(f"out of order in {place}: {got}")
        if missing := set(wanted) - set(got):
            found.append(f"not answered in {place}: {sorted(missing)}")
    return found
