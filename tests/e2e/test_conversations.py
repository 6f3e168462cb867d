"""What people may do with an agent that lives: the real Claude CLI in each runtime, real stages,
from a message's row to the reply's row. A sandbox is made for a test and serves all its steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.agent.trace import LOST
from pynchy_cli.agent.turn import STOPPED
from tests.anthropic_server import AnthropicServer
from tests.engine import BASE
from tests.process.test_run_agent import Pipeline, wait_for
from tests.unit.test_runbook import JID, QUERIES, ask

pytestmark = pytest.mark.timeout(300)  # Whoever comes first builds the image.
WAITING = "touch began; until [ -e go ]; do sleep 0.05; done; rm go began; echo gone"


def bash(command: str) -> str:
    return f"TOOL Bash {json.dumps({'command': command})}"


class Talk(Pipeline):
    """A home whose model is the test's own, and whose stages run."""

    def __init__(self, root: Path, environ: dict[str, str], server: AnthropicServer) -> None:
        super().__init__(root, environ)
        self.server = server
        self.folder = self.home / "groups/main"

    def send(self, text: str) -> None:
        self.run("send", "main", input=text)

    def say(self, text: str) -> str:
        """Say something; the next reply."""
        before = len(self.replies())
        self.send(text)
        wait_for(lambda: len(self.replies()) > before, f"the answer to {text}")
        return self.replies()[-1]

    def begin(self) -> None:
        """Ask for what goes on until there is a file `go`, and wait until it does."""
        self.send(bash(WAITING))
        wait_for((self.folder / "began").exists, "the tool")

    def tell(self, text: str) -> None:
        """Say something while the agent works, and wait until the client has it."""
        self.send(text)
        kept, last = self.home / "data/claude/main/projects", text.splitlines()[-1]
        wait_for(
            lambda: any(last in path.read_text() for path in kept.rglob("*.jsonl")),
            "the follow-up at the client",
        )

    def session(self) -> tuple[Any, ...]:
        """The conversation's name, and its sandbox's folder."""
        found: tuple[Any, ...] = self.rows("SELECT session_id, folder FROM sessions")[0]
        return found

    def runs(self) -> list[Any]:
        return self.rows("SELECT state FROM runs ORDER BY id")

    def told(self, number: int = -1) -> str:
        """What the model was asked, as text."""
        return self.server.texts(number)


@pytest.fixture(params=["bubblewrap", "docker"])
def talk(
    request: pytest.FixtureRequest, tmp_path: Path, environment: dict[str, str]
) -> Iterator[Talk]:
    """A home with a route and a gateway at work."""
    environ = {**environment, "PYNCHY_SANDBOX__RUNTIME": request.param}
    if request.param == "docker":
        environ |= {
            "DOCKER_HOST": request.getfixturevalue("engine").host,
            "PYNCHY_SANDBOX__BASE_IMAGE": BASE,
        }
    with AnthropicServer() as server:
        environ |= {"PYNCHY_GATEWAY__UPSTREAM": server.url, "ANTHROPIC_API_KEY": "sk-ant-canary"}
        made = Talk(tmp_path, environ, server)
        made.run("init", "--yes")
        try:
            made.start("route")
            made.start("gateway")
            yield made
        finally:
            for child in made.living:
                child.terminate()
            for child in made.living:
                child.wait(60)
            made.close()


def test_an_agent_is_told_more_is_stopped_and_is_continued_by_the_next(talk: Talk) -> None:
    worker = talk.start("run-agent", "claude")
    (talk.folder / "note.txt").write_text("the word is plinth")
    assert "the word is plinth" in talk.say(bash("cat note.txt"))
    warm = talk.session()

    # More is said during a tool: the same turn reads it as soon as that is done.
    talk.begin()
    asked, replies = len(talk.server.requests), len(talk.replies())
    talk.tell("my cat is called Minka")
    assert talk.runs() == ["done", "running", "superseded"]
    (talk.folder / "go").touch()
    wait_for(lambda: talk.runs() == ["done", "done", "superseded"], "the end of the turn")
    assert "Minka" not in talk.told(asked - 1)
    assert all(words in talk.told(asked) for words in ("Minka", '"content": "gone"'))
    assert len(talk.replies()) == replies + 1
    assert talk.rows("SELECT answered_seq FROM registered_groups") == talk.rows(
        "SELECT seq FROM messages WHERE content = 'my cat is called Minka'"
    )

    # It is stopped; the next turn knows the earlier ones, in the same sandbox.
    talk.begin()
    assert "goes on" in talk.run("stop", "main", "--wait", "60")
    assert talk.replies()[-1] == f"calling Bash\n\n{STOPPED}"
    assert talk.say("SAY and now?") == "and now?"
    assert all(words in talk.told() for words in ("Minka", "interrupted by user"))
    assert talk.session() == warm

    # Its worker goes, and the sandbox with it; the conversation goes on in another.
    worker.terminate()
    assert worker.wait(60) == 0
    talk.start("run-agent", "claude")
    assert talk.say("SAY well?") == "well?"
    assert "Minka" in talk.told()
    assert talk.session()[0] == warm[0]
    assert talk.session()[1] != warm[1]


