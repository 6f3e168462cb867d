"""Kill -9 of the stage that runs host jobs and conditions, at every system call of it: each job is
begun once at most, each condition that holds makes one run, and every row is settled."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pynchy_cli.store import jobs
from tests.host_jobs import Host
from tests.planted import plant
from tests.stage_server import LIMIT, StageServer
from tests.sweep import CALLS, Point

PARTS = 2
"""The whole sweep is cut into so many tests, so that two processors share them."""
ENDS = {"first": "done", "second": "done", "fails": "failed", "late": "timeout"}


class Sweep:
    """A home in which jobs and conditions wait, put back before each kill."""

    def __init__(self, host: Host, root: Path) -> None:
        self.host = host
        self.environ = {**host.environ, "PYNCHY_LOG__LEVEL": "error"}
        self.snapshot, self.calls = root / "snapshot", root / "calls"
        root.mkdir()
        host.job("first", "echo first >> lines")
        host.job("second", "echo second >> lines; sleep 0.1; echo said")
        host.job("fails", "echo fails >> lines; exit 3")
        host.job("late", "echo late >> lines; sleep 1000", limit=0.1)
        host.check("holds", "echo holds >> lines")
        host.check("not", "echo not >> lines; exit 1")
        host.store.close()
        shutil.copytree(host.home.data, self.snapshot)
        self.server = StageServer(root, self.environ)
        self.found: list[str] = []
        self.tried = self.killed = 0

    def restore(self) -> None:
        shutil.rmtree(self.host.home.data)
        shutil.copytree(self.snapshot, self.host.home.data)
        (self.host.home.root / "lines").unlink(missing_ok=True)

    def traced(self, *options: str) -> int:
        """Run the stage under strace; its exit code."""
        begun = self.server.start("schedule", self.asked, "", self.environ, held=True)
        strace = subprocess.Popen(["strace", "-qq", "-p", str(begun.pid), *options])
        begun.go_on()
        code = begun.end()
        strace.wait(LIMIT)
        return code

    @property
    def asked(self) -> str:
        return json.dumps({"home": str(self.host.home.root), "once": True, "options": {}})

    def points(self) -> list[Point]:
        """Every call that the stage makes when nobody kills it."""
        self.restore()
        self.traced("-o", str(self.calls), "-e", f"trace={','.join(CALLS)}")
        counts = Counter(re.findall(r"^(\w+)\(", self.calls.read_text("utf-8", "replace"), re.M))
        self.check("no kill", {"unknown": 0})
        return [Point(call, number + 1) for call in CALLS for number in range(counts[call])]

    def kill_at(self, point: Point) -> None:
        """Kill the stage there, run it again, and note what is wrong then."""
        self.restore()
        inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        code = self.traced("-o", os.devnull, "-e", f"trace={point.call}", "-e", inject)
        self.tried += 1
        self.killed += code == -signal.SIGKILL
        for _ in range(2):
            begun = self.server.start("schedule", self.asked, "", self.environ)
            if (code := begun.end()) != 0:
                self.found.append(f"after {point} it ended with {code}: {begun.errors[-600:]}")
        self.check(str(point), {"unknown": len(ENDS)})

    def check(self, where: str, most: dict[str, int]) -> None:
        self.host.reopen()
        problems = [*self._jobs(most["unknown"]), *self._conditions(), *self._broken()]
        self.host.store.close()
        self.found += [f"killed at {where}: {problem}" for problem in problems]

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
        place = self.host.home.root / "lines"
        return Counter(place.read_text().splitlines() if place.exists() else [])

    def close(self) -> None:
        self.server.__exit__(None, None, None)
        self.host.close()


@pytest.fixture
def sweep(home: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[Sweep]:
    made = Sweep(Host(home, environment), tmp_path / "sweep")
    try:
        yield made
    finally:
        made.close()


def kill(made: Sweep, points: Sequence[Point]) -> None:
    assert made.found == []
    for point in points:
        made.kill_at(point)
    assert made.found == []
    # How often the stage wakes while commands end differs.
    assert made.tried - made.killed <= 2 + made.tried // 4


@pytest.mark.timeout(300)
def test_each_job_is_begun_once_wherever_the_stage_was_killed(sweep: Sweep) -> None:
    points = sweep.points()
    assert len(points) >= 40
    kill(sweep, points[:: len(points) // 20])


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_at_every_point(sweep: Sweep, part: int) -> None:
    kill(sweep, sweep.points()[part::PARTS])


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
        for point in reversed([one for one in made.points() if one.call == "pwrite64"]):
            made.kill_at(point)
            if any("times" in one for one in made.found):
                return
        pytest.fail("a fault that begins jobs twice was not found")
    finally:
        made.close()
