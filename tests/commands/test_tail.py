"""`pynchy tail`."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli.store import events
from pynchy_cli.store.connection import Store
from pynchy_cli.tui.lines import event_line
from tests.conftest import Pynchy

NOW = "2026-01-31T08:00:00.000Z"


@pytest.fixture
def said(pynchy: Pynchy, home: Path) -> Path:
    """A home in which five things were said in two groups."""
    pynchy("groups", "add", "team", "--allow", "*")
    for number in range(1, 4):
        pynchy("send", "main", f"text {number}")
    pynchy("listen", "stdin", "--chat", "team", "--sender", "ann", input="a\x1b[2Jb\none\\ntwo\n")
    return home


def contents(out: str) -> list[str]:
    return [json.loads(line)["content"] for line in out.splitlines()]


def test_it_shows_the_newest(pynchy: Pynchy, said: Path) -> None:
    everything = contents(pynchy("tail", "--json").stdout)
    assert everything == ["text 1", "text 2", "text 3", "a\x1b[2Jb", "one\\ntwo"]
    assert contents(pynchy("tail", "-n", "2").stdout) == everything[-2:]
    assert contents(pynchy("tail", "main", "-n", "2").stdout) == ["text 2", "text 3"]
    assert contents(pynchy("tail", "-n", "0").stdout) == []
    assert "main" in pynchy("tail", "mian", code=1).stderr


def test_a_row_of_json_says_everything(pynchy: Pynchy, said: Path) -> None:
    row = json.loads(pynchy("tail", "team", "-n", "1").stdout)
    del row["id"], row["timestamp"]
    assert row == {
        "seq": 5,
        "chat": "local:team",
        "sender": "ann",
        "sender_name": "ann",
        "content": "one\\ntwo",
        "type": "user",
        "verdict": "allowed",
        "run": None,
        "files": [],
    }


@pytest.fixture
def following(said: Path) -> Iterator[subprocess.Popen[str]]:
    """`tail -f` of everything, which has shown the last message already."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(said), "tail", "-f", "-n", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert contents(process.stdout.readline()) == ["one\\ntwo"]
    yield process
    process.kill()
    process.communicate()


def test_it_follows_and_leaves_quietly(pynchy: Pynchy, following: subprocess.Popen[str]) -> None:
    assert following.stdout is not None
    for text in ("one more", "another"):
        pynchy("send", "main", text)
        assert contents(following.stdout.readline()) == [text]
    following.send_signal(signal.SIGINT)
    out, err = following.communicate(timeout=60)
    assert (following.returncode, out, err) == (0, "", "")


def test_a_reader_that_goes_is_no_error(pynchy: Pynchy, following: subprocess.Popen[str]) -> None:
    assert following.stdout is not None
    following.stdout.close()
    pynchy("send", "main", "unheard")
    assert following.wait(60) == 0
    assert following.stderr is not None
    assert following.stderr.read() == ""
    following.stdout = None


def test_a_terminal_gets_lines_without_control_characters(said: Path) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "pynchy_cli", "--home", str(said), "tail", "-n", "2"],
        stdout=theirs,
        env={**os.environ, "TZ": "UTC"},
        check=True,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    first, second = shown.splitlines()
    assert first.endswith(" local:team ann: a\\x1b[2Jb")
    assert second.endswith(" local:team ann: one\\ntwo")
    assert "\x1b" not in shown


def test_the_trace_is_all_that_agents_do_in_its_place_among_what_is_said(
    pynchy: Pynchy, home: Path
) -> None:
    pynchy("groups", "add", "team")
    pynchy("send", "main", "hello")
    with Store.open(home / "data/messages.db") as store, store.atomic() as db:
        for number, group in enumerate(("main", "team", "main")):
            now = f"2001-01-01T00:00:0{number}.000Z"
            payload = {"name": f"T{number}", "input": {"command": "ls\x1b[2J"}}
            events.add(db, "tool_use", payload, now, group_folder=group, run_id=7)
            if group == "main":
                events.show(
                    *(db,),
                    key=f"{number}",
                    chat_jid="local:main",
                    kind="tool_use",
                    content="shown in the chat",
                    now=now,
                    run_id=7,
                )
    rows = [json.loads(line) for line in pynchy("tail", "--trace").stdout.splitlines()]
    assert [row.get("payload", {}).get("name", row.get("content")) for row in rows] == [
        *("T0", "T1", "T2", "hello")
    ]
    assert (rows[0]["group"], rows[0]["run"], rows[0]["event"]) == ("main", 7, 1)
    mine = pynchy("tail", "team", "--trace", "--limit", "5").stdout
    assert json.loads(mine)["payload"]["name"] == "T1"
    assert len(pynchy("tail", "main", "--trace", "-n", "2").stdout.splitlines()) == 2
    line = event_line(events.Event(1, "tool_use", "main", 7, None, NOW, json.dumps(payload)))
    assert line.endswith(' main run 7 > T2 {"command": "ls\\u001b[2J"}')
