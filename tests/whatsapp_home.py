"""A home that is a linked device of an account on a WhatsApp of the tests' own, and its stages as
processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.process.test_run_agent import Pipeline
from tests.whatsapp_server import OWNER, Control, WhatsAppProcess

SELF = f"whatsapp:{OWNER}@s.whatsapp.net"
"""The chat with oneself."""
KEPT = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CI")


class WhatsAppHome(Pipeline):
    """One home; its account is linked by a process of `pynchy auth`, once."""

    def __init__(self, root: Path, environ: dict[str, str], whatsapp: WhatsAppProcess) -> None:
        super().__init__(root, environ)
        self.whatsapp = whatsapp
        self.environ |= whatsapp.environ(self.environ)
        self.environ |= {"PYNCHY_QUEUE__MAX_RETRIES": "100", "PYNCHY_SANDBOX__STOP_GRACE": "0"}
        self.run("init", "--yes")

    def link(self) -> dict[str, Any]:
        """Link the account: its phone reads the first code; what `auth` says at the end."""
        child = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "pynchy_cli",
                "--home",
                str(self.home),
                "auth",
                "whatsapp",
            ],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.living.append(child)  # type: ignore[arg-type]
        assert child.stdout is not None
        watch = threading.Timer(90, child.kill)
        watch.start()
        said: list[dict[str, Any]] = []
        for line in child.stdout:
            is_first = not any("code" in one for one in said)
            said.append(json.loads(line))
            if is_first and "code" in said[-1]:
                self.whatsapp.scan(said[-1]["code"])
        code = child.wait()
        child.stdout.close()
        watch.cancel()
        assert child.stderr is not None
        assert code == 0, (said, child.stderr.read())
        return dict(said[-1])

    def listen(self, **env: str) -> subprocess.Popen[bytes]:
        """The channel's stage."""
        options = {"channel": "whatsapp"}
        asked = json.dumps({"home": str(self.home), "once": False, "options": options})
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "pynchy_cli.stage", "listen@whatsapp", asked],
            env={**self.environ, **env},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.living.append(child)
        return child

    def group(self, folder: str, chat: str, *options: str) -> None:
        """A group that answers everybody in a chat, whatever they say."""
        always = ("--trigger", "always", "--allow", "*")
        self.run("groups", "add", f"whatsapp:{chat}", "--folder", folder, *always, *options)

    def is_quiet(self) -> bool:
        """Whether nothing is under way, in the file."""
        return not self.rows(
            "SELECT 1 FROM runs WHERE state IN ('queued', 'running') UNION ALL"
            " SELECT 1 FROM outbound_deliveries WHERE state IN ('pending', 'sending')"
            " AND channel = 'whatsapp' UNION ALL"
            " SELECT 1 FROM registered_groups g JOIN messages m ON m.chat_jid = g.jid"
            " WHERE m.seq > g.routed_seq AND m.message_type = 'user' AND m.verdict = 'allowed'"
        )


@contextmanager
def linked(root: Path) -> Iterator[WhatsAppHome]:
    """A WhatsApp of its own and a home that is linked there; for a whole module's tests, since
    linking takes some seconds. All that was started is ended."""
    environ = {name: os.environ[name] for name in KEPT if name in os.environ}
    environ |= {"HOME": str(root), "PYNCHY_AGENT__CORE": "echo"}
    with WhatsAppProcess(root / "whatsapp") as whatsapp:
        home = WhatsAppHome(root, environ, whatsapp)
        try:
            home.link()
            yield home
        finally:
            home.close()


def words(whatsapp: Control, chat: str) -> Counter[str]:
    """How often each word such as m17 was sent to a chat."""
    found: Counter[str] = Counter()
    for one in whatsapp.outbound(chat):
        found.update(re.findall(r"\bm\d+\b", one["text"]))
    return found
