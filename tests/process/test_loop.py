"""The loop around a stage, in processes of their own: a small stage that copies numbers from
one counter to another shows signals, deadlines, failures, `--once` and the locks."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pynchy_cli import locks
from pynchy_cli.config.paths import Home
from pynchy_cli.store import failures, processes
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate

LIMIT = 30.0
NOW = "2026-01-31T08:00:00.000Z"

STAGE = '''
import asyncio, json, os, sys, time
from pathlib import Path
from pynchy_cli import clock, log, loop
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.store.counters import bump, read

class Copier:
    """Counts each unit of the counter `work` in the counter `done`; the trouble is asked for."""

    def __init__(self, context, trouble):
        self.context, self.trouble, self.busy, self.drains = context, trouble, False, 0
        self.spawned = False

    def drain(self):
        self.drains += 1
        store, trouble = self.context.store, self.trouble
        counts = {name: value for name, (value, _) in read(store.db).items()}
        if "report" in trouble:
            self.context.report(f"{counts.get('done', 0)} done")
        if "drain" in trouble and Path(trouble["drain"]).exists():
            raise ValueError("no way")
        if "slow" in trouble and counts.get("work", 0) > counts.get("done", 0):
            print("in hand", flush=True)
            time.sleep(1)
        if "task" in trouble and not self.spawned:
            self.spawned = self.busy = True
            self.context.spawn(self.task(), "long work")
        for number in range(counts.get("done", 0) + 1, counts.get("work", 0) + 1):
            subject = f"unit:{number}"
            if subject not in self.context.blocked():
                self.context.attempt(subject, lambda: self.step(number))
                return 1
            if "skip" not in trouble:
                return 0
        return 0

    def step(self, number):
        with self.context.store.atomic() as db:
            bump(db, "done", clock.now())
            poison = self.trouble.get("poison")
            if poison and Path(poison).exists() and Path(poison).read_text() == str(number):
                raise ValueError("this one is bad")

    async def task(self):
        await asyncio.sleep(self.trouble["task"])
        self.busy = False
        if "crash" in self.trouble:
            raise RuntimeError("the task broke")
        with self.context.store.atomic() as db:
            bump(db, "task", clock.now())

    def deadline(self):
        return 0.2 if "deadline" in self.trouble and self.drains < 3 else None

    def is_busy(self):
        return self.busy

    async def stop(self):
        print("stopping", flush=True)
        if "stop" in self.trouble:
            await asyncio.sleep(self.trouble["stop"])
        print(json.dumps({"drains": self.drains}), flush=True)

home, asked = Home(Path(sys.argv[1])), json.loads(sys.argv[2])
log.configure(Settings().log, "copy")
sys.exit(asyncio.run(loop.run("copy", lambda context: Copier(context, asked), home, Settings(),
    single=asked.get("single", False), once=asked.get("once", False))))
'''


class Copying:
    """One process of the stage; its sd_notify messages, output and home."""

    def __init__(self, home: Home, asked: dict[str, object]) -> None:
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(home.root / f"ear-{time.monotonic_ns()}"))
        self.ear.settimeout(LIMIT)
        self.process = subprocess.Popen(
            [sys.executable, "-c", STAGE, str(home.root), json.dumps(asked)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NOTIFY_SOCKET": self.ear.getsockname(), "WATCHDOG_USEC": "1000000"},
        )

    def hear(self, wanted: str) -> None:
        """Wait for a message to the supervisor."""
        while self.ear.recv(4096).decode() != wanted:
            pass

    def ended(self, *signals: int) -> tuple[int, str, str]:
        """Its exit code, output and errors, after sending it these signals."""
        for number in signals:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, err


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


def ask(home: Home, count: int) -> None:
    """Put more work into the counter, ringing the bell."""
    with Store.open(home.database) as store, store.atomic() as db:
        db.execute(
            "INSERT INTO counters VALUES ('work', ?1, NULL) "
            "ON CONFLICT(name) DO UPDATE SET value = value + ?1",
            (count,),
        )


def until(home: Home, sql: str, wanted: object) -> None:
    """Wait until a query's first value is the wanted one."""
    end = time.monotonic() + LIMIT
    with closing(sqlite3.connect(home.database)) as db:
        while (found := (db.execute(sql).fetchone() or (None,))[0]) != wanted:
            assert time.monotonic() < end, f"{sql} gives {found!r}, not {wanted!r}"
            time.sleep(0.02)


DONE = "SELECT value FROM counters WHERE name = 'done'"


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