def test_a_follow_up_may_interrupt_and_what_cant_be_resumed_begins_afresh(talk: Talk) -> None:
    worker = talk.start("run-agent", "claude", PYNCHY_DEFAULTS__FOLLOW_UP="interrupt")
    talk.say("my cat is called Minka")
    known = talk.session()
    talk.begin()
    talk.send("SAY no, that")
    wait_for(lambda: talk.runs() == ["done", "superseded", "done"], "the answer")
    assert talk.replies()[-2:] == ["calling Bash", "no, that"]
    assert all(words in talk.told() for words in ("Minka", "interrupted by user"))
    assert talk.session() == known

    worker.terminate()
    assert worker.wait(60) == 0
    shutil.rmtree(talk.home / "data/claude/main/projects")
    talk.start("run-agent", "claude")
    talk.say("SAY hello")
    wait_for(lambda: talk.replies()[-2:] == [LOST, "hello"], "the answer")
    assert "Minka" not in talk.told()
    assert talk.session()[0] not in (None, known[0])


def test_what_is_compacted_was_kept_in_the_group_s_folder_before(talk: Talk) -> None:
    talk.start("run-agent", "claude")
    talk.say("FULL of Minka")
    talk.say("SAY one too many")
    talk.begin()
    talk.tell("and the owl?")
    (talk.folder / "go").touch()
    wait_for(lambda: talk.runs()[-2] == "done", "the end of the turn")
    talk.say("FULL again")
    talk.say("SAY the last")
    assert "Minka" not in talk.told()
    first, second = sorted((talk.folder / "conversations").iterdir())
    assert first.name.endswith("-full-of-minka.md")
    assert second.name.endswith("-say-one-too-many.md")
    assert "FULL of Minka" in first.read_text()
    kept = [
        words
        for words in ("FULL of", "one too many", "and the owl?", "tool said", "FULL again")
        if words in second.read_text()
    ]
    assert kept == ["one too many", "and the owl?", "tool said", "FULL again"]
    assert talk.rows(
        "SELECT json_extract(payload, '$.subtype') FROM events WHERE event_type = 'notice'"
    ) == ["compact", "compact"]
    exported = talk.run("sessions", "export", "main")
    assert all(words in exported for words in ("Minka", "and the owl?", "the last"))


@pytest.mark.parametrize("talk", ["bubblewrap"], indirect=True)
def test_what_goes_wrong_is_said_and_the_next_is_answered(talk: Talk) -> None:
    talk.environ["PYNCHY_QUEUE__MAX_RETRIES"] = "0"
    sorry = "Sorry, I could not answer this: "
    worker = talk.start("run-agent", "claude", PYNCHY_SANDBOX__ACTIVITY_TIMEOUT="2")
    assert talk.say("HANG with Minka") == f"{sorry}the agent gave no sign of life for 2 s"
    worker.terminate()
    assert worker.wait(60) == 0
    talk.start("run-agent", "claude")
    ended = "calling Bash\n\nSorry, I could not finish this: The Claude client ended: "
    assert talk.say(bash("kill -9 $PPID")).startswith(ended)
    assert talk.say(f"TOOLS 50 {bash('echo plinth').removeprefix('TOOL ')}").endswith('"plinth"')
    kinds = talk.rows("SELECT event_type FROM events WHERE run_id = 3")
    assert (kinds.count("tool_use"), kinds.count("tool_result")) == (50, 50)
    assert "too large" in talk.say(bash("head -c 20000000 /dev/zero"))
    talk.begin()
    story = "once upon a time\n" * 65_000
    talk.tell(f"{story}and so on")
    (talk.folder / "go").touch()
    wait_for(lambda: talk.runs()[-2:] == ["done", "superseded"], "the answer")
    assert json.dumps(story)[1:-1] in talk.told()
    assert talk.say("SAY <internal>nothing new</internal> and now?") == "and now?"
    assert "Minka" in talk.told()


def test_the_queries_of_operators_show_what_an_agent_does(talk: Talk) -> None:
    talk.start("run-agent", "claude")
    talk.say("THINK what may it mean")
    talk.say(bash("echo plinth"))
    shown = {what: ask(talk.home, query) for what, query in QUERIES.items()}
    lines = [
        f"{JID}|owner|THINK what may it mean",
        f"{JID}|pynchy|what may it mean",
        f"{JID}|pynchy|thought",
        f"{JID}|owner|{bash('echo plinth')}",
        f"{JID}|pynchy|Bash echo plinth",
        f"{JID}|pynchy|plinth",
        f'{JID}|pynchy|tool said: "plinth"',
    ]
    told = shown["activity across all groups"].splitlines()
    assert [line.partition("|")[2] for line in reversed(told)] == lines
    kinds = ["user", "thinking", "assistant", "user", "tool_use", "tool_result", "assistant"]
    told = shown["what an agent is doing"].splitlines()
    assert [line.split("|")[1:] for line in reversed(told)] == [
        [kind, line.split("|", 2)[2]] for kind, line in zip(kinds, lines, strict=True)
    ]
    session, folder = talk.session()
    assert shown["active sessions"].startswith(f"main|chat|{session}|0|{folder}|")
    assert "|pynchy-main" in shown["active sessions"]
    told = shown["traces"].splitlines()
    assert [line.split("|")[1:5] for line in told] == [
        ["begun", "main", "1", JID],
        ["thinking", "main", "1", JID],
        ["begun", "main", "2", JID],
        ["text", "main", "2", JID],
        ["tool_use", "main", "2", JID],
        ["tool_result", "main", "2", JID],
    ]
    assert '"input": {"command": "echo plinth"}' in told[4]
