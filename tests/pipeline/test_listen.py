"""What `listen stdin` makes of a pipe: several commands in a row on one file."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Pynchy

Start = Callable[..., subprocess.Popen[str]]


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Asks the file as a person would."""
    db = sqlite3.connect(home / "data" / "messages.db")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def until(home: Path, sql: str, expected: list[tuple[Any, ...]]) -> None:
    deadline = time.monotonic() + 60
    while (found := rows(home, sql)) != expected:
        assert time.monotonic() < deadline, f"{found} is not {expected}"
        time.sleep(0.02)


@pytest.fixture
def start(environment: dict[str, str], home: Path) -> Iterator[Start]:
    """Starts `pynchy` with pipes; ends what the test left."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pynchy_cli", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYNCHY_HOME": str(home)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def answered(home: Path, content: str) -> str:
    """SQL that ends the queued run with an answer, as run-agent would."""
    return f"""
    UPDATE runs SET state = 'done' WHERE state = 'queued';
    INSERT INTO outbound_ledger(key, chat_jid, group_folder, run_id, content, source, created_at)
    SELECT 'run:' || id || ':0', chat_jid, group_folder, id, '{content}', 'agent', 'now' FROM runs;
    UPDATE counters SET value = value + 1 WHERE name = 'commits';
    """


def test_each_line_is_a_message_and_a_repeat_is_none(pynchy: Pynchy, home: Path) -> None:
    said = '{"id": "1", "text": "a"}\n{"id": "1", "text": "a"}\n{"id": "2", "text": "b"}\n'
    for _ in range(2):
        done = pynchy("listen", "stdin", input=said)
        assert done.stdout == ""
    assert rows(home, "SELECT id, chat_jid, sender, content, verdict FROM messages") == [
        ("1", "local:main", "owner", "a", "allowed"),
        ("2", "local:main", "owner", "b", "allowed"),
    ]


def test_a_line_that_cannot_be_read_is_told_of_and_the_rest_goes_on(
    pynchy: Pynchy, home: Path
) -> None:
    said = '{"text": "a"}\n{"text":\n{"text": 5}\n\n{"text": "b"}\n'
    done = pynchy("listen", "stdin", input=said, code=1)
    assert rows(home, "SELECT content FROM messages") == [("a",), ("b",)]
    told = [line for line in done.stderr.splitlines() if line.startswith("stdin: ")]
    assert [line.split(" ")[:3] for line in told] == [
        ["stdin:", "line", "2"],
        ["stdin:", "line", "3"],
    ]


@pytest.mark.parametrize("option", ["--sender", "--chat"])
def test_nobody_becomes_the_owner_by_an_empty_option(
    pynchy: Pynchy, home: Path, option: str
) -> None:
    done = pynchy("listen", "stdin", option, "", input="hello\n", code=2)
    assert "is empty" in done.stderr
    assert "Traceback" not in done.stderr
    assert rows(home, "SELECT * FROM messages") == []


def test_chat_and_sender_are_chosen(pynchy: Pynchy, home: Path) -> None:
    pynchy("groups", "add", "team", "--allow", "ann")
    pynchy("listen", "stdin", "--chat", "team", "--sender", "ann", input="hello\n")
    done = pynchy("listen", "stdin", "--chat", "local:team", "--sender", "eve", input="hello\n")
    assert "may not speak" in done.stderr
    assert rows(home, "SELECT chat_jid, sender, verdict FROM messages") == [
        ("local:team", "ann", "allowed"),
        ("local:team", "eve", "refused"),
    ]


def test_what_cannot_be_is_said_in_a_sentence(pynchy: Pynchy, home: Path) -> None:
    assert "no group 'nowhere'" in pynchy(*LISTEN, "--chat", "nowhere", code=1).stderr
    assert "offers no channel" in pynchy("listen", "unsafe", code=100).stderr
    assert "No plugin" in pynchy("listen", "smoke", code=100).stderr
    assert "--timeout" in pynchy(*LISTEN, "--timeout", "-1", code=2).stderr


LISTEN = ("listen", "stdin")


def test_a_channel_without_tokens_says_so_once_and_ends(home: Path, start: Start) -> None:
    with (home / "config.toml").open("a") as config:
        config.write("\n[channels.slack.main]\n")
    process = start("listen", "slack")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 100
    assert (
        "The bot_token of the channel slack isn't set. `pynchy auth slack main` tells how." in said
    )
    assert (said.count("can't go on"), "Traceback" in said) == (1, False)


def test_a_plain_file_is_read_too(pynchy: Pynchy, home: Path, start: Start) -> None:
    said = home / "said"
    said.write_text("one\ntwo")
    with said.open() as file:
        subprocess.run(
            [sys.executable, "-m", "pynchy_cli", "--home", str(home), *LISTEN],
            stdin=file,
            check=True,
            timeout=60,
            capture_output=True,
        )
    assert rows(home, "SELECT content FROM messages") == [("one",), ("two",)]


def test_a_line_is_stored_before_the_next_is_there(home: Path, start: Start) -> None:
    listening = start(*LISTEN)
    assert listening.stdin is not None
    for number in range(3):
        listening.stdin.write(f"text {number}\n")
        listening.stdin.flush()
        until(home, "SELECT count(*) FROM messages", [(number + 1,)])
    listening.stdin.close()
    assert listening.wait(60) == 0


def test_it_stops_when_asked_and_has_stored_what_came(home: Path, start: Start) -> None:
    listening = start(*LISTEN)
    assert listening.stdin is not None
    listening.stdin.write("one\n")
    listening.stdin.flush()
    until(home, "SELECT count(*) FROM messages", [(1,)])
    listening.send_signal(signal.SIGTERM)
    assert listening.wait(60) == 0


def test_wait_prints_each_reply_once_and_ends(pynchy: Pynchy, home: Path, start: Start) -> None:
    pynchy("groups", "add", "team")
    listening = start(*LISTEN, "--wait")
    assert listening.stdin is not None
    for line in (
        {"id": "a", "text": "one"},
        {"id": "b", "text": "two"},
        {"id": "c", "text": "end session"},
        {"id": "d", "text": "nobody is asked", "chat": "local:team"},
        {"id": "e", "text": "a stranger's", "sender": "eve"},
        {"id": "f", "text": "to nobody", "chat": "local:nowhere"},
    ):
        listening.stdin.write(json.dumps(line) + "\n")
    listening.stdin.close()
    listening.stdin = None
    until(home, "SELECT count(*) FROM messages", [(6,)])
    pynchy("route", "--once")
    db = sqlite3.connect(home / "data" / "messages.db")
    db.executescript(answered(home, "the answer"))
    db.close()
    out, err = listening.communicate(timeout=60)
    assert listening.returncode == 0, err
    replies = [json.loads(line) for line in out.splitlines()]
    assert [(one["reply_to"], one["source"], one["run"]) for one in replies] == [
        (["c"], "host", None),
        (["a", "b"], "agent", 1),
    ]
    assert replies[1]["content"] == "the answer"
    for id, reason in (("d", "@"), ("e", "may not speak"), ("f", "no group")):
        (line,) = [one for one in err.splitlines() if one.startswith(f"Message {id} ")]
        assert reason in line


def test_waiting_again_for_the_same_message_prints_its_answer(pynchy: Pynchy, home: Path) -> None:
    said = '{"id": "a", "text": "one"}\n'
    pynchy(*LISTEN, input=said)
    pynchy("route", "--once")
    db = sqlite3.connect(home / "data" / "messages.db")
    db.executescript(answered(home, "the answer"))
    db.close()
    done = pynchy(*LISTEN, "--wait", input=said)
    assert json.loads(done.stdout)["content"] == "the answer"


def test_a_failed_run_ends_the_waiting_with_1(pynchy: Pynchy, home: Path) -> None:
    said = '{"id": "a", "text": "one"}\n'
    pynchy(*LISTEN, input=said)
    pynchy("route", "--once")
    db = sqlite3.connect(home / "data" / "messages.db")
    db.executescript(answered(home, "It failed.") + "UPDATE runs SET state = 'failed';")
    db.close()
    done = pynchy(*LISTEN, "--wait", input=said, code=1)
    assert json.loads(done.stdout)["content"] == "It failed."


def test_waiting_has_an_end(pynchy: Pynchy, home: Path) -> None:
    done = pynchy(*LISTEN, "--timeout", "0.2", input="one\n", code=1)
    assert "Not answered in time: 1 message" in done.stderr
    assert rows(home, "SELECT content FROM messages") == [("one",)]


def test_it_can_be_read_by_somebody_who_goes(pynchy: Pynchy, home: Path, start: Start) -> None:
    """A reader of the replies that leaves is no traceback."""
    pynchy(*LISTEN, input='{"id": "a", "text": "bye"}\n')
    pynchy("route", "--once")
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), *LISTEN, "--wait"],
        input='{"id": "a", "text": "bye"}\n',
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
