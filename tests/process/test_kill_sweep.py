"""Kill -9 at every system call of every stage: afterwards each message has exactly one
answer, cursors and runs agree, and nothing is left running."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sweep import FOLLOWED, PLAIN, STOPPED, Point, Story, Sweep

PARTS = {"listen@stdin": 1, "route": 1, "run-agent": 3}
"""The stages, and into how many tests the sweep of each is cut. Of each the first is always run,
and all are by `make chaos`."""
CLAUDE = 2
"""The same of the sweep with Claude."""
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def sweep(
    tmp_path: Path,
    environment: dict[str, str],
    stage: str,
    core: str,
    package: Path | None = None,
    story: Story = PLAIN,
) -> Iterator[Sweep]:
    with Sweep(tmp_path / "sweep", stage, core, environment, package, story) as made:
        made.prepare()
        assert made.problems == []
        yield made


def kill(made: Sweep, points: Sequence[Point]) -> None:
    """Kill at all these points. Nearly all are reached: how often a thread writes may differ."""
    for point in points:
        made.kill_at(point)
    assert made.problems == []
    assert made.tried - made.killed <= 2 + made.tried // 10


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("stage", "part"),
    [
        pytest.param(stage, part, marks=[pytest.mark.chaos] if part else [])
        for stage, parts in PARTS.items()
        for part in range(parts)
    ],
)
def test_every_message_has_one_answer_wherever_a_stage_was_killed(
    tmp_path: Path, environment: dict[str, str], stage: str, part: int
) -> None:
    with sweep(tmp_path, environment, stage, "echo") as made:
        points = made.points()
        assert len(points) >= 50
        kill(made, points[part :: PARTS[stage]])


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "part",
    [pytest.param(part, marks=[pytest.mark.chaos] if part else []) for part in range(CLAUDE)],
)
def test_so_it_is_with_claude(tmp_path: Path, environment: dict[str, str], part: int) -> None:
    with sweep(tmp_path, environment, "run-agent", "claude") as made:
        points = made.points()
        assert len(points) >= 50
        kill(made, points[::10][part::CLAUDE])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", [FOLLOWED, STOPPED], ids=["followed", "stopped"])
def test_so_it_is_when_more_is_said_to_a_run_at_work(
    tmp_path: Path, environment: dict[str, str], story: Story
) -> None:
    with sweep(tmp_path, environment, "run-agent", "echo", story=story) as made:
        points = made.points()
        assert len(points) >= 50
        kill(made, points[:: len(points) // 12])


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("core", ["echo", "claude"])
@pytest.mark.parametrize("story", [FOLLOWED, STOPPED], ids=["followed", "stopped"])
def test_so_it_is_at_every_point_when_more_is_said(
    tmp_path: Path, environment: dict[str, str], core: str, story: Story
) -> None:
    with sweep(tmp_path, environment, "run-agent", core, story=story) as made:
        kill(made, made.points())


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(CLAUDE))
def test_so_it_is_with_claude_at_every_point(
    tmp_path: Path, environment: dict[str, str], part: int
) -> None:
    with sweep(tmp_path, environment, "run-agent", "claude") as made:
        kill(made, made.points()[part::CLAUDE])


KEPT = "if is_kept else None\n        )\n"
THROUGH = "        groups.route_through(db, group.folder, decided[-1].message.seq)\n"
QUEUED = "        _queue_all(db, group, waiting, now)\n"
BETWEEN = '        db.execute("COMMIT")\n        db.execute("BEGIN IMMEDIATE")\n'
PLANTS = {
    "run-agent": ("agent/turn.py", KEPT, KEPT + BETWEEN),
    "route": ("pipeline/route.py", QUEUED + THROUGH, THROUGH + BETWEEN + QUEUED),
}
"""A module of a stage, what it says, and what it is to say: the end of a run in a transaction
before that of its reply, and a group's cursor before what it passes is queued."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", PLANTS)
def test_a_planted_fault_is_found(tmp_path: Path, environment: dict[str, str], stage: str) -> None:
    """A kill between two transactions loses the answer."""
    copy = tmp_path / "planted"
    for package in ("pynchy_cli", "agent_runner"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("*.pyc"))
    name, sound, planted = PLANTS[stage]
    module = copy / "pynchy_cli" / name
    source = module.read_text()
    assert source.count(sound) == 1
    module.write_text(source.replace(sound, planted))
    with sweep(tmp_path, environment, stage, "echo", copy) as made:
        # It ends late: the points that find it are among the last. At a sync what was committed
        # stands in the log already, and the next transaction has not begun.
        for point in reversed([one for one in made.points() if one.call == "fdatasync"]):
            made.kill_at(point)
            if made.problems:
                return
    pytest.fail("a fault that loses answers was not found")
