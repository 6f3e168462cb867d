"""Kill -9 of the stage that fires what is due: at every system call of it, and again and again
while hundreds of due times come. Each fires exactly once, and is due next when it should be."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pynchy_cli import clock, locks, recurrence
from pynchy_cli.model import Task
from pynchy_cli.store import jobs, tasks
from pynchy_cli.store.connection import Store
from tests.clocks import job, task
from tests.schedule_sweep import ScheduleSweep
from tests.stage_server import LIMIT, StageServer
from tests.sweep import Point

SEED = "PYNCHY_CHAOS_SEED"
PARTS = 2
"""The whole sweep is cut into so many tests, so that two processors share them."""
HOUR = 3600


class Sweep(ScheduleSweep):
    """Tasks and a host job, some of which are due."""

    def prepare(self) -> None:
        self.began = clock.now()
        past = clock.after(self.began, -HOUR - 30)
        often = recurrence.read("interval", "600", "UTC", past)
        with Store.open(self.data / "messages.db") as store, store.atomic() as db:
            for name, made in {
                "hourly": task(past, "interval", "1h"),
                "often": task(past, often.type, often.value),
                "left": task(past, "interval", "600", catch_up="skip"),
                "once": task(past, "once", clock.after(past, HOUR)),
                "talk": task(past, "interval", "1h", context_mode="group"),
                "later": task(self.began, "interval", "1h"),
            }.items():
                tasks.add(db, _named(made, name))
            jobs.add(db, job(past, "interval", "1h", id="job-plain", command="echo x >> ../done"))

    def problems(self, was_killed: bool) -> Iterator[str]:
        db = sqlite3.connect(self.data / "messages.db")
        try:
            yield from self._problems(db)
        finally:
            db.close()

    def _problems(self, db: sqlite3.Connection) -> Iterator[str]:
        fired = db.execute("SELECT task_id, status FROM task_run_logs ORDER BY task_id").fetchall()
        wanted = [("hourly", "fired"), ("left", "fired"), ("often", "fired"), ("once", "fired")]
        if fired != [*wanted, ("talk", "fired")]:
            yield f"fired: {fired}"
        runs = db.execute(
            "SELECT task, lane FROM runs WHERE kind = 'task' ORDER BY task"
        ).fetchall()
        lanes = [(name, f"task:{name}") for name, _ in wanted]
        if runs != [*lanes, ("talk", "chat")]:
            yield f"runs: {runs}"
        for id, status, due in db.execute("SELECT id, status, next_run FROM scheduled_tasks"):
            if id == "once":
                if (status, due) != ("completed", None):
                    yield f"once is {status}, due {due}"
            elif due is None or not 0 < clock.seconds_between(self.began, due) < HOUR + LIMIT:
                yield f"{id} is due at {due}"
        logged = db.execute("SELECT job_id FROM host_job_logs").fetchall()
        if logged != [("job-plain",)]:
            yield f"host jobs: {logged}"
        for row in (*db.execute("SELECT * FROM failures"), *db.execute("PRAGMA integrity_check")):
            if row != ("ok",):
                yield f"{row}"
        db.rollback()


def _named(made: Task, name: str) -> Task:
    return replace(made, id=name, group_folder="main")


@pytest.fixture
def sweep(home: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Sweep]:
    made = Sweep(home, environment, tmp_path / "sweep")
    try:
        yield made
    finally:
        made.close()


def spared(points: Sequence[Point]) -> int:
    return 1 + len(points) // 10


@pytest.mark.timeout(300)
def test_each_due_time_fires_once_wherever_the_stage_was_killed(sweep: Sweep) -> None:
    points = sweep.points()
    assert len(points) >= 40
    some = points[:: len(points) // 24]
    sweep.kill(some, spared(some))


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_at_every_point(sweep: Sweep, part: int) -> None:
    points = sweep.points()[part::PARTS]
    sweep.kill(points, spared(points))


PLANTS = {
    "        tasks.start(db, one, number, prompt(one, firing), now)\n    return status": (
        "        one.__dict__['late'] = (one, number, prompt(one, firing), now)\n    return status"
    ),
    "            timetable.advance(db, table, one.id, following, now)\n        told": (
        "            timetable.advance(db, table, one.id, following, now)\n"
        "        if (late := one.__dict__.get('late')) is not None:\n"
        "            with self.context.store.atomic() as db:\n"
        "                tasks.start(db, *late)\n"
        "        told"
    ),
}
"""What firing.py says, and what it is to say: a run is queued when its firing is noted already."""


@pytest.mark.timeout(300)
def test_a_planted_fault_is_found(home: Path, environment: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "planted"
    shutil.copytree(Path(tasks.__file__).parents[1], copy / "pynchy_cli")
    module = copy / "pynchy_cli/scheduling/firing.py"
    source = module.read_text()
    for sound, planted in PLANTS.items():
        assert source.count(sound) == 1
        source = source.replace(sound, planted)
    module.write_text(source)
    made = Sweep(home, {**environment, "PYTHONPATH": str(copy)}, tmp_path / "sweep")
    try:
        points = [one for one in made.points() if one.call == "fdatasync"]
        assert made.found == []
        for point in points:
            made.kill_at(point)
            if made.found:
                return
    finally:
        made.close()
    pytest.fail("a fault that loses a firing was not found")


def again_and_again(
    home: Path, environ: dict[str, str], root: Path, firings: int, kills: int
) -> None:
    """Have so many due times come, one after the other, while the stage is killed."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    chance = random.Random(seed)
    root.mkdir()
    environ = {**environ, "PYNCHY_LOG__LEVEL": "error"}
    begin, spread = clock.after(clock.now(), 1.0), kills * 0.12
    due = [clock.after(begin, spread * number / firings) for number in range(firings)]
    with Store.open(home / "data/messages.db") as store, store.atomic() as db:
        for number, moment in enumerate(due):
            past = clock.after(moment, -HOUR)
            tasks.add(db, _named(task(past, "interval", "1h"), f"t{number}"))
    lasting = json.dumps({"home": str(home), "once": False, "options": {}})
    with StageServer(root, environ) as server:
        for _ in range(kills):
            begun = server.start("schedule", lasting, "", environ)
            time.sleep(chance.random() * 0.3)
            os.kill(begun.pid, signal.SIGKILL)
            begun.end()
        while clock.now() <= due[-1]:
            time.sleep(0.1)
        ending = json.dumps({"home": str(home), "once": True, "options": {}})
        begun = server.start("schedule", ending, "", environ)
        assert begun.end() == 0, begun.errors
    db = sqlite3.connect(home / "data/messages.db")
    logged = dict(db.execute("SELECT task_id, due_at FROM task_run_logs"))
    runs = [row[0] for row in db.execute("SELECT task FROM runs WHERE kind = 'task'")]
    nexts = dict(db.execute("SELECT id, next_run FROM scheduled_tasks"))
    count = db.execute("SELECT count(*) FROM task_run_logs").fetchone()[0]
    db.close()
    assert count == firings
    assert logged == {f"t{number}": moment for number, moment in enumerate(due)}
    assert sorted(runs) == sorted(logged)
    assert nexts == {f"t{number}": clock.after(moment, HOUR) for number, moment in enumerate(due)}
    assert not locks.is_held(home / "data/run/schedule.lock")


@pytest.mark.timeout(300)
def test_two_hundred_due_times_fire_once_while_the_stage_is_killed_at_random(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    again_and_again(home, environment, tmp_path / "killed", firings=200, kills=20)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_so_it_is_with_thousands(home: Path, environment: dict[str, str], tmp_path: Path) -> None:
    again_and_again(home, environment, tmp_path / "killed", firings=4000, kills=300)
