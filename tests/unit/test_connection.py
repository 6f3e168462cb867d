"""The rules of a connection: what is committed is on the disk, and a change is one transaction,
from its first statement, that nobody else's statements get into."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pynchy_cli.store.connection import Store, connect
from pynchy_cli.store.migrate import migrate

FULL = 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    migrate(tmp_path / "messages.db")
    with Store.open(tmp_path / "messages.db") as opened:
        yield opened


def add(db: sqlite3.Connection, name: str) -> None:
    db.execute("INSERT INTO counters(name, value) VALUES (?, 1)", (name,))


def names(store: Store) -> set[str]:
    rows = store.db.execute("SELECT name FROM counters WHERE name LIKE 'test-%'")
    return {row[0] for row in rows}


def test_a_commit_is_on_the_disk_when_it_returns(store: Store) -> None:
    for opened in (store.db, connect(store.path)):
        asked = [
            opened.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
        assert asked == ["wal", FULL, 1]
    opened.close()


def test_what_fails_leaves_nothing_and_rings_nobody(store: Store) -> None:
    before = store.bell.last()
    with suppress(ZeroDivisionError), store.atomic() as db:
        add(db, "test-1")
        raise ZeroDivisionError
    assert names(store) == set()
    assert store.bell.last() == before
    with store.atomic() as db:
        add(db, "test-2")
    assert names(store) == {"test-2"}
    assert store.bell.last() == (before or 0) + 1


def test_nobody_gets_into_another_s_transaction(store: Store) -> None:
    """A task that commits while another is in the middle would keep what that takes back."""

    async def first(begun: asyncio.Event, go_on: asyncio.Event) -> None:
        with store.atomic() as db:  # what no code of ours does: to wait inside
            add(db, "test-first")
            begun.set()
            await go_on.wait()
            raise ZeroDivisionError

    async def both() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(first(begun, go_on))
        await begun.wait()
        with pytest.raises(RuntimeError, match="inside"), store.atomic() as db:
            add(db, "test-second")
        go_on.set()
        with pytest.raises(ZeroDivisionError):
            await task

    asyncio.run(both())
    assert names(store) == set()


def test_it_holds_the_write_lock_from_its_start(store: Store) -> None:
    other = sqlite3.connect(store.path, isolation_level=None, timeout=0)
    try:
        with store.atomic() as db:
            db.execute("SELECT count(*) FROM counters").fetchone()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    finally:
        other.close()
