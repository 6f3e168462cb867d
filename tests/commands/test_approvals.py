"""`pynchy approvals`: what waits for a person, and what a yes or no at the shell does."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.store import approvals, audit, requests
from tests.conftest import Pynchy
from tests.pending import (
    ASKED_AT,
    LATER,
    PAYLOAD,
    SUMMARY,
    needs_answer,
    needs_yes,
    on_terminal,
    store_of,
)

ROW = {
    "id": "k7m2",
    "kind": "approval",
    "group": "main",
    "type": "register_group",
    "state": "pending",
    "asked_at": ASKED_AT,
    "expires_at": LATER,
    "summary": "folder: work jid: slack:C1",
    "decided_at": None,
    "decided_by": None,
    "reason": None,
}
QUESTION = ROW | {
    "id": "b3c4",
    "kind": "question",
    "type": "ask_user",
    "asked_at": "2026-01-31T08:01:00.000Z",
    "summary": "Which one? (red / blue) Why?",
}


def rows(text: str) -> list[dict[str, Any]]:
    """The rows that were listed, without how long each has still."""
    found = [json.loads(line) for line in text.splitlines()]
    for row in found:
        left = row.pop("seconds_left")
        assert (left is None) == (row["state"] != "pending")
        assert left is None or left > 10**9 or row["expires_at"] != LATER
    return found


def test_what_waits_is_listed(pynchy: Pynchy, home: Path) -> None:
    assert pynchy("approvals", "list").stdout == ""
    with closing(store_of(home)) as store:
        needs_yes(store, "k7m2")
        needs_answer(store, "b3c4")
    assert rows(pynchy("approvals", "list").stdout) == [ROW, QUESTION]
    pynchy("approvals", "deny", "k7m2", "no \x1b[1m")
    assert rows(pynchy("approvals", "list", "--json").stdout) == [QUESTION]
    denied, question = rows(pynchy("approvals", "list", "--all").stdout)
    assert question == QUESTION
    assert denied.pop("decided_at") > ASKED_AT
    settled = {"state": "denied", "decided_by": "owner (shell)", "reason": "no \x1b[1m"}
    assert denied | {"decided_at": None} == ROW | settled


def test_more_than_a_page_of_what_waits_is_listed(pynchy: Pynchy, home: Path) -> None:
    with closing(store_of(home)) as store:
        for number in range(250):
            needs_yes(store, f"id{number}", number)
    assert len(rows(pynchy("approvals", "list").stdout)) == 250
    assert rows(pynchy("approvals", "list", "--all").stdout)[-1]["id"] == "id249"


def test_a_table_on_a_terminal(pynchy: Pynchy, home: Path, environment: dict[str, str]) -> None:
    with closing(store_of(home)) as store:
        needs_yes(store, "k7m2", summary="register_group\n" + "a long text \u202e" * 30)
        needs_yes(store, "d8e9", 3, expires_at=ASKED_AT)
    code, (headers, *lines) = on_terminal(home, environment, "approvals", "list")
    assert code == 0
    assert " ".join(headers.split()) == "ID GROUP ASKS FOR ASKED STATE SECONDS LEFT WHAT"
    first, second = lines
    assert first.split()[:3] == ["k7m2", "main", "register_group"]
    assert (len(first), first[-1]) == (100, "…")
    assert "a long text \\u202ea" in first
    assert second.split()[6:] == ["0", "folder:", "work", "jid:", "slack:C1"]


def test_all_of_one_is_shown(pynchy: Pynchy, home: Path, environment: dict[str, str]) -> None:
    with closing(store_of(home)) as store:
        asked = needs_yes(store, "k7m2")
        needs_answer(store, "b3c4")
    shown = json.loads(pynchy("approvals", "show", " K7M2 ").stdout)
    assert shown.pop("seconds_left") > 10**9
    assert shown == ROW | {
        "request": asked.id,
        "chats": ["local:main", "slack:C9"],
        "approvers": ["owner"],
        "digest": requests.digest_of("register_group", PAYLOAD),
        "payload": PAYLOAD,
        "summary": SUMMARY,
    }
    question = json.loads(pynchy("approvals", "show", "b3c4", "--json").stdout)
    assert question["answers"] == {"1": "red"}
    assert question["summary"] == "Which one? (red / blue)\nWhy?"
    assert (question["chats"], question["approvers"]) == (["local:main"], [])
    code, lines = on_terminal(home, environment, "approvals", "show", "k7m2")
    assert code == 0
    assert {"id: k7m2", f"payload: {PAYLOAD}", "chats: local:main, slack:C9"} < set(lines)
    assert lines[-3:] == ["> register_group", "> folder: work", "> jid: slack:C1"]


def test_a_yes_accepts_the_request_and_is_noted(pynchy: Pynchy, home: Path) -> None:
    with closing(store_of(home)) as store:
        asked = needs_yes(store, "k7m2")
    done = pynchy("approvals", "approve", "k7m2")
    nobody = "That waits: ipc-watch is not running; `pynchy up` starts everything.\n"
    assert done.stderr == nobody
    assert json.loads(done.stdout) == {
        "ok": True,
        "id": "k7m2",
        "state": "approved",
        "group": "main",
        "type": "register_group",
        "decided_by": "owner (shell)",
    }
    with closing(store_of(home)) as store:
        found = requests.get(store.db, asked.id)
        assert found is not None
        assert (found.state, found.answer, found.payload) == ("accepted", None, PAYLOAD)
        (entry,) = audit.entries(store.db)
    assert (entry.kind, entry.decision, entry.who) == ("approval", "approved", "owner (shell)")
    assert (entry.request, entry.digest) == (asked.id, asked.digest)


def test_a_no_answers_the_agent_with_the_reason(
    pynchy: Pynchy, home: Path, environment: dict[str, str]
) -> None:
    with closing(store_of(home)) as store:
        asked = needs_yes(store, "k7m2")
    code, lines = on_terminal(home, environment, "approvals", "deny", "k7m2", "Not today.")
    assert (code, lines) == (0, ["Denied: register_group of main is not done."])
    with closing(store_of(home)) as store:
        found = requests.get(store.db, asked.id)
        (entry,) = audit.entries(store.db)
    assert found is not None
    assert found.state == "refused"
    assert json.loads(found.answer or "")["error"] == {
        "code": "denied",
        "message": "A person (owner (shell)) said no: Not today.",
    }
    assert (entry.decision, entry.reason) == ("denied", "Not today.")


def test_bytes_of_a_shell_that_are_no_text_do_no_harm(pynchy: Pynchy, home: Path) -> None:
    with closing(store_of(home)) as store:
        needs_yes(store, "k7m2")
    said = pynchy("approvals", "show", "\udcff", code=1).stderr
    assert said == "pynchy: Nothing was asked under '\\udcff'.\n"
    pynchy("approvals", "deny", "k7m2", "\udcff")
    with closing(store_of(home)) as store:
        assert approvals.get(store.db, "k7m2").reason == "?"


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_what_is_decided_or_expired_stays_so(pynchy: Pynchy, home: Path, verb: str) -> None:
    with closing(store_of(home)) as store:
        needs_yes(store, "k7m2")
        needs_yes(store, "d8e9", 3, expires_at="2026-01-31T09:00:00.000Z")
        needs_yes(store, "f2g3", 4, approvers=("slack:U1", "slack:U2"))
        needs_yes(store, "h4j5", 5, expires_at="2026-01-31T09:00:00.000Z")
        with store.atomic() as db:
            late = approvals.get(db, "h4j5")
            approvals.decide(db, late, "expired", "nobody", "2026-01-31T09:00:00.000Z")
        needs_answer(store, "b3c4", 6)
    pynchy("approvals", "approve", "k7m2")
    with closing(store_of(home)) as store:
        before = [approvals.all(store.db, pending=False), audit.head(store.db)]
    for id, code, error, words in (
        ("k7m2", 3, "approval_decided", "k7m2 was approved by owner (shell) at "),
        ("d8e9", 3, "approval_expired", "d8e9 expired at 2026-01-31T09:00:00.000Z"),
        ("h4j5", 3, "approval_expired", "h4j5 expired at 2026-01-31T09:00:00.000Z"),
        ("f2g3", 3, "approval_forbidden", "On f2g3 may decide: slack:U1, slack:U2."),
        ("b3c4", 1, "approval_unknown", "b3c4 is a question: it is answered in its chat"),
        ("f2g4", 1, "approval_unknown", "under 'f2g4'. Did you mean f2g3?"),
        ("zzzz", 1, "approval_unknown", "Nothing was asked under 'zzzz'."),
        ("", 1, "approval_unknown", "Nothing was asked under ''."),
    ):
        done = pynchy("approvals", verb, id, "--json", code=code)
        told = json.loads(done.stdout)
        assert (told["ok"], told["error"]["code"]) == (False, error)
        assert words in told["error"]["message"]
        assert done.stderr == f"pynchy: {told['error']['message']}\n"
    with closing(store_of(home)) as store:
        assert [approvals.all(store.db, pending=False), audit.head(store.db)] == before


@pytest.mark.parametrize("name", ["list", "show k7m2", "approve k7m2", "deny k7m2"])
def test_without_a_home_it_names_init(pynchy: Pynchy, tmp_path: Path, name: str) -> None:
    done = pynchy("approvals", *name.split(), "--json", code=100)
    assert json.loads(done.stdout)["error"]["code"] == "database_missing"
    assert "`pynchy init`" in done.stderr
    assert not (tmp_path / "home").exists()
    for wrong in ("show", "approve", "deny k7m2 no indeed"):
        pynchy("approvals", *wrong.split(), code=2)


def test_from_a_request_s_file_to_its_answer(pynchy: Pynchy, home: Path) -> None:
    """The same with the stage itself: asked, listed, approved or denied, carried out, answered."""
    (home / "config.toml").write_text('[groups.main]\ngate = ["add_todo"]\n')
    session = home / "data/ipc/main/s7-1"
    for name in ("requests", "responses"):
        (session / name).mkdir(parents=True)
    with closing(store_of(home)) as store, store.atomic() as db:
        db.execute(
            "INSERT INTO sessions(group_folder, lane, session_id, folder) VALUES"
            " ('main', 'chat', 's-1', 's7-1')"
        )
    for number, id in enumerate(("yes", "no", "late"), 1):
        said = json.dumps({"type": "add_todo", "content": f"Say {id}"})
        (session / f"requests/{number:08}-{id}.json").write_text(said)
    pynchy("ipc-watch", "--once")
    assert list((session / "requests").iterdir()) == []
    yes, no, late = rows(pynchy("approvals", "list").stdout)
    assert [one["summary"] for one in (yes, no, late)] == [
        *("Note a todo: Say yes", "Note a todo: Say no", "Note a todo: Say late")
    ]
    pynchy("approvals", "approve", yes["id"])
    pynchy("approvals", "deny", no["id"], "No.")
    with closing(store_of(home)) as store, store.atomic() as db:
        db.execute("UPDATE approvals SET expires_at = ? WHERE id = ?", (ASKED_AT, late["id"]))
    pynchy("ipc-watch", "--once")
    answers = {
        path.stem: json.loads(path.read_text()) for path in (session / "responses").iterdir()
    }
    assert answers["yes"]["ok"] is True
    assert [answers[id]["error"]["code"] for id in ("no", "late")] == ["denied", "expired"]
    with closing(store_of(home)) as store:
        assert [row[0] for row in store.db.execute("SELECT content FROM todos")] == ["Say yes"]
    decided = [json.loads(line) for line in pynchy("audit").stdout.splitlines()]
    assert [(one["kind"], one["decision"], one["who"]) for one in decided] == [
        *[("request", "gated", "admin:main")] * 3,
        ("approval", "approved", "owner (shell)"),
        ("approval", "denied", "owner (shell)"),
        ("approval", "expired", "nobody"),
    ]
    assert json.loads(pynchy("audit", "--verify").stdout)["ok"] is True
    told = json.loads(pynchy("status", code=4).stdout)
    assert told["requests"] == {"total": 3, "refused": 2, "failed": 0, "unreadable": 0} | {
        "waiting": 0,
        "errors": [],
    }
