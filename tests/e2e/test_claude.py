"""The whole pipeline with the real Claude CLI in the real sandbox, against a model that stands
at the door of the network: what it is asked, and what people get."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.anthropic_server import AnthropicServer
from tests.conftest import Pynchy

KEY = "sk-ant-api03-canary-of-the-tests"


class Talk:
    """One home whose model is the test's own."""

    def __init__(self, pynchy: Pynchy, home: Path, server: AnthropicServer) -> None:
        self.pynchy = pynchy
        self.home = home
        self.env = {
            "PYNCHY_AGENT__CORE": "claude",
            "PYNCHY_GATEWAY__UPSTREAM": server.url,
            "ANTHROPIC_API_KEY": KEY,
            "PYNCHY_QUEUE__MAX_RETRIES": "0",
        }

    def say(self, text: str) -> str:
        """Say something to the admin group; the last reply when all is done."""
        self.pynchy("send", "main", text, env=self.env)
        self.pynchy("route", "--once", env=self.env)
        self.pynchy("run-agent", "--once", env=self.env, code=None, timeout=100)
        return str(self.rows("SELECT content FROM outbound_ledger ORDER BY id")[-1][0])

    def rows(self, query: str) -> list[Any]:
        db = sqlite3.connect(self.home / "data/messages.db")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()


@pytest.fixture
def server() -> Any:
    with AnthropicServer() as made:
        yield made


def words(request: dict[str, Any]) -> str:
    return json.dumps(request["messages"])


def test_a_conversation_goes_on_in_a_new_sandbox(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    assert talk.say("my cat is called Minka") == "echo: my cat is called Minka"
    first = talk.rows("SELECT session_id FROM sessions WHERE lane = 'chat'")
    assert talk.say("and now?") == "echo: and now?"
    assert "Minka" in words(server.requests[-1])
    assert talk.rows("SELECT session_id FROM sessions WHERE lane = 'chat'") == first
    assert "You are called pynchy" in json.dumps(server.requests[-1]["system"])


def test_a_prompt_from_a_shell_is_answered_without_a_word_beside_it(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    done = pynchy("run-agent", "main", input="hello", env=talk.env, timeout=100)
    assert (done.stdout, done.stderr) == ("echo: hello\n", "")


def test_a_reset_conversation_starts_anew(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    talk.say("my cat is called Minka")
    pynchy("send", "main", "reset context", env=talk.env)
    pynchy("route", "--once", env=talk.env)
    assert talk.say("and now?") == "echo: and now?"
    assert "Minka" not in words(server.requests[-1])


def test_tools_work_in_the_sandbox_and_are_traced(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    (home / "groups/main/note.txt").write_text("the word is plinth")
    command = json.dumps({"command": "cat note.txt; env | grep -c canary; ls /root /home 2>&1"})
    said = talk.say(f"TOOL Bash {command}")
    assert "the word is plinth" in said
    assert KEY not in said
    kinds = [row[0] for row in talk.rows("SELECT event_type FROM events ORDER BY id")]
    assert kinds.index("tool_use") < kinds.index("tool_result")
    shown = talk.rows("SELECT content FROM messages WHERE message_type = 'tool_use'")
    assert "cat note.txt" in shown[0][0]


def test_the_real_key_reaches_the_model_and_nobody_else(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    said = talk.say('TOOL Bash {"command": "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null"}')
    assert server.headers[-1]["x-api-key"] == KEY
    assert KEY not in said
    for name in ("data/messages.db", "data/messages.db-wal"):
        if (home / name).exists():
            assert KEY.encode() not in (home / name).read_bytes()


def test_the_model_is_told_where_it_is_and_is_the_one_that_was_chosen(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    (home / "directives" / "base.md").write_text("Speak of beans only.\n", encoding="utf-8")
    talk = Talk(pynchy, home, server)
    talk.env |= {"PYNCHY_AGENT__NAME": "robin", "PYNCHY_AGENT__MODEL": "claude-of-choice"}
    talk.say("hello")
    request = server.requests[-1]
    assert request["model"] == "claude-of-choice"
    system = str(request["system"])
    assert "Speak of beans only." in system
    assert "# The admin group" in system
    assert "You are called robin. This group is called Main." in system


def test_a_wrong_key_is_said_in_words_and_not_tried_again(
    pynchy: Pynchy, home: Path, server: AnthropicServer
) -> None:
    talk = Talk(pynchy, home, server)
    talk.env["PYNCHY_QUEUE__MAX_RETRIES"] = "5"
    said = talk.say("ERR 401")
    assert said.startswith("Sorry, I could not answer this:")
    assert "key" in said
    assert KEY not in said
    assert talk.rows("SELECT state, attempts FROM runs") == [("failed", 1)]


def test_without_bubblewrap_messages_wait_and_the_reason_is_said(
    pynchy: Pynchy, home: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    pynchy("send", "main", "hello")
    pynchy("route", "--once")
    done = pynchy("run-agent", "--once", env={"PATH": str(bare)}, code=1)
    assert "bubblewrap" in done.stderr
    assert "Traceback" not in done.stderr
    db = sqlite3.connect(home / "data/messages.db")
    assert db.execute("SELECT state FROM runs").fetchall() == [("queued",)]
    db.close()
    pynchy("run-agent", "--once")
    db = sqlite3.connect(home / "data/messages.db")
    assert db.execute("SELECT content FROM outbound_ledger").fetchall() == [("hello",)]
    db.close()


@pytest.mark.parametrize("mode", ["anthropic", "rehearsal"])
def test_a_runtime_that_isolates_nothing_never_works_with_a_real_key(
    pynchy: Pynchy, home: Path, server: AnthropicServer, mode: str
) -> None:
    """Not even with one that isn't used: whoever may say "read .env" would be told it."""
    talk = Talk(pynchy, home, server)
    talk.env["PYNCHY_GATEWAY__MODE"] = mode
    talk.env["PYNCHY_SANDBOX__RUNTIME"] = "unsafe"
    pynchy("send", "main", "hello", env=talk.env)
    pynchy("route", "--once", env=talk.env)
    done = pynchy("run-agent", "--once", env=talk.env, code=1)
    assert "never works with a real key" in done.stderr
    assert talk.rows("SELECT state FROM runs") == [("queued",)]
    assert server.requests == []
