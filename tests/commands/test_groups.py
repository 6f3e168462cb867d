"""`pynchy groups`: what each prints, refuses and keeps."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Pynchy = Callable[..., subprocess.CompletedProcess[str]]


def listed(pynchy: Pynchy) -> list[dict[str, object]]:
    return [json.loads(line) for line in pynchy("groups", "list", "--json").stdout.splitlines()]


def test_a_group_lives_in_a_chat_of_its_own_by_default(home: Path, pynchy: Pynchy) -> None:
    added = json.loads(pynchy("groups", "add", "my-work").stdout)
    assert added.pop("added_at").endswith("Z")
    assert added == {
        "group": "my-work",
        "folder": "my-work",
        "name": "My work",
        "jid": "local:my-work",
        "is_admin": False,
        "trigger_mode": "mention",
        "trigger_pattern": None,
        "allowed_users": ["owner"],
        "number": 2,
        "routed_seq": 0,
        "answered_seq": 0,
        "chats": ["local:my-work"],
        "chat_names": {},
    }
    assert (home / "groups" / "my-work").is_dir()
    assert [row["folder"] for row in listed(pynchy)] == ["main", "my-work"]


def test_everything_about_a_group_can_be_said(home: Path, pynchy: Pynchy) -> None:
    pynchy(
        *("groups", "add", "work", "--chat", "slack:C1", "--admin", "--trigger", "always"),
        *("--pattern", "@jarvis", "--allow", "*", "--allow", "slack:U1", "--allow", "*"),
        *("--display-name", "Wörk"),
    )
    shown = json.loads(pynchy("groups", "show", "work").stdout)
    assert shown["path"] == str(home / "groups" / "work")
    assert shown["allowed_users"] == ["*", "slack:U1"]
    wanted = ("Wörk", "slack:C1", True, "always", "jarvis")
    names = ("name", "jid", "is_admin", "trigger_mode", "trigger_pattern")
    assert tuple(shown[name] for name in names) == wanted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "My Work"), "'my-work' would do"),
        (("add", "../x"), "can't be a group's name"),
        (("add", "main"), "There is a group 'main' already."),
        (("add", "x", "--chat", "local:main"), "belongs to the group 'main' already"),
        (("add", "x", "--chat", "nowhere"), "must be channel:name"),
        (("add", "x", "--trigger", "never"), "mention or always"),
        (("add", "x", "--pattern", "two words"), "one word"),
        (("add", "x", "--allow", "a b"), "--allow"),
        (("add", "x", "--display-name", "a\nb"), "one line"),
        (("add", "slack:C1"), "pynchy groups add slack:C1 --folder NAME"),
        (("add", "slack:C1", "--folder", "x", "--chat", "slack:C2"), "leave --chat slack:C2 out"),
        (("add", "x", "--folder", "y"), "--folder names the group of a chat"),
        (("link", "main", "nowhere"), "must be channel:name"),
        (("link", "main", "local:main"), "belongs to the group 'main' already."),
        (("unlink", "main", "local:main"), "first chat of 'main'"),
        (("unlink", "main", "slack:C1"), "does not live in slack:C1, but in local:main"),
        (("allow", "main", "a b"), "such as slack:U123"),
        (("allow", "main", "whatsapp:0151 23"), "'whatsapp:0151 23' is nobody: people on WhatsApp"),
        (("link", "main", "whatsapp:bob"), "'whatsapp:bob' is no chat on WhatsApp"),
        (("deny", "main", "slack:U9"), "main listens to owner."),
        (("add",), "Missing argument"),
        (("remove", "main"), "needs --yes"),
        (("lst",), "'list'"),
        ((), "Missing command"),
    ],
)
def test_what_cant_be_is_refused_in_a_sentence(
    home: Path, pynchy: Pynchy, arguments: tuple[str, ...], words: str
) -> None:
    done = pynchy("groups", *arguments, code=2)
    assert words in done.stderr
    assert done.stdout == ""
    assert sorted(path.name for path in (home / "groups").iterdir()) == ["main"]


def test_a_failure_is_json_where_json_was_asked_for(home: Path, pynchy: Pynchy) -> None:
    message = "There is no group 'mian'. Did you mean 'main'?"
    done = pynchy("groups", "show", "mian", "--json", code=1)
    assert json.loads(done.stdout) == {
        "ok": False,
        "error": {"code": "group_unknown", "message": message},
    }
    assert done.stderr == f"pynchy: {message}\n"
    done = pynchy("groups", "add", "--json", code=2)
    assert json.loads(done.stdout)["error"]["code"] == "usage_wrong"
    done = pynchy("groups", "show", "--", "--json", code=1)
    assert done.stdout == ""


def test_a_group_is_shown_in_words(home: Path, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "groups", "show", "main"]
    subprocess.run(command, stdout=theirs, env=environment, timeout=60, check=True)
    os.close(theirs)
    lines = os.read(ours, 65536).decode().splitlines()
    os.close(ours)
    assert {"is_admin: yes", "trigger_pattern: -", "allowed_users: owner"} <= set(lines)


def test_removing_keeps_the_folder_and_says_so(home: Path, pynchy: Pynchy) -> None:
    pynchy("groups", "add", "work")
    (home / "groups" / "work" / "notes").write_text("kept")
    done = pynchy("groups", "remove", "work", "--yes")
    assert f"{home / 'groups' / 'work'} is kept" in done.stderr
    assert (home / "groups" / "work" / "notes").read_text() == "kept"
    assert [row["folder"] for row in listed(pynchy)] == ["main"]
    assert json.loads(pynchy("groups", "add", "work").stdout)["number"] == 3


def test_a_group_at_work_is_not_removed(home: Path, pynchy: Pynchy) -> None:
    with sqlite3.connect(home / "data" / "messages.db") as db:
        db.execute(
            "INSERT INTO runs(group_folder, lane, kind, state, created_at) "
            "VALUES('main', 'chat', 'chat', 'running', '2026-01-31T08:00:00.000Z')"
        )
    db.close()
    done = pynchy("groups", "remove", "main", "--yes", code=1)
    assert "Run 1 of 'main' is at work" in done.stderr
    assert [row["folder"] for row in listed(pynchy)] == ["main"]


def test_a_damaged_page_is_said_in_a_sentence(home: Path, pynchy: Pynchy) -> None:
    path = home / "data" / "messages.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = db.execute("PRAGMA page_size").fetchone()[0]
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'registered_groups'")
        at = (page.fetchone()[0] - 1) * size
    db.close()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * size)
    done = pynchy("groups", "list", "--json", code=100)
    assert "damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "database_foreign"


def test_no_home_yet_says_what_to_do(pynchy: Pynchy) -> None:
    done = pynchy("groups", "list", code=100)
    assert "`pynchy init` makes it" in done.stderr


def test_a_group_is_made_of_a_chat_and_lives_in_several(home: Path, pynchy: Pynchy) -> None:
    done = pynchy("groups", "add", "slack:C1", "--folder", "dev")
    assert json.loads(done.stdout)["jid"] == "slack:C1"
    assert done.stderr == (
        "No channel slack is configured, so nothing comes from slack:C1 or gets there yet.\n"
    )
    owner = {"PYNCHY_CHANNELS__SLACK__WORK__OWNER": "U1"}
    done = pynchy("groups", "link", "dev", "slack:C2", env=owner)
    assert json.loads(done.stdout)["chats"] == ["slack:C1", "slack:C2"]
    assert done.stderr == ""
    done = pynchy("groups", "link", "main", "slack:C2", code=2)
    assert "`pynchy groups unlink dev slack:C2` frees it" in done.stderr
    with sqlite3.connect(home / "data/messages.db") as db:
        db.execute("UPDATE chats SET name = '#dev' WHERE jid = 'slack:C2'")
        found = db.execute("SELECT channel FROM chats WHERE jid LIKE 'slack%' ORDER BY jid")
        assert found.fetchall() == [("slack",), ("slack.work",)]
    done = pynchy("groups", "show", "dev")
    assert json.loads(done.stdout)["chat_names"] == {"slack:C2": "#dev"}
    done = pynchy("groups", "unlink", "dev", "slack:C2")
    assert json.loads(done.stdout)["chats"] == ["slack:C1"]
    done = pynchy("groups", "chats")
    assert [json.loads(line)["jid"] for line in done.stdout.splitlines()] == ["slack:C2"]
    done = pynchy("groups", "list")
    assert done.stderr == "1 chat belongs to no group: `pynchy groups chats` lists them.\n"


def test_chats_on_whatsapp_are_typed_as_numbers_are_written(home: Path, pynchy: Pynchy) -> None:
    done = pynchy("groups", "add", "whatsapp:+49 123 45", "--folder", "anna")
    assert json.loads(done.stdout)["jid"] == "whatsapp:4912345@s.whatsapp.net"
    pynchy("groups", "link", "anna", "whatsapp:(0049) 123 46")
    done = pynchy("groups", "unlink", "anna", "whatsapp:4912346")
    assert json.loads(done.stdout)["chats"] == ["whatsapp:4912345@s.whatsapp.net"]


def test_who_may_speak_is_changed(home: Path, pynchy: Pynchy) -> None:
    typed = ("slack:U2", "family", "slack:U2", "whatsapp:+49 123 45", "whatsapp:4912345")
    done = pynchy("groups", "allow", "main", *typed)
    allowed = ["owner", "slack:U2", "family", "whatsapp:4912345"]
    assert json.loads(done.stdout)["allowed_users"] == allowed
    assert "there is no list 'family'" in done.stderr
    done = pynchy("groups", "deny", "main", "family", "owner", "whatsapp:0049 12345")
    assert (json.loads(done.stdout)["allowed_users"], done.stderr) == (["slack:U2"], "")
    assert pynchy("send", "main", "hello", code=3).returncode == 3


def test_channels_are_asked_for_names_when_somebody_wants_it(home: Path, pynchy: Pynchy) -> None:
    assert json.loads(pynchy("groups", "sync").stdout) == {"channels": []}
    database = sqlite3.connect(home / "data" / "messages.db", isolation_level=None)
    database.execute(
        "INSERT INTO channel_cursors(channel, chat_jid, cursor_value, floor_value, updated_at)"
        " VALUES ('whatsapp', '', '2026', '2026', '2026'), ('slack', 'slack:C1', '5', '5', '2026')"
    )
    assert json.loads(pynchy("groups", "sync").stdout) == {"channels": ["whatsapp"]}
    left = database.execute("SELECT channel, cursor_value FROM channel_cursors ORDER BY channel")
    assert left.fetchall() == [("slack", "5"), ("whatsapp", "")]
    database.close()
