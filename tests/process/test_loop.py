"""The loop around a stage, in processes of their own: signals, deadlines, failures, `--once`
and the locks."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynchy_cli import locks
from pynchy_cli.config.paths import Home
from pynchy_cli.store import failures, processes
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.copying import DONE, Copying, ask, until


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """A home with a database and nothing else."""
    home = Home(tmp_path)
    migrate(home.database)
    return home


@pytest.fixture
def copying(place: Home) -> Iterator[Callable[..., Copying]]:
    """Starts processes of the stage; ends them all afterwards."""
    started: list[Copying] = []

    def start(**asked: object) -> Copying:
        started.append(Copying(place, asked))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
        one.ear.close()


def test_it_drains_sleeps_and_stops(place: Home, copying: Callable[..., Copying]) -> None:
    one = copying(report=True)
    one.hear("READY=1")
    ask(place, 3)
    until(place, DONE, 3)
    one.hear("STATUS=3 done")
    until(place, "SELECT report FROM processes", "3 done")
    with Store.open(place.database) as store:
        (row,) = processes.alive(store.db, place.locks)
        assert (row.stage, row.pid, row.lock) == ("copy", one.process.pid, "owner-1.lock")
    one.hear("WATCHDOG=1")
    code, out, _ = one.ended(signal.SIGTERM)
    assert code == 0
    one.hear("STOPPING=1")
    assert json.loads(out.splitlines()[-1])["drains"] < 20
    with Store.open(place.database) as store:
        assert processes.alive(store.db, place.locks) == []
        assert store.db.execute("SELECT ended_at FROM processes").fetchone()[0]
    assert not list(place.locks.glob("owner-*"))


def test_a_deadline_wakes_it(copying: Callable[..., Copying]) -> None:
    one = copying(deadline=True)
    one.hear("READY=1")
    time.sleep(1)
    _, out, _ = one.ended(signal.SIGINT)
    assert json.loads(out.splitlines()[-1])["drains"] >= 3


def test_a_deadline_that_can_not_be_told_does_not_end_it(
    place: Home, copying: Callable[..., Copying]
) -> None:
    one = copying(deadline_fails=True)
    one.hear("READY=1")
    ask(place, 1)
    until(place, DONE, 1)
    until(place, "SELECT error IS NULL FROM processes", 1)
    code, out, _ = one.ended(signal.SIGTERM)
    assert code == 0
    assert json.loads(out.splitlines()[-1])["drains"] >= 3


def test_a_signal_lets_the_step_in_hand_finish(
    place: Home, copying: Callable[..., Copying]
) -> None:
    ask(place, 5)
    one = copying(slow=True)
    assert one.process.stdout is not None
    assert one.process.stdout.readline() == "in hand\n"
    code, out, _ = one.ended(signal.SIGINT)
    assert code == 0
    assert out.startswith("stopping")
    until(place, DONE, 1)


def test_a_second_signal_stops_sooner(copying: Callable[..., Copying]) -> None:
    one = copying(stop=600)
    one.hear("READY=1")
    one.process.send_signal(signal.SIGTERM)
    assert one.process.stdout is not None
    assert one.process.stdout.readline() == "stopping\n"
    code, out, _ = one.ended(signal.SIGTERM)
    assert (code, out) == (0, "")


def test_once_does_what_is_due_and_returns(place: Home, copying: Callable[..., Copying]) -> None:
    ask(place, 4)
    code, _, err = copying(once=True, task=0.3).ended()
    assert (code, "Traceback" in err) == (0, False)
    until(place, DONE, 4)
    until(place, "SELECT value FROM counters WHERE name = 'task'", 1)


def test_once_says_that_something_failed(place: Home, copying: Callable[..., Copying]) -> None:
    poison = place.root / "poison"
    poison.write_text("1")
    ask(place, 1)
    assert copying(once=True, poison=str(poison)).ended()[0] == 1
    until(place, "SELECT state FROM failures", "retrying")
    assert copying(once=True, drain=str(poison)).ended()[0] == 1
    assert copying(once=True, task=0.1, crash=True).ended()[0] == 1
    until(
        place,
        "SELECT error FROM processes ORDER BY id DESC LIMIT 1",
        "long work: RuntimeError: the task broke",
    )


def test_a_poison_row_is_set_aside_and_brought_back(
    place: Home, copying: Callable[..., Copying]
) -> None:
    poison = place.root / "poison"
    poison.write_text("2")
    one = copying(poison=str(poison))
    ask(place, 3)
    until(place, "SELECT state FROM failures WHERE attempts = 3", "set_aside")
    with Store.open(place.database) as store:
        (failure,) = failures.all(store.db)
        assert (failure.stage, failure.subject) == ("copy", "unit:2")
        assert failure.error == "ValueError: this one is bad"
        assert store.db.execute(DONE).fetchone()[0] == 1, "what a failed step wrote is taken back"
        poison.unlink()
        with store.atomic() as db:
            assert failures.retry(db, "unit:2") == ["copy"]
    until(place, DONE, 3)
    code, _, err = one.ended(signal.SIGTERM)
    assert code == 0
    assert err.count('"step failed"') == 3


def test_a_retry_that_works_forgets_the_failure(
    place: Home, copying: Callable[..., Copying]
) -> None:
    poison = place.root / "poison"
    poison.write_text("1")
    copying(poison=str(poison))
    ask(place, 1)
    until(place, "SELECT state FROM failures", "retrying")
    poison.unlink()
    until(place, DONE, 1)
    until(place, "SELECT count(*) FROM failures", 0)


def test_an_error_in_drain_backs_off_shows_and_heals(
    place: Home, copying: Callable[..., Copying]
) -> None:
    trouble = place.root / "trouble"
    trouble.touch()
    ask(place, 1)
    one = copying(drain=str(trouble))
    until(place, "SELECT error FROM processes", "ValueError: no way")
    time.sleep(2)
    trouble.unlink()
    until(place, DONE, 1)
    until(place, "SELECT error FROM processes", None)
    code, out, err = one.ended(signal.SIGTERM)
    assert code == 0
    assert json.loads(out.splitlines()[-1])["drains"] < 20, "it must back off"
    assert err.count('"drain failed"') == 1
    assert err.count('"works again"') == 1


def test_a_second_single_stage_is_refused(place: Home, copying: Callable[..., Copying]) -> None:
    one = copying(single=True)
    one.hear("READY=1")
    code, _, err = copying(single=True).ended()
    assert code == 1
    assert "copy already runs" in err
    many = [copying() for _ in range(3)]
    for other in many:
        other.hear("READY=1")
    one.process.kill()
    one.process.wait()
    again = copying(single=True)
    again.hear("READY=1")


def test_who_tidies_the_folder_of_locks_makes_nobody_look_dead(
    place: Home, copying: Callable[..., Copying]
) -> None:
    """Else the others would take its work, and once more after each time that it gets some."""
    one = copying(single=True)
    one.hear("READY=1")
    names = sorted(path.name for path in place.locks.iterdir())
    assert names == ["copy.lock", "owner-1.lock"]
    for name in names:
        (place.locks / name).unlink()
    ask(place, 1)
    until(place, DONE, 1)
    assert [name for name in names if locks.is_held(place.locks / name)] == names
    assert "copy already runs" in copying(single=True).ended()[2]


def test_a_lock_that_another_has_meanwhile_ends_the_one_that_lost_it(
    place: Home, copying: Callable[..., Copying]
) -> None:
    one = copying(single=True)
    one.hear("READY=1")
    path = place.locks / "copy.lock"
    while (mine := locks.take(path)) is None:
        path.unlink(missing_ok=True)
    ask(place, 1)
    code, _, err = one.ended()
    mine.release()
    assert code == 1
    assert "was removed, and another process has it" in err
    assert "Traceback" not in err


def test_the_dead_are_swept_at_the_next_start(place: Home, copying: Callable[..., Copying]) -> None:
    one = copying()
    one.hear("READY=1")
    one.process.kill()
    one.process.wait()
    lock = place.locks / "owner-1.lock"
    assert lock.exists()
    assert not locks.is_held(lock)
    assert copying(once=True).ended()[0] == 0
    assert not lock.exists()
    until(place, "SELECT count(*) FROM processes WHERE ended_at IS NULL", 0)
