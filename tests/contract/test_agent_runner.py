"""The agent as its host and a shell see it: documents in, records out, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agent_runner import protocol
from agent_runner.protocol import FollowUp, Record, RunInput, Started, Text, TurnEnded
from tests.agent_process import LIMIT, Agent, ended, first, records

CORE = '''
import asyncio, os, subprocess, sys
from agent_runner.protocol import Notice, Started, Text, TurnEnded

class Core:
    """Does what its prompt says, for the tests of what stands around a core."""
    session_id = "s-1"

    async def start(self, run, toolbox):
        if run.prompt == "no start":
            raise RuntimeError("it would not")

    async def turn(self, document):
        turn, prompt = document.turn, document.prompt
        yield Started(turn=turn)
        if prompt == "raise":
            yield Text(turn=turn, text="half an ")
            raise ValueError("it broke")
        if prompt == "nothing":
            return
        if prompt == "hang":
            child = subprocess.Popen(["sleep", "1000"])
            yield Notice(turn=turn, subtype="child", data={"pid": child.pid})
            yield Text(turn=turn, text="first ")
            yield Text(turn=turn, text="second")
            await asyncio.sleep(1000)
        if prompt == "noise":
            print("noise", flush=True)
        if prompt == "many":
            for number in range(1000):
                yield Text(turn=turn, text=f"{number} ")
            yield Notice(turn=turn, subtype="after")
        if prompt == "huge":
            yield TurnEnded(turn=turn, reply="\\ud800" + "x" * 3_000_000)
        if prompt == "error":
            yield TurnEnded(turn=turn, error="no answer today")
        yield TurnEnded(turn=turn, reply="done")

    async def stop(self):
        print("stopped", file=sys.stderr)
'''


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which a stranger's core, `odd`, is installed."""
    site = tmp_path / "site"
    (site / "odd-1.dist-info").mkdir(parents=True)
    (site / "odd.py").write_text(CORE)
    (site / "odd-1.dist-info" / "METADATA").write_text("Name: odd\nVersion: 1\n")
    (site / "odd-1.dist-info" / "entry_points.txt").write_text("[pynchy.cores]\nodd = odd:Core\n")
    return {**os.environ, "PYTHONPATH": str(site)}


Once = Callable[..., tuple[int, list[Record], str]]


@pytest.fixture
def once(environment: dict[str, str]) -> Once:
    """The form for a shell: exit code, records, standard error."""

    def run(given: bytes | RunInput, *options: str) -> tuple[int, list[Record], str]:
        data = given if isinstance(given, bytes) else protocol.write_document(given)
        command = [sys.executable, "-m", "agent_runner", *options]
        done = subprocess.run(
            command, input=data, capture_output=True, env=environment, timeout=LIMIT
        )
        return done.returncode, records(done.stdout), done.stderr.decode()

    return run


@pytest.fixture
def agent(tmp_path: Path, environment: dict[str, str]) -> Iterator[Agent]:
    with Agent(tmp_path / "ipc", environment) as agent:
        yield agent


def test_a_document_on_standard_input_is_answered(once: Once) -> None:
    code, found, error = once(first("Hello <you> & all", session_id="s-7", stay=True))
    assert (code, error) == (0, "")
    assert found == [
        Started(turn="1.1", session_id="s-7"),
        Text(turn="1.1", text="Hello <you> & all"),
        TurnEnded(
            turn="1.1", reply="Hello <you> & all", session_id="s-7", seconds=found[-1].seconds
        ),
    ]


