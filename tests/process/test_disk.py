"""Agents that fill the disk: they are stopped and it is said why, nobody starts until there is
room, and the database goes on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_run_agent import (
    Pipeline,
    pipeline,  # noqa: F401
    sources,  # noqa: F401
)

pytestmark = pytest.mark.timeout(300)
"""Many processes one after the other; a busy machine takes its time."""
SORRY = "Sorry, I could not answer this: "


@pytest.fixture
def small_home(tmp_path: Path) -> Iterator[Path]:
    """A home on a file system of its own, of 64 MiB; the agents' packages lie elsewhere."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts file systems")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", home], check=True)
    try:
        (home / "data").mkdir(mode=0o700)
        (tmp_path / "site").mkdir()
        (home / "data/agent-site").symlink_to(tmp_path / "site")
        yield home
    finally:
        subprocess.run(["umount", home], check=True)


def troubles(pipeline: Pipeline) -> dict[str, str]:  # noqa: F811
    told = json.loads(pipeline.run("status", "--json", code=None))
    return {row["subject"]: row["error"] for row in told["failures"]["rows"]}


def test_a_group_over_its_limit_is_stopped(pipeline: Pipeline) -> None:  # noqa: F811
    large = pipeline.home / "groups/main/large"
    limit = {"PYNCHY_SANDBOX__FOLDER_LIMIT": "1000000"}
    why = "the group's folder holds more than 976.6 KiB"
    assert pipeline.ask("work", "filling", **limit) == [SORRY + why]
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("failed", 1)]
    assert troubles(pipeline) == {"disk:main": why}
    assert large.stat().st_size > 1_000_000
    large.unlink()
    assert pipeline.ask("and now?", "counting", **limit)[1:] == ["turn 1"]
    assert troubles(pipeline) == {}


def test_on_a_full_disk_all_stop_and_the_database_goes_on(
    small_home: Path,
    pipeline: Pipeline,  # noqa: F811
) -> None:
    least = {"PYNCHY_SANDBOX__MIN_FREE": str(40 << 20), "PYNCHY_QUEUE__MAX_RETRIES": "1"}
    (said,) = pipeline.ask("work", "filling", **least)
    assert said.startswith(SORRY + "the disk is nearly full: ")
    # It may be others who filled it: there is a second attempt.
    assert pipeline.rows("SELECT state, attempts FROM runs") == [("failed", 2)]
    facts = os.statvfs(small_home)
    assert facts.f_bavail * facts.f_frsize > 0
    # Nobody starts, and what waits says why.
    pipeline.run("send", "main", "and now?")
    pipeline.run("route", "--once")
    patient = {**least, "PYNCHY_QUEUE__BASE_RETRY": "3"}
    pipeline.run("run-agent", "--once", core="counting", code=None, **patient)
    ((state, error),) = pipeline.rows("SELECT state, error FROM runs WHERE id = 2")
    assert state == "queued"
    assert error.startswith("the disk is nearly full")
    assert troubles(pipeline)["disk:main"] == error
    (small_home / "groups/main/large").unlink()
    pipeline.settle("counting", **least)
    assert pipeline.replies() == [said, "turn 1"]
    assert troubles(pipeline) == {}
    assert json.loads(pipeline.run("db", "check", "--json"))["ok"] is True
