"""The queries that operators type work as they are written, on a fresh home's file and on one
in which something was said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

JID = "local:main"
QUERIES = {
    "what an agent is doing": (
        "SELECT timestamp, message_type, substr(content, 1, 120) FROM messages "
        f"WHERE chat_jid = '{JID}' ORDER BY timestamp DESC LIMIT 15;"
    ),
    "activity across all groups": (
        "SELECT timestamp, chat_jid, sender_name, substr(content, 1, 80) FROM messages "
        "ORDER BY timestamp DESC LIMIT 10;"
    ),
    "the groups": "SELECT name, folder, is_admin FROM registered_groups;",
    "active sessions": "SELECT * FROM sessions;",
    "active tasks": (
        "SELECT id, group_folder, status, next_run FROM scheduled_tasks WHERE status = 'active';"
    ),
    "traces": "SELECT * FROM events;",
    "replies": "SELECT * FROM outbound_ledger;",
}


def ask(home: Path, query: str) -> str:
    """As typed: in the home, with the sqlite3 command."""
    if shutil.which("sqlite3") is None and "CI" not in os.environ:
        pytest.skip("the sqlite3 command is not installed")
    done = subprocess.run(
        ["sqlite3", "data/messages.db", query], cwd=home, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_query_works_on_a_fresh_home(home: Path) -> None:
    answers = {what: ask(home, query) for what, query in QUERIES.items()}
    assert answers.pop("the groups") == "Main|main|1\n"
    assert set(answers.values()) == {""}


def test_what_was_said_shows(home: Path, pynchy: Any) -> None:
    pynchy("send", "main", "The beans are up.")
    last = ask(home, QUERIES["what an agent is doing"])
    assert last.endswith("Z|user|The beans are up.\n")
    assert ask(home, QUERIES["activity across all groups"]).split("|")[1:] == [
        *(JID, "owner", "The beans are up.\n")
    ]


def test_they_work_beside_a_writer(home: Path, pynchy: Any) -> None:
    writer = subprocess.Popen(
        ["sqlite3", str(home / "data/messages.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        writer.stdin.write("BEGIN IMMEDIATE; SELECT 'begun';\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "begun\n"
        assert ask(home, QUERIES["the groups"]) == "Main|main|1\n"
    finally:
        writer.communicate("ROLLBACK;\n", timeout=60)
