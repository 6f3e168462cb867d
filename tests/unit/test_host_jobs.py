"""Whose commands are taken over, and what of them is killed: rows and real processes, without the
stage's loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pynchy_cli import clock, locks
from pynchy_cli.scheduling import leftovers
from pynchy_cli.scheduling.commands import Key
from pynchy_cli.store import jobs, processes, tasks, timetable
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.clocks import START, Clocks, clocks, job, task
from tests.host_jobs import lives

DEAD = 999_999


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Clocks]:
    with clocks(tmp_path) as one:
        yield one


@contextmanager
def sleeper(**environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own."""
    process = subprocess.Popen(["sleep", "1000"], env=environ, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def begun(made: Clocks, owner: int, pid: int | None = None, since: str | None = None) -> int:
    """A host job that somebody has begun; its firing's number."""
    made.add(job(START, "interval", "1h"))
    with made.store.atomic() as db:
        number = timetable.fired(db, JOBS, "job-aaaaaa", due_at=START, status="waiting", now=START)
        assert number is not None
        assert jobs.begin(db, number, owner, since or clock.now())
        if pid is not None:
            jobs.started(db, number, pid)
    return number


def status(made: Clocks) -> str:
    return str(made.rows("SELECT status FROM host_job_logs")[0])


def test_what_somebody_alive_has_begun_is_theirs(made: Clocks) -> None:
    home = made.stage.work.context.home
    number = begun(made, owner=DEAD)
    made.add(task(START, "interval", "1h"))
    with made.store.atomic() as db:
        check = timetable.fired(
            db, TASKS, "task-aaaaaa", due_at=START, status="checking", now=START
        )
        assert check is not None
        assert tasks.begin(db, check, DEAD)
    lock = locks.take(processes.owner_lock(home.locks, DEAD))
    assert lock is not None
    with sleeper(PYNCHY_JOB=Key("job", number).mark(home.root)) as process:
        assert made.stage.work.drain() == 0
        assert process.poll() is None
        assert status(made) == "running"
        lock.release()
        made.stage.work._take_over()
        assert process.wait(60) == -signal.SIGKILL
    assert status(made) == "unknown"
    assert tasks.checking(made.store.db, 1)[0][0].id == check


def test_what_we_have_begun_and_have_no_more_in_hand_is_settled(made: Clocks) -> None:
    begun(made, owner=made.stage.work.context.owner)
    assert made.stage.work.drain() == 1
    assert status(made) == "unknown"
    assert made.stage.work.drain() == 0


def test_a_process_id_that_is_another_s_by_now_is_left_alone(made: Clocks) -> None:
    with sleeper() as process:
        begun(made, DEAD, process.pid, since=clock.after(clock.now(), -60))
        assert made.stage.work.drain() == 1
        time.sleep(0.1)
        assert process.poll() is None


def test_a_leader_is_known_by_when_it_began(made: Clocks) -> None:
    """Without a mark: its environment was cleared."""
    with sleeper() as process:
        begun(made, DEAD, process.pid)
        assert made.stage.work.drain() == 1
        assert process.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("start", [1000.0, 0.0], ids=["later", "when the clock has no date yet"])
def test_only_those_that_were_noted_are_leaders(start: float) -> None:
    noted = {7: start}
    leader = leftovers.Process(7, 7, start + 1, frozenset())
    assert leftovers.leads(leader, noted)
    assert not leftovers.leads(replace(leader, start=start + 60), noted)
    assert not leftovers.leads(replace(leader, session=6), noted)
    assert not leftovers.leads(replace(leader, pid=8, session=8), noted)


def test_where_we_come_from_is_left_alone(made: Clocks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job may have started this very schedule."""
    mark = "job:1@/nowhere"
    monkeypatch.setenv(leftovers.MARK, mark)
    with sleeper(PYNCHY_JOB=mark) as process:
        assert leftovers.kill([mark], {os.getsid(0): clock.now()}) == 0
        assert process.poll() is None


def test_a_check_that_is_no_more_ours_starts_nothing(made: Clocks) -> None:
    made.add(task(START, "interval", "1h", condition="true"))
    with made.store.atomic() as db:
        timetable.fired(db, TASKS, "task-aaaaaa", due_at=START, status="checking", now=START)
    work = made.stage.work

    async def carry_out() -> None:
        assert work.drain() == 1
        with made.store.atomic() as db:
            db.execute("UPDATE task_run_logs SET owner = ?", (DEAD,))
        while work.is_busy():
            await work.context.woken.wait()
            work.context.woken.clear()
            work._note_ends()

    asyncio.run(asyncio.wait_for(carry_out(), 60))
    assert made.rows("SELECT status, owner FROM task_run_logs") == [("checking", DEAD)]
    assert made.rows("SELECT count(*) FROM runs") == [0]


def test_a_run_that_can_t_be_queued_is_tried_again_and_then_set_aside(made: Clocks) -> None:
    made.add(task(START, "interval", "1h", condition="true"))
    with made.store.atomic() as db:
        timetable.fired(db, TASKS, "task-aaaaaa", due_at=START, status="checking", now=START)
        db.execute(
            "CREATE TRIGGER no_run BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no run'); END"
        )
    work = made.stage.work

    async def carry_out() -> None:
        for _ in range(4):
            while (done := work.drain()) or work.is_busy():
                if not done:
                    await work.context.woken.wait()
                    work.context.woken.clear()
            with made.store.atomic() as db:
                db.execute("UPDATE failures SET retry_at = ? WHERE retry_at IS NOT NULL", (START,))

    asyncio.run(asyncio.wait_for(carry_out(), 60))
    assert made.rows("SELECT subject, state FROM failures") == [("task:task-aaaaaa", "set_aside")]
    assert made.rows("SELECT status, owner FROM task_run_logs") == [("checking", None)]
    assert made.rows("SELECT count(*) FROM runs") == [0]


def test_the_living_are_told_from_the_dead() -> None:
    with sleeper() as process:
        assert lives(process.pid)
    assert not lives(process.pid)
