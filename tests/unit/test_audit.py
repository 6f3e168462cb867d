"""The audit log: what its chain shows, and what may be done to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.store import Store, audit
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.migrate import migrate

NOW = "2026-01-31T08:00:00.000Z"
TRIGGERS = ("audit_is_never_changed", "audit_is_never_cut", "audit_is_only_added_to")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    migrate(tmp_path / "messages.db")
    with Store.open(tmp_path / "messages.db") as store:
        yield store


def note(store: Store, *minutes: int) -> None:
    """A decision at each of these minutes after NOW."""
    for minute in minutes:
        with store.atomic() as db:
            audit.add(
                db,
                "request",
                "allowed",
                who="group:team",
                subject="send_message",
                now=clock.after(NOW, 60 * minute),
                group_folder="team",
                request=minute,
                run_id=7,
                reason="\N{SNOWMAN} 'quoted', \x00",
                digest="d" * 64,
                detail={"b": 1, "a": [None, "x"]},
            )


def prune(store: Store, minute: int) -> int:
    with store.atomic() as db:
        return audit.prune(db, clock.after(NOW, 60 * minute), clock.after(NOW, 6000), "owner")


def change(store: Store, *statements: str) -> None:
    """What somebody does to the file who has it, and takes the triggers away."""
    rows = store.db.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name in TRIGGERS:
        store.db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert store.db.execute(statement).rowcount != 0, statement
    for row in rows:
        store.db.execute(row[0])


def ids(db: Connection) -> list[int]:
    return [one.id for one in audit.entries(db)]


def test_decisions_make_a_chain(store: Store) -> None:
    assert audit.check(store.db) == audit.Chain(0, 0, audit.START, 0, ())
    note(store, 1, 2, 3)
    first, second, third = audit.entries(store.db)
    assert (first.id, first.previous, third.previous) == (1, audit.START, second.hash)
    assert (second.at, second.request, json.loads(second.detail)["a"]) == (
        "2026-01-31T08:02:00.000Z",
        2,
        [None, "x"],
    )
    assert audit.head(store.db) == (3, third.hash)
    assert audit.check(store.db) == audit.Chain(3, 3, third.hash, 0, ())


def test_entries_are_found_by_group_and_time(store: Store) -> None:
    note(store, 1, 2, 3, 4)
    with store.atomic() as db:
        audit.add(db, "shell", "allowed", who="owner", subject="!ls", now=clock.after(NOW, 150))
    assert [one.id for one in audit.entries(store.db, "team", clock.after(NOW, 120))] == [2, 3, 4]
    assert [one.id for one in audit.entries(store.db, limit=2)] == [4, 5]
    assert [one.id for one in audit.entries(store.db, "other")] == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET decision = 'denied' WHERE id = 2",
        "UPDATE OR REPLACE audit SET id = 3 WHERE id = 2",
        "DELETE FROM audit WHERE id = 3",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 2",
        "INSERT OR REPLACE INTO audit(id, at, kind, decision, who, subject, previous, hash)"
        " SELECT 9, at, kind, 'denied', who, subject, previous, hash FROM audit WHERE id = 2",
        "INSERT INTO audit(id, at, kind, decision, who, subject, previous, hash)"
        " SELECT -1, at, kind, decision, who, subject, previous, 'x' FROM audit WHERE id = 2",
        "INSERT INTO audit(at, kind, decision, who, subject, previous, hash)"
        " SELECT at, kind, decision, who, subject, previous, 'x' FROM audit WHERE id = 2",
    ],
)
def test_the_file_itself_refuses_all_but_adding(store: Store, statement: str) -> None:
    note(store, 1, 2, 3)
    before = list(audit.entries(store.db))
    with pytest.raises(sqlite3.IntegrityError, match="the audit log is only"):
        store.db.execute(statement)
    assert list(audit.entries(store.db)) == before


@pytest.mark.parametrize("column", [*audit.Entry.__dataclass_fields__])
@pytest.mark.parametrize("row", [1, 3, 5])
def test_a_change_of_anything_is_seen(store: Store, column: str, row: int) -> None:
    note(store, 1, 2, 3, 4, 5)
    value = {"id": "77", "request": "77", "run_id": "NULL", "group_folder": "NULL"}
    given = value.get(column, "'x'")
    change(store, f"UPDATE audit SET {column} = {given} WHERE id = {row}")
    assert audit.check(store.db).faults


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["DELETE FROM audit WHERE id = 1"], "Row 2 isn't the first: the beginning is missing"),
        (["DELETE FROM audit WHERE id = 3"], "Row 4 doesn't follow row 2"),
        (["DELETE FROM audit WHERE id = 5"], "The newest row is 4, but row 5 was added"),
        (["DELETE FROM audit"], "The newest row is 0, but row 5 was added"),
        (["DELETE FROM sqlite_sequence WHERE name = 'audit'"], "The newest row is 5, but row 0"),
        (["UPDATE sqlite_sequence SET seq = 'x' WHERE name = 'audit'"], "The newest row is 5"),
        (
            [
                "UPDATE audit SET id = 9 WHERE id = 2",
                "UPDATE audit SET id = 2 WHERE id = 3",
                "UPDATE audit SET id = 3 WHERE id = 9",
            ],
            "Row 2 doesn't follow row 1",
        ),
        (
            [
                "INSERT INTO audit(id, at, kind, decision, who, subject, previous, hash) SELECT"
                " 6, at, kind, decision, who, subject, hash, 'x' FROM audit WHERE id = 5"
            ],
            "Row 6 was changed",
        ),
        (
            ["UPDATE audit SET kind = 'anchor', detail = '[' WHERE id = 5"],
            "Row 5 was changed",
        ),
    ],
)
def test_what_was_taken_moved_or_put_in_is_seen(
    store: Store, statements: list[str], fault: str
) -> None:
    note(store, 1, 2, 3, 4, 5)
    change(store, *statements)
    assert any(fault in one for one in audit.check(store.db).faults)


def test_decisions_are_noted_whatever_became_of_the_log(store: Store) -> None:
    note(store, 1, 2)
    change(store, "UPDATE sqlite_sequence SET seq = 'x' WHERE name = 'audit'")
    note(store, 3)
    change(store, "DELETE FROM audit", "DELETE FROM sqlite_sequence WHERE name = 'audit'")
    note(store, 4)
    assert ids(store.db) == [1]


def test_an_end_that_was_cut_off_is_seen_though_more_is_added(store: Store) -> None:
    note(store, 1, 2, 3)
    change(store, "DELETE FROM audit WHERE id = 3")
    note(store, 4)
    assert ids(store.db) == [1, 2, 4]
    (fault,) = audit.check(store.db).faults
    assert "Row 4 doesn't follow row 2" in fault


def test_a_rewritten_chain_is_seen_by_a_head_that_was_noted(store: Store) -> None:
    note(store, 1, 2, 3)
    id, hash = audit.head(store.db)
    change(
        store,
        "DELETE FROM audit WHERE id > 1",
        "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'audit'",
    )
    assert audit.missing(store.db, id, hash) == "There is no row 3: the log was cut, or rewritten."
    note(store, 4, 5)
    assert audit.check(store.db).faults == ()
    assert "another than was noted" in str(audit.missing(store.db, id, hash))
    assert audit.missing(store.db, *audit.head(store.db)) is None
    assert audit.missing(store.db, 0, audit.START) is None


def test_pruning_leaves_an_anchor(store: Store) -> None:
    note(store, 1, 2, 3, 4, 5)
    heads = [(one.id, one.hash) for one in audit.entries(store.db)]
    assert prune(store, 3) == 2
    assert ids(store.db) == [3, 4, 5, 6]
    anchor = list(audit.entries(store.db))[-1]
    assert (anchor.kind, anchor.decision, anchor.who) == ("anchor", "pruned", "owner")
    assert json.loads(anchor.detail) == {"through": 2, "hash": heads[1][1]}
    chain = audit.check(store.db)
    assert (chain.rows, chain.id, chain.pruned_through, chain.faults) == (4, 6, 2, ())
    assert "can't be compared" in str(audit.missing(store.db, *heads[0]))
    assert "can't be compared" in str(audit.missing(store.db, 2, "x" * 64))
    assert [audit.missing(store.db, *one) for one in heads[1:]] == [None] * 4


def test_pruning_again_and_all(store: Store) -> None:
    note(store, 1, 2, 3, 4, 5)
    assert [prune(store, minute) for minute in (0, 3, 3, 4)] == [0, 2, 0, 1]
    assert (ids(store.db), audit.check(store.db).faults) == ([4, 5, 6, 7], ())
    assert prune(store, 100_000) == 4
    assert (ids(store.db), audit.check(store.db).faults) == ([8], ())
    assert prune(store, 100_000) == 0
    note(store, 6)
    assert (ids(store.db), audit.check(store.db).faults) == ([8, 9], ())
    assert audit.check(store.db).pruned_through == 7


def test_a_log_that_is_empty_has_nothing_to_prune(store: Store) -> None:
    assert prune(store, 100_000) == 0
    assert audit.check(store.db).faults == ()


@pytest.mark.parametrize("cut", ["id = 3", "id <= 3", "id = 4", "id = 6"])
def test_behind_an_anchor_no_more_is_hidden_than_it_says(store: Store, cut: str) -> None:
    note(store, 1, 2, 3, 4, 5)
    prune(store, 3)
    with pytest.raises(sqlite3.IntegrityError, match="only pruned behind an anchor"):
        store.db.execute(f"DELETE FROM audit WHERE {cut}")
    change(store, f"DELETE FROM audit WHERE {cut}")
    assert audit.check(store.db).faults


def test_an_anchor_that_tells_of_what_was_not_pruned_is_seen(store: Store) -> None:
    note(store, 1, 2, 3)
    _, second, _ = audit.entries(store.db)
    for through, hash in ((2, second.hash), (2, "x" * 64), (0, second.hash)):
        store.db.execute("SAVEPOINT before")
        detail = {"through": through, "hash": hash}
        audit.add(store.db, "anchor", "pruned", who="x", subject="audit", now=NOW, detail=detail)
        assert audit.check(store.db).faults
        store.db.execute("ROLLBACK TO before")
        store.db.execute("RELEASE before")


def test_a_check_beside_a_writer_sees_one_moment(store: Store) -> None:
    """Else a row that is added meanwhile would pass for one that is missing."""
    note(store, 1)
    with Store.open(store.path) as other:
        seen: list[str] = []
        store.db.set_trace_callback(
            lambda said: note(other, len(seen)) if not seen.append(said) else None
        )
        chain = audit.check(store.db)
        store.db.set_trace_callback(None)
    assert len(seen) >= 4
    assert chain.faults == ()
    assert audit.check(store.db).rows > chain.rows
