"""Kill -9 of the stage that runs host jobs and conditions, at every system call of it: each job is
begun once at most, each condition that holds makes one run, and every row is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pynchy_cli.store import jobs
from tests.host_jobs import Host
from tests.planted import plant
from tests.schedule_sweep import ScheduleSweep
from tests.sweep import Point

PARTS = 2
"""The whole sweep is cut into so many tests, so that two processors share them."""
ENDS = {"first": "done", "second": "done", "fails": "failed", "late": "timeout"}


class Sweep(ScheduleSweep):
    """Jobs and conditions that wait."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host = host
        super().__init__(host.home.root, host.environ, root)

    def prepare(self) -> None:
        self.host.job("first", "echo first >> lines")
        self.host.job("second", "echo second >> lines; sleep 0.1; echo said")
        self.host.job("fails", "echo fails >> lines; exit 3")
        self.host.job("late", "echo late >> lines; sleep 1000", limit=0.1)
        self.host.check("holds", "echo holds >> lines")
        self.host.check("not", "echo not >> lines; exit 1")
        self.host.store.close()

    def restore(self) -> None:
        super().restore()
        (self.home / "lines").unlink(missing_ok=True)

    def problems(self, was_killed: bool) -> Iterator[str]:
        self.host.reopen()
        yield from self._jobs(len(ENDS) if was_killed else 0)
        yield from self._conditions()
        yield from self._broken()
        self.host.store.close()

    def _jobs(self, most: int) -> Iterator[str]:
        times, unknown = self._lines(), 0
        for id, ends in ENDS.items():
            last = jobs.outcomes(self.host.store.db, id, 9)
            status = last[0].firing.status
            if len(last) != 1 or status not in (ends, "unknown") or not last[0].finished_at:
                yield f"{id}: {last}"
            unknown += status == "unknown"
            if times[id] > 1 or (status == ends and times[id] != 1):
                yield f"{id} is {status}, and was begun {times[id]} times"
        if unknown > most:
            yield f"{unknown} are unknown"

    def _conditions(self) -> Iterator[str]:
        rows = "SELECT task_id, status FROM task_run_logs ORDER BY id"
        if (found := self.host.rows(rows)) != [("holds", "fired"), ("not", "skipped")]:
            yield f"conditions: {found}"
        if (found := self.host.rows("SELECT task, state FROM runs")) != [("holds", "queued")]:
            yield f"runs: {found}"
        if not self._lines()["holds"]:
            yield "a condition was not checked"

    def _broken(self) -> Iterator[str]:
        for row in self.host.rows("SELECT subject, error FROM failures"):
            yield f"failure: {row}"
        if self.host.rows("PRAGMA integrity_check") != ["ok"]:
            yield "the database is broken"

    def _lines(self) -> Counter[str]:
        place = self.home / "lines"
        return Counter(place.read_text().splitlines() if place.exists() else [])

    def close(self) -> None:
        super().close()
        self.host.close()


@pytest.fixture
def sweep(home: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Sweep]:
    made = Sweep(Host(home, environment), tmp_path / "sweep")
    try:
        yield made
    finally:
        made.close()


def spared(points: Sequence[Point]) -> int:
    """How often the stage wakes while commands end differs."""
    return 2 + len(points) // 4


@pytest.mark.timeout(300)
def test_each_job_is_begun_once_wherever_the_stage_was_killed(sweep: Sweep) -> None:
    points = sweep.points()
    assert len(points) >= 40
    some = points[:: len(points) // 20]
    sweep.kill(some, spared(some))


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_at_every_point(sweep: Sweep, part: int) -> None:
    points = sweep.points()[part::PARTS]
    sweep.kill(points, spared(points))


@pytest.mark.timeout(300)
def test_a_job_that_is_begun_again_is_found(
    home: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """A fault that is planted, so that the sweep is known to see one: what a dead stage has begun
    is begun again."""
    copy = tmp_path / "planted"
    plant(copy)
    module = copy / "pynchy_cli/scheduling/work.py"
    source = module.read_text()
    sound = 'jobs.end(db, key.firing, "unknown", clock.now(), reason=UNKNOWN)'
    planted = "db.execute(\"UPDATE host_job_logs SET status = 'waiting' WHERE id = ?\", key[1:])"
    assert source.count(sound) == 1
    module.write_text(source.replace(sound, planted))
    made = Sweep(Host(home, {**environment, "PYTHONPATH": str(copy)}), tmp_path / "sweep")
    try:
        # A job is at work late: the points that find it are among the last.
        for point in reversed([one for one in made.points() if one.call == "fdatasync"]):
            made.kill_at(point)
            if any("times" in one for one in made.found):
                return
        pytest.fail("a fault that begins jobs twice was not found")
    finally:
        made.close()
