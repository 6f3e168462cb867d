"""Kill -9 of the stage that answers agents: at every system call of it, and at random under load.
What is rows is done exactly once, what lies outside of the file at most once, and everything is
answered: with `unknown` where nobody can know."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from agent_runner.protocol import read_answer
from pynchy_cli import locks
from pynchy_cli.store import approvals, audit
from tests.by_hand import Agent, House, plant_effects, wait_for
from tests.stage_server import LIMIT, StageServer
from tests.sweep import CALLS, Point

SEED = "PYNCHY_CHAOS_SEED"
PARTS = 2
"""The whole sweep is cut into so many tests, so that two processors share them."""


def problems(house: House, agents: Sequence[Agent]) -> Iterator[str]:
    """What is wrong, once all should be answered."""
    for agent in agents:
        left = [one.name for one in agent.requests.iterdir()]
        if left:
            yield f"files are left: {left[:9]}"
    for group, session, id, state, answer in house.rows(
        "SELECT group_folder, session, request_id, state, answer FROM requests"
    ):
        place = house.home.session(group, session) / "responses" / f"{id}.json"
        if answer is None or not place.exists() or place.read_text() != answer:
            yield f"{session}/{id} is {state}, its answer {answer!r}, there: {place.exists()}"
            continue
        error = read_answer(answer).error
        if (state == "unknown") != (error is not None and error.code == "unknown"):
            yield f"{session}/{id} is {state} and was answered {answer}"
    yield from _outside(house)
    if faults := audit.check(house.store.db).faults:
        yield f"the audit log: {faults}"
    if failed := house.rows("SELECT subject, error FROM failures"):
        yield f"failures: {failed}"
    if house.rows("PRAGMA integrity_check") != ["ok"]:
        yield "the database is broken"


def _outside(house: House) -> Iterator[str]:
    """What was done outside of the file, against what the file says of it."""
    times = Counter(line.split()[1] for line in house.outside)
    for id, state in house.rows(
        "SELECT request_id, state FROM requests"
        " WHERE type IN ('finished_work', 'sync_worktree_to_main')"
    ):
        wanted = {"done": (1,), "unknown": (0, 1)}.get(state, (0,))
        if times[id] not in wanted:
            yield f"{id} is {state}, and was done {times[id]} times"


class Sweep:
    """A home with requests that lie there, of each kind; put back before each kill."""

    def __init__(self, house: House, root: Path) -> None:
        self.house = house
        self.snapshot = root / "snapshot"
        self.log = root / "calls"
        root.mkdir()
        self.team, self.main = house.agent("team"), house.agent("main")
        self.team.ask("gated", "sync_worktree_to_main")
        self.main.ask("deploy", "deploy_changes")
        house.start(once=True)
        for agent, id in ((self.team, "gated"), (self.main, "deploy")):
            assert house.decide("approved", agent, id)
        self.team.ask("first", "add_todo", content="first")
        self.team.ask("work", "finished_work")
        self.team.write(self.team.name("rubbish"), b"rubbish")
        self.team.ask("forbidden", "list_groups")
        self.team.ask("second", "add_todo", content="second")
        self.team.ask("first", "add_todo", content="again")
        self.main.ask("theirs", "add_todo", content="theirs")
        self.ids = {"gated", "first", "work", "rubbish", "forbidden", "second", "deploy", "theirs"}
        house.store.close()
        shutil.copytree(house.home.data, self.snapshot)
        self.server = StageServer(root, house.environ)
        self.found: list[str] = []
        self.tried = self.killed = 0

    def restore(self) -> None:
        shutil.rmtree(self.house.home.data)
        shutil.copytree(self.snapshot, self.house.home.data)

    def traced(self, *options: str) -> int:
        """Run the stage under strace; its exit code."""
        begun = self.server.start("ipc-watch", self.asked, "", self.house.environ, held=True)
        strace = subprocess.Popen(["strace", "-qq", "-p", str(begun.pid), *options])
        begun.go_on()
        code = begun.end()
        strace.wait(LIMIT)
        return code

    @property
    def asked(self) -> str:
        return json.dumps({"home": str(self.house.home.root), "once": True, "options": {}})

    def points(self) -> list[Point]:
        """Every call that the stage makes when nobody kills it."""
        self.restore()
        self.traced("-o", str(self.log), "-e", f"trace={','.join(CALLS)}")
        counts = Counter(re.findall(r"^(\w+)\(", self.log.read_text("utf-8", "replace"), re.M))
        self.check("no kill")
        return [Point(call, number + 1) for call in CALLS for number in range(counts[call])]

    def kill_at(self, point: Point) -> None:
        """Kill the stage there, run it again, and note what is wrong then."""
        self.restore()
        inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        code = self.traced("-o", os.devnull, "-e", f"trace={point.call}", "-e", inject)
        self.tried += 1
        self.killed += code == -signal.SIGKILL
        for _ in range(2):
            begun = self.server.start("ipc-watch", self.asked, "", self.house.environ)
            if (code := begun.end()) != 0:
                self.found.append(f"after {point} it ended with {code}: {begun.errors[-600:]}")
        self.check(str(point))

    def check(self, where: str) -> None:
        self.house.reopen()
        found = [*problems(self.house, [self.team, self.main]), *self._counted()]
        self.house.store.close()
        self.found += [f"killed at {where}: {problem}" for problem in found]

    def _counted(self) -> Iterator[str]:
        todos = Counter(self.house.rows("SELECT content FROM todos"))
        if todos != Counter(["first", "second", "theirs", "prepared"]):
            yield f"todos: {todos}"
        ids = Counter(self.house.rows("SELECT request_id FROM requests"))
        if ids != Counter(self.ids):
            yield f"requests: {ids}"
        kept = self.house.rows("SELECT name, value FROM counters WHERE name LIKE 'requests_%'")
        of = dict(kept)
        if (of["requests_refused"], of["requests_unreadable"]) != (2, 1):
            yield f"counters: {of}"

    def close(self) -> None:
        self.server.__exit__(None, None, None)
        self.house.reopen()


@pytest.fixture
def sweep(house: House, tmp_path: Path) -> Iterator[Sweep]:
    made = Sweep(house, tmp_path / "sweep")
    try:
        yield made
    finally:
        made.close()


def kill(made: Sweep, points: Sequence[Point]) -> None:
    assert made.found == []
    for point in points:
        made.kill_at(point)
    assert made.found == []
    assert made.tried - made.killed <= 1 + made.tried // 10


@pytest.mark.timeout(300)
def test_all_is_answered_and_nothing_done_twice_wherever_it_was_killed(sweep: Sweep) -> None:
    points = sweep.points()
    assert len(points) >= 60
    kill(sweep, points[:: len(points) // 24])


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_at_every_point(sweep: Sweep, part: int) -> None:
    kill(sweep, sweep.points()[part::PARTS])


PLANTS = {
    # Module, what it says, what it is to say, and the call to kill at.
    "an effect before its beginning is noted": (
        "carrying.py",
        "            if not requests.start(db, asked.row.id, self.context.owner):\n",
        "            if False:\n",
        "pwrite64",
    ),
    "a file that goes before its row is there": (
        "intake.py",
        "        subject = f\"requests:{place.session}\"\n",
        "        subject = f\"requests:{place.session}\"\n"
        "        for entry in entries:\n            place.inbox.remove(entry.name)\n",
        "fdatasync",
    ),
}  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_found(
    home: Path, environment: dict[str, str], tmp_path: Path, plant: str
) -> None:
    name, sound, planted, call = PLANTS[plant]
    copy = plant_effects(tmp_path / "planted")
    module = copy / "pynchy_cli/ipc" / name
    source = module.read_text()
    assert sound in source
    module.write_text(source.replace(sound, planted))
    house = House(home, {**environment, "PYTHONPATH": str(copy)})
    made = Sweep(house, tmp_path / "sweep")
    try:
        points = [one for one in made.points() if one.call == call]
        # Each transaction writes more than three times.
        for point in points if call == "fdatasync" else points[::-3]:
            made.kill_at(point)
            if made.found:
                return
    finally:
        made.close()
        house.close()
    pytest.fail("a fault that loses or doubles what is asked was not found")


class Load:
    """Groups that all ask at once, while the stage is killed and started again."""

    def __init__(self, house: House, groups: int, each: int, chance: random.Random) -> None:
        self.house = house
        self.chance = chance
        self.each = each
        self.agents = [house.agent(f"team-{number}") for number in range(groups)]
        self.gated = [number for number in range(each) if number % 10 == 9]
        self.outside = [number for number in range(each) if number % 10 == 5]

    def ask(self, agent: Agent) -> None:
        """All that one group asks, as fast as it can."""
        for number in range(self.each):
            id = f"{agent.group}-{number}"
            if number in self.gated:
                agent.ask(id, "sync_worktree_to_main")
            elif number in self.outside:
                agent.ask(id, "finished_work")
            else:
                agent.ask(id, "add_todo", content=f"{number}")
            time.sleep(self.chance.random() * 0.01)

    def run(self, kills: int) -> None:
        threads = [threading.Thread(target=self.ask, args=(agent,)) for agent in self.agents]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            stage = self.house.start()
            self.approve()
            time.sleep(self.chance.random() * 0.5)
            stage.kill()
            stage.wait(LIMIT)
        for thread in threads:
            thread.join()
        self.house.start()
        wait_for(self.is_over, "every answer", limit=100)
        self.house.stop()

    def approve(self) -> None:
        """A person says yes to all that waits."""
        with self.house.store.atomic() as db:
            for approval in approvals.all(db):
                assert approvals.decide(db, approval, "approved", "owner", approval.asked_at)

    def is_over(self) -> bool:
        self.approve()
        return all(len(agent.answers()) == self.each for agent in self.agents)

    def problems(self) -> Iterator[str]:
        yield from problems(self.house, self.agents)
        rows = [n for n in range(self.each) if n not in self.gated and n not in self.outside]
        for agent in self.agents:
            done = self.house.rows(
                f"SELECT content FROM todos WHERE group_folder = '{agent.group}' ORDER BY id"
            )
            if done != [str(number) for number in rows]:
                yield f"{agent.group} has the todos {done}"


def loaded(house: House, groups: int, each: int, kills: int) -> None:
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    load = Load(house, groups, each, random.Random(seed))
    load.run(kills)
    assert list(load.problems()) == []
    (asked,) = house.rows("SELECT count(*) FROM requests")
    assert asked == groups * each
    assert not locks.is_held(house.home.locks / "ipc-watch.lock")


def test_under_load_it_is_killed_at_random(house: House) -> None:
    loaded(house, groups=5, each=20, kills=4)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_under_load_it_is_killed_at_random_again_and_again(house: House) -> None:
    loaded(house, groups=20, each=25, kills=40)


def test_what_was_begun_when_it_was_killed_is_unknown_and_not_begun_again(house: House) -> None:
    """Between the beginning of an effect outside of the file and its end."""
    agent = house.agent("team")
    stage = house.start()
    agent.ask("slow", "list_tasks")
    wait_for(lambda: house.outside == ["begun slow group"], "its beginning")
    stage.kill()
    stage.wait(LIMIT)
    (house.home.data / "go").touch()
    house.start()
    assert agent.code("slow") == "unknown"
    agent.ask("slow", "list_tasks")
    agent.ask("after", "finished_work")
    assert agent.code("after") == "ok"
    house.stop()
    assert house.outside == ["begun slow group", "once after group"]
    db = sqlite3.connect(house.home.database)
    states = db.execute("SELECT request_id, state FROM requests ORDER BY id").fetchall()
    db.close()
    assert states == [("slow", "unknown"), ("after", "done")]