def test_the_echo_of_a_transcript_is_what_was_said(once: Once) -> None:
    prompt = (
        '<messages>\n<message sender="A &gt; B" time="now">if a &lt; b &amp;amp; c</message>\n'
        '<message sender="Eve" time="now">line one\n&quot;line two&quot; &#x41;</message>\n'
        "</messages>"
    )
    _, found, _ = once(first(prompt))
    assert found[-1].reply == 'if a < b &amp; c\nline one\n"line two" A'


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"", "not a document"),
        (b"rubbish", "not a document"),
        (b"\xff\xfe", "not a document"),
        (b"[" * 100_000, "not a document"),
        (b'{"type":"run"}', "turn"),
        (b'{"type":"run","turn":"1","prompt":"p","admin":true}', "admin"),
        (b'{"type":"run","turn":"1","prompt":"p","version":2}', "version 2, not 1"),
        (b'{"type":"follow_up","turn":"1","prompt":"p"}', "must begin a run"),
    ],
)
def test_what_is_no_document_is_refused_in_a_sentence(once: Once, given: bytes, says: str) -> None:
    code, found, error = once(given)
    assert (code, found) == (2, [])
    assert error.startswith("agent_runner: ")
    assert says in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (first("raise", "odd"), "ValueError: it broke"),
        (first("no start", "odd"), "RuntimeError: it would not"),
        (first("nothing", "odd"), "without a result"),
        (first("error", "odd"), "no answer today"),
        (first("hello", "nonsense"), "no core named 'nonsense'. Known: claude, echo, odd."),
    ],
)
def test_a_failed_turn_ends_with_a_record_in_words(
    once: Once, document: RunInput, says: str
) -> None:
    code, found, error = once(document)
    assert code == 1
    ends = [record for record in found if isinstance(record, TurnEnded)]
    assert ends == found[-1:]
    assert says in str(ends[0].error)
    assert "Traceback" not in error


def test_the_text_before_a_failure_is_not_lost(once: Once) -> None:
    _, found, _ = once(first("raise", "odd"))
    assert [type(record) for record in found] == [Started, Text, TurnEnded]


def test_noise_on_standard_output_harms_no_record(once: Once) -> None:
    code, found, _ = once(first("noise", "odd"))
    assert code == 0
    assert found[-1].reply == "done"


def test_text_is_gathered_and_stands_before_what_follows_it(once: Once) -> None:
    _, found, _ = once(first("many", "odd"))
    texts = [record.text for record in found if isinstance(record, Text)]
    assert "".join(texts) == "".join(f"{number} " for number in range(1000))
    assert len(texts) < 100
    assert [type(record).__name__ for record in found[-2:]] == ["Notice", "TurnEnded"]


def test_a_huge_answer_is_cut_and_not_dropped(once: Once) -> None:
    _, found, _ = once(first("huge", "odd"))
    reply = found[-1].reply
    assert reply.startswith("\N{REPLACEMENT CHARACTER}xxx")
    assert reply.endswith("more characters]")
    assert 900_000 < len(reply) < protocol.RECORD_LIMIT


