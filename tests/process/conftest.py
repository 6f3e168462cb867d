"""Houses whose agents are made by hand, for the tests of the stage that answers them; and
supervisors, over stages or over code of a test."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.by_hand import House, plant_effects
from tests.supervised import FOLDER, SUPERVISE, Up


@pytest.fixture(scope="session")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, with effects planted in it."""
    return plant_effects(tmp_path_factory.mktemp("planted"))


@pytest.fixture
def house(home: Path, environment: dict[str, str], effects: Path) -> Iterator[House]:
    """A home, and the stage that serves its agents."""
    made = House(home, {**environment, "PYTHONPATH": str(effects)})
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., Up]]:
    """Starts supervisors, and ends whatever is left of them."""
    started: list[Up] = []

    def add(command: list[str], **more: str) -> Up:
        out = tmp_path / f"out-{len(started)}"
        started.append(Up([sys.executable, *command], out, {**environment, **more}))
        return started[-1]

    yield add
    for one in started:
        if one.process.poll() is None:
            one.children()
            one.process.kill()
            one.process.wait()
        for child in one.seen:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@pytest.fixture
def up(start: Callable[..., Up], home: Path) -> Callable[..., Up]:
    """Starts `pynchy up` with options; of the stages, those that need no sandbox."""

    def add(*options: str) -> Up:
        at = ["--home", str(home)]
        return start(["-m", "pynchy_cli", *at, "up", "--only", "gateway,route", *options])

    return add


@pytest.fixture
def supervise(start: Callable[..., Up]) -> Iterator[Callable[..., Up]]:
    """Supervises Python code, given as name=code; `ask` is code that looks at the configuration of
    the `home`, `more` is for its environment."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)

    def add(
        limits: dict[str, float] | None = None,
        *,
        home: Path | None = None,
        ask: str = "",
        more: dict[str, str] | None = None,
        **commands: str,
    ) -> Up:
        asked = {"folder": str(FOLDER), "commands": commands, "limits": limits or {}}
        asked |= {"home": home and str(home), "ask": ask}
        return start(["-c", SUPERVISE, json.dumps(asked)], **(more or {}))

    yield add
    shutil.rmtree(FOLDER)
