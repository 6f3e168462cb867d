"""`pynchy send`, and `pynchy chat` in a pipe."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Pynchy


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Asks the file as a person would."""
    db = sqlite3.connect(home / "data" / "messages.db")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_what_is_sent_is_a_message_of_the_owner(pynchy: Pynchy, home: Path) -> None:
    done = pynchy("send", "main", "hello", input="not this")
    assert (done.stdout, done.stderr) == ("", "")
    assert rows(home, "SELECT chat_jid, sender, content, verdict FROM messages") == [
        ("local:main", "owner", "hello", "allowed")
    ]


@pytest.mark.parametrize("dash", [["-"], []])
def test_the_text_may_come_from_standard_input(pynchy: Pynchy, home: Path, dash: list[str]) -> None:
    pynchy("send", "main", *dash, input="one\ntwo\n")
    assert rows(home, "SELECT content FROM messages") == [("one\ntwo",)]


def test_a_long_text_and_a_hostile_one_are_stored(pynchy: Pynchy, home: Path) -> None:
    pynchy("send", "main", input="ä" * 1_000_000)
    assert rows(home, "SELECT length(content) FROM messages") == [(1_000_000,)]
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "send", "main"]
    subprocess.run([*command, b"\xff\xfe"], check=True, timeout=60)
    subprocess.run(command, input=b"a\0b\xff", check=True, timeout=60)
    found = rows(home, "SELECT content FROM messages ORDER BY seq")[1:]
    assert found == [("\ufffd\ufffd",), ("a\ufffdb\ufffd",)]


def test_json_says_what_was_stored(pynchy: Pynchy, home: Path) -> None:
    document = json.loads(pynchy("send", "main", "hello", "--json").stdout)
    assert document["ok"] is True
    message = document["message"]
    assert (message["seq"], message["chat"], message["content"]) == (1, "local:main", "hello")


def test_the_group_that_answers_only_to_its_name_is_explained(pynchy: Pynchy, home: Path) -> None:
    pynchy("groups", "add", "team")
    assert "@pynchy" in pynchy("send", "team", "hello").stderr
    for text in ("@pynchy hello", "end session"):
        assert pynchy("send", "team", text).stderr == ""


def test_what_cannot_be_sent(pynchy: Pynchy, home: Path) -> None:
    assert "main" in pynchy("send", "mian", "hello", code=1).stderr
    for empty in ("", " \n"):
        assert "empty" in pynchy("send", "main", empty, code=2).stderr
        assert "empty" in pynchy("send", "main", input=empty, code=2).stderr
    assert rows(home, "SELECT count(*) FROM messages") == [(0,)]
    pynchy("groups", "add", "team", "--allow", "ann")
    assert "does not listen" in pynchy("send", "team", "@pynchy hello", code=3).stderr


def test_waiting_says_what_is_missing_and_has_an_end(pynchy: Pynchy, home: Path) -> None:
    done = pynchy("send", "main", "hello", "--timeout", "0.2", code=1)
    assert "route and run-agent are not running" in done.stderr
    assert "stays stored" in done.stderr


ANSWERED = """
BEGIN IMMEDIATE;
UPDATE runs SET state = 'done' WHERE state = 'queued';
INSERT INTO outbound_ledger(key, chat_jid, group_folder, run_id, content, source, created_at)
SELECT 'run:' || id || ':0', chat_jid, group_folder, id, 'the ' || char(27) || '[31m answer',
  'agent', 'now' FROM runs;
INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at,
  is_from_me, message_type, audience)
SELECT 'pynchy:' || key, chat_jid, 'pynchy', 'pynchy', content, '2026-01-31T08:00:00.000Z',
  '2026-01-31T08:00:00.000Z', 1, 'assistant', 'chat' FROM outbound_ledger;
UPDATE counters SET value = value + 1 WHERE name = 'commits';
COMMIT;
"""


def begun(home: Path, *arguments: str, input: str = "") -> subprocess.Popen[str]:
    """A command that was started and has said something."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(input)
    process.stdin.close()
    process.stdin = None
    assert "not running" in process.stderr.readline()
    return process


def answer(pynchy: Pynchy, home: Path) -> None:
    """What route and run-agent would do."""
    pynchy("route", "--once")
    db = sqlite3.connect(home / "data" / "messages.db")
    db.executescript(ANSWERED)
    db.close()


def test_wait_prints_the_answer_without_its_control_characters(pynchy: Pynchy, home: Path) -> None:
    waiting = begun(home, "send", "main", "hello", "--wait")
    answer(pynchy, home)
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, "the \\x1b[31m answer\n")


def test_wait_as_json(pynchy: Pynchy, home: Path) -> None:
    waiting = begun(home, "send", "main", "hello", "--wait", "--json")
    answer(pynchy, home)
    out, _ = waiting.communicate(timeout=60)
    document = json.loads(out)
    assert (waiting.returncode, document["state"]) == (0, "answered")
    assert [one["content"] for one in document["replies"]] == ["the \x1b[31m answer"]


def test_chat_in_a_pipe_says_its_lines_and_prints_the_answers(pynchy: Pynchy, home: Path) -> None:
    talking = begun(home, "chat", input="one\n\ntwo\n")
    answer(pynchy, home)
    out, err = talking.communicate(timeout=60)
    assert (talking.returncode, out) == (0, "the \\x1b[31m answer\n"), err
    assert rows(home, "SELECT content FROM messages WHERE sender = 'owner'") == [
        ("one",),
        ("two",),
    ]


def test_chat_with_nobody(pynchy: Pynchy, home: Path) -> None:
    assert "main" in pynchy("chat", "mian", code=1).stderr
    assert pynchy("chat").stdout == ""
    pynchy("groups", "remove", "main", "--yes")
    assert "no group" in pynchy("chat", code=1).stderr
