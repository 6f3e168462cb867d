"""Kill -9 at every system call of every stage: afterwards each message has exactly one
answer, cursors and runs agree, and nothing is left running."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sweep import Sweep

STAGES = ("listen@stdin", "route", "run-agent")
PARTS = 3
"""Each sweep is cut into so many tests, so that two processors share them."""
ROOT = Path(__file__).resolve().parents[2]


def sweep(tmp_path: Path, environment: dict[str, str], stage: str, core: str) -> Sweep:
    made = Sweep(tmp_path / "sweep", stage, core, environment)
    made.root.mkdir()
    made.prepare()
    assert made.problems == []
    return made


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("stage", STAGES)
def test_every_message_has_one_answer_wherever_a_stage_was_killed(
    tmp_path: Path, environment: dict[str, str], stage: str, part: int
) -> None:
    made = sweep(tmp_path, environment, stage, "echo")
    points = made.points()
    for point in points[part::PARTS]:
        made.kill_at(point)
    assert made.problems == []
    assert len(points) >= {"listen@stdin": 20, "route": 20, "run-agent": 50}[stage]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_with_claude(tmp_path: Path, environment: dict[str, str], part: int) -> None:
    made = sweep(tmp_path, environment, "run-agent", "claude")
    points = made.points()
    assert len(points) >= 50
    for point in points[::10][part::PARTS]:
        made.kill_at(point)
    assert made.problems == []


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_so_it_is_with_claude_at_every_point(
    tmp_path: Path, environment: dict[str, str], part: int
) -> None:
    made = sweep(tmp_path, environment, "run-agent", "claude")
    for point in made.points()[part::PARTS]:
        made.kill_at(point)
    assert made.problems == []


@pytest.mark.timeout(900)
def test_a_planted_fault_is_found(tmp_path: Path, environment: dict[str, str]) -> None:
    """The end of a run in a transaction before that of its reply: a kill between the two
    loses the answer."""
    copy = tmp_path / "planted"
    for package in ("pynchy_cli", "agent_runner"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("*.pyc"))
    turn = copy / "pynchy_cli/agent/turn.py"
    source = turn.read_text()
    sound = '        runs.finish(db, self.run, "done", now)\n        if self.run.is_shell'
    assert sound in source
    between = '        db.execute("COMMIT")\n        db.execute("BEGIN IMMEDIATE")\n'
    planted = sound.replace("        if self", between + "        if self")
    turn.write_text(source.replace(sound, planted))
    made = Sweep(tmp_path / "sweep", "run-agent", "echo", environment, package=copy)
    made.root.mkdir()
    made.prepare()
    assert made.problems == []
    points = made.points()
    for point in [one for one in points if one.call in ("pwrite64", "fdatasync")]:
        made.kill_at(point)
        if made.problems:
            return
    pytest.fail("a fault that loses answers was not found")
