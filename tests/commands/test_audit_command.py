"""`pynchy audit`: what was decided, whether the log is whole, and taking old decisions away."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.store import audit
from tests.conftest import Pynchy
from tests.pending import on_terminal, store_of

FIRST = "2026-01-31T08:00:00.000Z"
ZEROS = "0" * 64


@pytest.fixture
def log(home: Path) -> Path:
    """A home with three decisions: an old one, one of work, and one of just now."""
    with closing(store_of(home)) as store, store.atomic() as db:
        audit.add(
            db,
            "request",
            "allowed",
            who="admin:main",
            subject="send_message",
            now=FIRST,
            group_folder="main",
            request=1,
            run_id=7,
            digest="d" * 64,
        )
        audit.add(
            db,
            "request",
            "forbidden",
            who="group:work",
            subject="deploy_changes",
            now=clock.after(FIRST, 60),
            group_folder="work",
            reason="This group may not\nask for \u202e it.",
            detail={"more": [1]},
        )
        audit.add(db, "shell", "allowed", who="owner", subject="!ls", now=clock.now())
    return home


def ids(text: str) -> list[int]:
    return [json.loads(line)["id"] for line in text.splitlines()]


def tamper(home: Path, *statements: str) -> None:
    with closing(sqlite3.connect(home / "data/messages.db")) as db, db:
        for name in ("audit_is_never_changed", "audit_is_never_cut"):
            db.execute(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            assert db.execute(statement).rowcount == 1


def test_decisions_are_listed(pynchy: Pynchy, log: Path) -> None:
    first, second, third = map(json.loads, pynchy("audit").stdout.splitlines())
    assert first == {
        "id": 1,
        "at": FIRST,
        "kind": "request",
        "decision": "allowed",
        "group": "main",
        "who": "admin:main",
        "subject": "send_message",
        "request": 1,
        "run": 7,
        "reason": None,
        "digest": "d" * 64,
        "detail": {},
        "previous": ZEROS,
        "hash": second["previous"],
    }
    assert (second["detail"], third["previous"]) == ({"more": [1]}, second["hash"])


def test_some_are_chosen(pynchy: Pynchy, log: Path) -> None:
    for arguments, found in (
        ("--group work", [2]),
        ("--group nobody", []),
        ("--since 2h", [3]),
        ("--since 2026-01-31T09:00:30+01:00", [2, 3]),
        ("--since 2026-01-01 -n 2", [2, 3]),
        ("-n 1 --json", [3]),
        ("-n 0", []),
        ("--since 9999-12-31", []),
    ):
        assert ids(pynchy("audit", *arguments.split()).stdout) == found
    assert pynchy("audit", "--group", "\udcff").stdout == ""
    with closing(store_of(log)) as store, store.atomic() as db:
        for _ in range(60):
            audit.add(db, "shell", "allowed", who="owner", subject="!ls", now=clock.now())
    assert len(ids(pynchy("audit").stdout)) == 50
    assert len(ids(pynchy("audit", "--since", "2026-01-01").stdout)) == 63


def test_a_table_on_a_terminal(log: Path, environment: dict[str, str]) -> None:
    code, lines = on_terminal(log, environment, "audit", "--group", "work", columns=150)
    assert code == 0
    assert [" ".join(line.split()) for line in lines] == [
        "ID AT GROUP WHO DECIDED ON DECISION REASON",
        "2 2026-01-31T08:01:00.000Z work group:work request: deploy_changes forbidden "
        "This group may not ask for \\u202e it.",
    ]


def test_a_chain_that_is_whole(pynchy: Pynchy, log: Path, environment: dict[str, str]) -> None:
    with closing(store_of(log)) as store:
        id, hash = audit.head(store.db)
    done = pynchy("audit", "--verify")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout) == {
        "ok": True,
        "rows": 3,
        "head": f"{id}:{hash}",
        "pruned_through": None,
        "faults": [],
    }
    assert on_terminal(log, environment, "audit", "--verify", "--head", f"3:{hash}") == (
        0,
        [f"The chain is whole: 3 rows, head 3:{hash}."],
    )


def test_nothing_decided_yet_is_whole_too(pynchy: Pynchy, home: Path) -> None:
    assert pynchy("audit").stdout == ""
    told = json.loads(pynchy("audit", "--verify").stdout)
    assert (told["ok"], told["rows"], told["head"]) == (True, 0, f"0:{ZEROS}")


def test_a_chain_that_was_tampered_with(
    pynchy: Pynchy, log: Path, environment: dict[str, str]
) -> None:
    tamper(
        log, "UPDATE audit SET decision = 'allowed' WHERE id = 2", "DELETE FROM audit WHERE id = 3"
    )
    told = json.loads(pynchy("audit", "--verify", code=1).stdout)
    assert (told["ok"], told["rows"]) == (False, 2)
    faults = [
        "Row 2 was changed.",
        "The newest row is 2, but row 3 was added: the end is missing.",
    ]
    assert told["faults"] == faults
    assert on_terminal(log, environment, "audit", "--verify") == (1, faults)
    # What can't be read is shown as it is.
    tamper(log, "UPDATE audit SET detail = '[' WHERE id = 1")
    assert json.loads(pynchy("audit").stdout.splitlines()[0])["detail"] == "["


def test_a_head_that_was_noted_shows_a_rewritten_chain(pynchy: Pynchy, log: Path) -> None:
    told = json.loads(pynchy("audit", "--verify").stdout)
    tamper(
        log,
        "DELETE FROM audit WHERE id = 3",
        "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'audit'",
    )
    assert json.loads(pynchy("audit", "--verify").stdout)["ok"] is True
    again = json.loads(pynchy("audit", "--head", told["head"], code=1).stdout)
    assert again["faults"] == ["There is no row 3: the log was cut, or rewritten."]


def test_pruning(pynchy: Pynchy, log: Path) -> None:
    first, *_ = map(json.loads, pynchy("audit").stdout.splitlines())
    assert json.loads(pynchy("audit", "prune", "--before", "2000-01-01").stdout)["pruned"] == 0
    done = json.loads(pynchy("audit", "prune", "--before", "1h", "--json").stdout)
    left = [json.loads(line) for line in pynchy("audit").stdout.splitlines()]
    assert done == {"ok": True, "pruned": 2, "head": f"4:{left[-1]['hash']}"}
    assert [one["id"] for one in left] == [3, 4]
    assert (left[1]["kind"], left[1]["who"]) == ("anchor", "owner (shell)")
    assert left[1]["detail"] == {"through": 2, "hash": left[0]["previous"]}
    told = json.loads(pynchy("audit", "--verify").stdout)
    assert (told["ok"], told["rows"], told["pruned_through"]) == (True, 2, 2)
    noted = pynchy("audit", "--verify", "--head", f"1:{first['hash']}", code=1)
    assert "was pruned" in json.loads(noted.stdout)["faults"][0]


@pytest.mark.parametrize(
    "arguments",
    [
        "--since yesterday",
        "--since 99999999d",
        "--since ''",
        "-n -1",
        "-n 99999999999999999999",
        "--head 1",
        "--head 1:xyz",
        "--head -1:" + ZEROS,
        "prune",
        "prune --before",
        "prune --before 5",
        "nonsense",
    ],
)
def test_what_can_t_be_is_said(pynchy: Pynchy, log: Path, arguments: str) -> None:
    given = [one.strip("'") for one in arguments.split()]
    done = pynchy("audit", *given, "--json", code=2)
    assert json.loads(done.stdout)["error"]["code"] == "usage_wrong"
    assert "Traceback" not in done.stderr
    assert ids(pynchy("audit").stdout) == [1, 2, 3]


@pytest.mark.parametrize("arguments", ["", "--verify", "prune --before 1d"])
def test_without_a_home_it_names_init(pynchy: Pynchy, tmp_path: Path, arguments: str) -> None:
    done = pynchy("audit", *arguments.split(), "--json", code=100)
    assert json.loads(done.stdout)["error"]["code"] == "database_missing"
    assert not (tmp_path / "home").exists()
