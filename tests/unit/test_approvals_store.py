"""What waits for a person: its ids, which are typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.store import approvals
from tests.asking import Asking, asking


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    with asking(tmp_path) as made:
        yield made


def test_where_all_short_ids_are_used_up_a_longer_one_is_given(ask: Asking) -> None:
    """An agent may ask so often that they are."""
    letters, digits = approvals._LETTERS, approvals._DIGITS
    ids = ["".join(one) for one in product(letters, digits, letters, digits)]
    ask.store.db.execute("PRAGMA foreign_keys=OFF")
    with ask.store.atomic() as db:
        assert len(approvals.new_id(db, clock.now())) == 4
        db.executemany(
            "INSERT INTO approvals(id, request, group_folder, chats, summary, digest, approvers,"
            " asked_at, expires_at) VALUES (?, ?, '', '[]', '', '', '[]', '', '')",
            [(id, number) for number, id in enumerate(ids)],
        )
        found = approvals.new_id(db, clock.now())
    assert len(found) == 6
    assert approvals.SHAPE.fullmatch(found)
