"""`pynchy sessions`: what is listed and shown, what a reset forgets, and what is written down."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from pynchy_cli import locks
from tests.conftest import Pynchy

KNOWN = """
INSERT INTO sessions(group_folder, lane, session_id, folder, owner, sandbox, output_offset,
  last_used_at) VALUES
  ('main', 'chat', 's-1', 's7-1', 7, 'pynchy-main', 120, '2026-01-31T08:00:00.000Z'),
  ('main', 'task:daily', 's-2', NULL, NULL, NULL, 0, '2026-01-31T09:00:00.000Z');
"""


def write(home: Path, script: str) -> None:
    db = sqlite3.connect(home / "data" / "messages.db")
    db.executescript(script)
    db.close()


def ask(home: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(home / "data" / "messages.db")
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def test_conversations_are_listed_with_their_sandboxes(pynchy: Pynchy, home: Path) -> None:
    assert pynchy("sessions", "list").stdout == ""
    write(home, KNOWN)
    lines = pynchy("sessions", "list").stdout.splitlines()
    chat, task = [json.loads(line) for line in lines]
    assert chat == {
        "group": "main",
        "lane": "chat",
        "session_id": "s-1",
        "generation": 0,
        "sandbox": "pynchy-main",
        "owner": 7,
        "owner_alive": False,
        "last_used_at": "2026-01-31T08:00:00.000Z",
    }
    assert (task["sandbox"], task["owner_alive"]) == (None, None)
    held = locks.take(home / "data/run/owner-7.lock")
    assert held is not None
    try:
        shown = json.loads(pynchy("sessions", "show", "main").stdout)
    finally:
        held.release(remove=True)
    assert shown == {
        **chat,
        "owner_alive": True,
        "folder": "s7-1",
        "output_offset": 120,
        "run_at_work": None,
        "run_waiting": None,
    }


def test_one_that_never_was_is_shown_for_the_chat_alone(pynchy: Pynchy, home: Path) -> None:
    pynchy("send", "main", "hello")
    pynchy("route", "--once")
    shown = json.loads(pynchy("sessions", "show", "main").stdout)
    assert (shown["session_id"], shown["run_waiting"]) == (None, 1)
    write(home, KNOWN)
    said = pynchy("sessions", "show", "main", "--lane", "x", code=1).stderr
    assert "Known: chat, task:daily." in said
    for verb in ("show", "reset", "export"):
        assert "Did you mean 'main'?" in pynchy("sessions", verb, "mian", code=1).stderr
    assert "'x'" in pynchy("sessions", "reset", "main", "--lane", "x", code=1).stderr


def test_a_reset_forgets_what_was_said_and_answers_what_waits(pynchy: Pynchy, home: Path) -> None:
    pynchy("groups", "add", "team")
    write(home, "INSERT INTO sessions(group_folder, lane, session_id) VALUES ('team','chat','s')")
    pynchy("send", "team", "@pynchy a question that waits")
    pynchy("send", "team", "read with the next")
    pynchy("route", "--once")
    pynchy("send", "team", "not routed yet")
    told = json.loads(pynchy("sessions", "reset", "team").stdout)
    assert told == {"ok": True, "group": "team", "lane": "chat", "generation": 1}
    pynchy("send", "team", "@pynchy the next")
    pynchy("route", "--once")
    assert ask(home, "SELECT session_id, generation FROM sessions") == [(None, 1)]
    # The one that waits takes all; what was said before it in no run is not among it.
    assert ask(home, "SELECT state, first_seq FROM runs") == [("queued", 1)]
    assert ask(home, "SELECT cleared_seq FROM chats WHERE jid = 'local:team'") == [(2,)]
    said = ask(home, "SELECT source, content FROM outbound_ledger")
    assert [(source, "Forgotten" in str(text)) for source, text in said] == [("host", True)]


def test_another_lane_is_forgotten_by_itself(pynchy: Pynchy, home: Path) -> None:
    write(home, KNOWN)
    pynchy("sessions", "reset", "main", "--lane", "task:daily")
    assert ask(home, "SELECT lane, session_id FROM sessions ORDER BY lane") == [
        ("chat", "s-1"),
        ("task:daily", None),
    ]
    assert ask(home, "SELECT * FROM outbound_ledger") == []


SAID = """
INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, received_at,
  message_type, audience) VALUES
  ('pynchy:1', 'local:main', 'pynchy', 'pynchy', 'Bash ls `x`' || char(10) || 'y', 'now',
   '2026-01-31T08:00:00.000Z', 'tool_use', 'chat'),
  ('pynchy:2', 'local:main', 'pynchy', 'pynchy', 'a secret thought', 'now',
   '2026-01-31T08:00:00.000Z', 'thinking', 'chat'),
  ('pynchy:3', 'local:main', 'pynchy', 'pynchy', 'Two *files*.', 'now',
   '2026-01-31T08:01:00.000Z', 'assistant', 'chat'),
  ('4', 'local:main', 'x', 'E*v*e', 'for the agent alone', 'now',
   '2026-01-31T08:01:00.000Z', 'system', 'agent');
"""


def test_what_was_said_is_written_down(pynchy: Pynchy, home: Path, tmp_path: Path) -> None:
    line = {"text": "list it\n\n# Forged \x1b[31m", "sender_name": "A*n*n", "sender": "owner"}
    pynchy("listen", "stdin", "--chat", "local:main", input=json.dumps(line))
    write(home, "UPDATE messages SET received_at = '2026-01-31T07:59:00.000Z'")
    write(home, SAID)
    for number in range(60):
        pynchy_row = f"('n{number}', 'local:main', 'owner', 'Ann', 'more {number}', 'now', "
        write(
            home,
            "INSERT INTO messages(id, chat_jid, sender, sender_name, content, timestamp, "
            f"received_at) VALUES {pynchy_row} '2026-01-31T08:02:00.000Z')",
        )
    text = pynchy("sessions", "export", "main").stdout
    title, _, body = text.partition("\n")
    assert title.startswith("# Main (main), until 20")
    assert body.startswith(
        "\n**A\\*n\\*n**, 2026-01-31 07:59\n\n> list it\n> \n> # Forged \\x1b[31m\n"
        "\n- tool: `Bash ls 'x' y`\n"
        "\n**pynchy**, 2026-01-31 08:01\n\n> Two *files*.\n"
    )
    assert text.count("> more ") == 60
    assert ("secret thought" in text, "agent alone" in text) == (False, False)
    file = tmp_path / "talk.md"
    pynchy("sessions", "export", "main", "-o", str(file))
    assert file.read_text().partition("\n")[2].strip() == body.strip()
    assert file.stat().st_mode & 0o077 == 0
    file.write_text("mine")
    done = pynchy("sessions", "export", "main", "-o", str(file), code=2)
    assert "not overwritten" in done.stderr
    assert file.read_text() == "mine"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    pynchy("sessions", "export", "main", "-o", str(link), code=2)
    assert not (tmp_path / "nowhere").exists()


def test_what_was_said_as_json(pynchy: Pynchy, home: Path, tmp_path: Path) -> None:
    pynchy("send", "main", "hello\x1b")
    write(home, SAID)
    lines = pynchy("sessions", "export", "main", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["type"] for row in rows] == ["user", "tool_use", "thinking", "assistant"]
    assert rows[0]["content"] == "hello\x1b"
    file = tmp_path / "talk.ndjson"
    pynchy("sessions", "export", "main", "--json", "-o", str(file))
    assert file.read_text().splitlines() == lines
    assert "nowhere" in pynchy("sessions", "export", "main", "-o", "/nowhere/x", code=1).stderr
