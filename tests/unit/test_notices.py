"""The admin group hears of a host job when it begins to fail and when it works again, and each time
when nobody knows what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.scheduling import notices
from pynchy_cli.store import jobs, timetable
from pynchy_cli.store.timetable import JOBS
from tests.clocks import START, Clocks, clocks, job


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clocks]:
    with clocks(tmp_path) as one:
        with one.store.atomic() as db:
            db.execute("UPDATE registered_groups SET is_admin = 1")
        one.add(job(START, "interval", "60", name="Backup"))
        yield one


def ended(made: Clocks, status: str, **facts: object) -> list[str]:
    """Have one more firing end so; what is said then."""
    made.now = clock.after(made.now, 60)
    with made.store.atomic() as db:
        number = timetable.fired(
            db, JOBS, "job-aaaaaa", due_at=made.now, status="waiting", now=made.now
        )
        assert number is not None
        jobs.end(db, number, status, made.now, **facts)  # type: ignore[arg-type]
        found = jobs.outcome(db, number)
        assert found is not None
        notices.tell(db, jobs.get(db, "job-aaaaaa"), found.firing, made.now)
    return made.rows("SELECT content FROM outbound_ledger WHERE key LIKE ?", f"job:{number}:%")


def test_it_is_said_once_that_a_job_fails_and_once_that_it_works_again(made: Clocks) -> None:
    assert ended(made, "done", exit_code=0) == []
    (said,) = ended(made, "failed", exit_code=3, output="copying\nno\x1b[31m space\n")
    assert said == (
        "⚠️ The host job job-aaaaaa (Backup) failed with exit code 3: no\\x1b[31m space."
        " `pynchy jobs log job-aaaaaa` tells more."
    )
    assert ended(made, "failed", exit_code=3) == []
    assert ended(made, "timeout", reason="took longer than 5 s") == []
    assert ended(made, "skipped", reason="the one before was not over yet") == []
    assert ended(made, "done", exit_code=0) == ["✅ The host job job-aaaaaa (Backup) works again."]
    assert ended(made, "done", exit_code=0) == []


def test_a_job_that_fails_at_once_is_told_of(made: Clocks) -> None:
    (said,) = ended(made, "timeout", reason="took longer than 5 s")
    assert "(Backup) took longer than 5 s." in said
    assert made.rows("SELECT DISTINCT chat_jid, source FROM outbound_ledger") == [
        ("local:team", "host")
    ]


@pytest.mark.parametrize(
    "facts",
    [{"reason": "It can't be started: Not a directory: /x."}, {"exit_code": 1, "output": "I'm X."}],
    ids=["reason", "output"],
)
def test_a_sentence_ends_once(made: Clocks, facts: dict[str, object]) -> None:
    (said,) = ended(made, "failed", **facts)
    assert ".." not in said


def test_whoever_cannot_know_says_so_each_time_and_how_to_begin_it_again(made: Clocks) -> None:
    ended(made, "failed", exit_code=1)
    for _ in range(2):
        (said,) = ended(made, "unknown", reason="interrupted")
        assert "not known" in said
        assert "`pynchy jobs run job-aaaaaa`" in said


def test_without_an_admin_group_nobody_is_told(made: Clocks) -> None:
    with made.store.atomic() as db:
        db.execute("UPDATE registered_groups SET is_admin = 0")
    assert ended(made, "failed", exit_code=1) == []
