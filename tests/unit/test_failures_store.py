"""What a stage couldn't do waits for its retry, and never longer than that."""

from __future__ import annotations

from pathlib import Path

from pynchy_cli.store import failures
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate

NOW = "2026-01-31T08:00:00.000Z"
LATER = "2026-01-31T08:00:01.000Z"
YESTERDAY = "2026-01-30T08:00:00.000Z"


def test_a_clock_that_was_set_back_puts_no_retry_off(tmp_path: Path) -> None:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as store:
        with store.atomic() as db:
            failures.note(db, "route", "message:1", "no", NOW)
        assert failures.blocked(store.db, "route", NOW) == {"message:1"}
        assert failures.due(store.db, "route", NOW) == []
        assert failures.next_retry(store.db, "route", NOW) == LATER
        for now in (LATER, YESTERDAY):
            assert failures.blocked(store.db, "route", now) == set()
            assert failures.due(store.db, "route", now) == ["message:1"]
            assert failures.next_retry(store.db, "route", now) is None