def test_records_go_to_a_file_where_asked(once: Once, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert once(first("one"), "--output", str(log))[:2] == (0, [])
    assert once(first("two"), "--output", str(log))[:2] == (0, [])
    ends = [r.reply for r in records(log.read_bytes()) if isinstance(r, TurnEnded)]
    assert ends == ["one", "two"]


def test_a_log_that_is_a_link_is_refused(once: Once, tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    assert once(first("one"), "--output", str(tmp_path / "log"))[0] == 2
    assert not (tmp_path / "elsewhere").exists()


def test_a_reader_that_goes_away_is_no_traceback(environment: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "agent_runner"],
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=subprocess.PIPE,
        env=environment,
    )
    os.close(write)
    _, error = process.communicate(protocol.write_document(first("hello")), LIMIT)
    assert process.returncode == 1
    assert b"can't be written: Broken pipe" in error
    assert b"Traceback" not in error


def test_turns_are_answered_in_their_order_on_one_conversation(agent: Agent) -> None:
    (agent.input / "2.json").write_bytes(
        protocol.write_document(FollowUp(turn="3.1", prompt="three"))
    )
    agent.tell(first("one", stay=True))
    end = agent.wait(TurnEnded, "1.1")
    agent.tell(FollowUp(turn="2.1", prompt="two"))
    agent.wait(TurnEnded, "3.1")
    assert agent.leave() == 0
    found = agent.records()
    assert [record.turn for record in found] == ["1.1"] * 3 + ["2.1"] * 3 + ["3.1"] * 3
    assert [r.reply for r in found if isinstance(r, TurnEnded)] == ["one", "two", "three"]
    assert {r.session_id for r in found if isinstance(r, Started)} == {end.session_id}


def test_an_agent_that_is_not_to_stay_leaves_after_its_turn(agent: Agent) -> None:
    agent.tell(first("one"))
    assert agent.end() == 0
    assert agent.records()[-1].reply == "one"


def test_the_first_turn_is_answered_even_if_it_is_to_leave_then(agent: Agent) -> None:
    (agent.input / protocol.CLOSE).touch()
    agent.tell(first("one", stay=True))
    assert agent.end() == 0
    assert agent.records()[-1].reply == "one"


def test_a_document_beside_the_request_to_leave_is_not_begun(agent: Agent) -> None:
    agent.tell(first("one", stay=True))
    agent.wait(TurnEnded, "1.1")
    (agent.input / ".draft").touch()
    os.kill(agent.process.pid, signal.SIGSTOP)
    (agent.input / protocol.CLOSE).touch()
    agent.tell(FollowUp(turn="2.1", prompt="two"))
    os.kill(agent.process.pid, signal.SIGCONT)
    assert agent.end() == 0
    assert {record.turn for record in agent.records()} == {"1.1"}


@pytest.mark.parametrize("given", [b"rubbish", protocol.write_document(first("again"))])
def test_a_later_document_that_is_none_ends_it_with_a_sentence(agent: Agent, given: bytes) -> None:
    agent.tell(first("one", stay=True))
    agent.wait(TurnEnded, "1.1")
    agent.tell(given)
    assert agent.end() == 2
    assert "1.json" in agent.stderr.read_text()


def test_a_broken_core_ends_the_agent_and_an_error_does_not(agent: Agent) -> None:
    agent.tell(first("error", "odd", stay=True))
    agent.wait(TurnEnded, "1.1")
    agent.tell(FollowUp(turn="2.1", prompt="raise"))
    assert agent.end() == 1
    errors = [r.error for r in agent.records() if isinstance(r, TurnEnded)]
    assert errors == ["no answer today", "ValueError: it broke"]
    assert "stopped" in agent.stderr.read_text()


@pytest.mark.parametrize("way", ["leash", "SIGTERM", "SIGINT"])
def test_it_leaves_at_once_and_takes_its_children_along(agent: Agent, way: str) -> None:
    agent.tell(first("hang", "odd", stay=True))
    agent.wait(Text, "1.1")
    child = psutil.Process(agent.wait(protocol.Notice).data["pid"])
    if way == "leash":
        agent.let_go()
    else:
        os.kill(agent.process.pid, signal.Signals[way])
    assert agent.end() == {"leash": 129, "SIGTERM": 143, "SIGINT": 130}[way]
    assert ended(child)
    if way != "leash":
        assert "".join(r.text for r in agent.records() if isinstance(r, Text)) == "first second"


def test_it_leaves_on_its_leash_before_there_is_anything_to_do(agent: Agent) -> None:
    agent.let_go()
    assert agent.end() == 129


def test_the_echo_core_loads_no_model_library() -> None:
    program = (
        "import sys; from agent_runner.main import main; code = main([])\n"
        "heavy = {'claude_agent_sdk', 'mcp', 'anyio', 'pydantic', 'aiohttp', 'pynchy_cli'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or code)"
    )
    data = protocol.write_document(first("hello"))
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_leaves_by_itself_when_nothing_comes_for_long(agent: Agent) -> None:
    agent.tell(first("hello", stay=True, idle=0.1))
    agent.wait(TurnEnded)
    assert agent.end() == 0
