"""Limits of a whole sandbox by a user's systemd, with a stand-in that writes down what it is
asked and then does what `systemd-run --scope` does: becomes the command."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pynchy_cli.sandbox import control
from pynchy_cli.sandbox.base import Limits
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from tests.sandboxes import World, again_as_user, made

LIMITS = Limits(memory=64 << 20, processes=50, file_size=1 << 20, cpus=1.5)
STAND_IN = """#!/bin/sh
printf '%s\\n' "$*" >> "$XDG_RUNTIME_DIR/asked"
while [ "$1" != "--" ]; do shift; done
shift
[ "$1" = sh ] && { [ -e "$XDG_RUNTIME_DIR/none" ] && exit 1; echo cpu; echo memory; exit 0; }
exec "$@"
"""


@pytest.fixture
def session(tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose systemd answers."""
    (tmp_path / "run/systemd").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/systemd-run"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "XDG_RUNTIME_DIR": str(tmp_path / "run")}


def test_a_scope_limits_what_it_can(session: dict[str, str], tmp_path: Path) -> None:
    means = control.find(session, is_root=False)
    assert means.kinds == {"cpu", "memory"}
    words = " ".join(control.scope(means, LIMITS))
    assert words == (
        f"{tmp_path}/bin/systemd-run --user --scope --quiet --collect -p CPUQuota=150% "
        "-p MemoryMax=67108864 -p MemorySwapMax=0 --"
    )
    assert control.environment(means, session) == {"XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert control.group(means, LIMITS) is None


def test_where_no_systemd_answers_there_is_no_scope(
    session: dict[str, str], tmp_path: Path
) -> None:
    nothing = control.Means({})
    assert control.find({**session, "XDG_RUNTIME_DIR": ""}, is_root=False) == nothing
    assert control.find({**session, "PATH": "/nowhere"}, is_root=False) == nothing
    (tmp_path / "run/none").touch()
    assert control.find(session, is_root=False) == nothing
    (tmp_path / "run/systemd").rmdir()
    assert control.find(session, is_root=False) == nothing
    assert control.scope(nothing, LIMITS) == []
    assert control.environment(nothing, session) == {}


def test_a_group_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """A parent that is no control group's has none of the files."""
    (tmp_path / "cpu").mkdir()
    means = control.Means({"cpu": tmp_path / "cpu", "memory": tmp_path / "missing"})
    assert control.group(means, LIMITS) is None
    assert list((tmp_path / "cpu").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root makes control groups itself")
def test_a_sandbox_in_a_scope(
    session: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in session.items():
        monkeypatch.setenv(name, value)
    runtime = made(Bubblewrap(), tmp_path / "data")
    missing = " ".join(runtime.missing())
    assert "memory (" not in missing
    assert "processors" not in missing
    world = World(runtime, tmp_path)
    code = "import os; print(json.dumps([name for name in os.environ if 'XDG' in name]))"
    assert world.ask(code, limits=LIMITS) == []
    assert "-p MemoryMax=67108864" in (tmp_path / "run/asked").read_text()

    async def story() -> int:
        code = "import sys; open('up', 'w').close(); sys.stdin.read(); raise SystemExit(3)"
        async with world.started(code, limits=LIMITS) as place:
            await world.appears("up")
            return await place.stop(30)

    assert asyncio.run(story()) == 3


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)
