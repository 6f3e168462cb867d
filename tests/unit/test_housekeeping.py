"""`schedule` has the house kept once a day, by a child, and says so when that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.context import Context
from pynchy_cli.errand import Errand
from pynchy_cli.scheduling.housekeeping import COMMAND, EVERY, FIRST, Housekeeping
from pynchy_cli.store import findings
from tests.asking import Asking, asking
from tests.kept import NOW


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Asking]:
    with asking(tmp_path) as made:
        yield made


@pytest.fixture
def context(made: Asking) -> Context:
    made.context.once = False
    return made.context


def note(context: Context, at: str, state: findings.State = "ok", **result: str) -> None:
    with context.store.atomic() as db:
        findings.note(db, "prune", state, result, at)


def test_it_is_due_a_while_after_the_first_start_and_then_once_a_day(context: Context) -> None:
    made = Housekeeping(context)
    first = made.deadline(NOW)
    assert first is not None
    assert FIRST - 60 < first <= FIRST
    note(context, NOW)
    assert made.deadline(clock.after(NOW, 3600)) == EVERY - 3600
    assert made.drain(clock.after(NOW, 3600)) == 0
    assert made.deadline(clock.after(NOW, EVERY + 1)) == 0
    # A clock that was ahead keeps nobody waiting.
    assert made.deadline(clock.after(NOW, -1)) == 0


def test_what_failed_is_due_sooner(context: Context) -> None:
    note(context, NOW, "failed", message="no")
    made = Housekeeping(context)
    assert made.deadline(clock.after(NOW, 100)) == 800


def test_who_runs_once_keeps_no_house(context: Context) -> None:
    context.once = True
    made = Housekeeping(context)
    assert made.deadline(NOW) is None
    assert made.drain(clock.after(NOW, 9e9)) == 0


def test_the_child_does_it_and_notes_it(made: Asking, context: Context) -> None:
    errand = Errand(context, "prune", COMMAND, EVERY)

    async def work() -> None:
        assert errand.drain(NOW) == 1
        assert errand.drain(NOW) == 0, "one at a time"
        assert errand.deadline(NOW) is None
        await errand.ended()

    made.runner.run(work())
    found = findings.get(context.store.db, "prune")
    assert found is not None
    assert found.state == "ok"
    assert found.result["removed"]["events"] == 0


def test_a_child_that_fails_is_noted_with_its_own_words(made: Asking, context: Context) -> None:
    note(context, NOW, size="1")
    errand = Errand(context, "prune", ["prune", "--nonsense", "--json"], 10)

    async def work() -> None:
        assert errand.drain(clock.after(NOW, 20)) == 1
        await errand.ended()

    made.runner.run(work())
    found = findings.get(context.store.db, "prune")
    assert found is not None
    assert found.state == "failed"
    assert "--nonsense" in found.result["message"]
    assert found.result["last"] == {"size": "1"}
    # It isn't begun again at once, whatever the clock says.
    assert errand.drain(clock.after(clock.now(), 1e6)) == 0


def test_the_child_ends_when_its_stage_does(made: Asking, context: Context) -> None:
    errand = Errand(context, "prune", ["tail", "-f"], EVERY)

    async def work() -> None:
        assert errand.drain(NOW) == 1
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await errand.stop()

    made.runner.run(work())
    assert not errand.is_busy()
    assert findings.get(context.store.db, "prune") is None
