"""A home of its own for each test, and the command as people run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import engine as engines

Pynchy = Callable[..., subprocess.CompletedProcess[str]]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background, we would hand on that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # by nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

NO_ENGINE = "unix:///nowhere/docker.sock"
"""Tests use a container engine of their own, and never one of this machine's."""
# A machine that is busy with something else is no fault of what is tested.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")

KEPT = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "CI")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment without anybody's keys, settings or home."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    person = tmp_path / "person"
    person.mkdir(exist_ok=True)
    return {
        **kept,
        "HOME": str(person),
        "DOCKER_HOST": NO_ENGINE,
        "PYNCHY_AGENT__CORE": "echo",
        "PYNCHY_SERVE__PORT": "0",
    }


@pytest.fixture
def pynchy(tmp_path: Path, environment: dict[str, str]) -> Pynchy:
    """Runs `pynchy` with this test's home; asserts the exit code, gives the finished process."""

    def run(
        *arguments: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        code: int | None = 0,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "pynchy_cli", *arguments],
            input=input if input is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**environment, "PYNCHY_HOME": str(tmp_path / "home"), **(env or {})},
        )
        if code is not None:
            assert done.returncode == code, (
                f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    return run


@pytest.fixture
def home(tmp_path: Path, pynchy: Pynchy) -> Path:
    """A home as `pynchy init --yes` makes it."""
    pynchy("init", "--yes")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def whatsapp_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What WhatsApp servers of the tests share; the first that is given it makes it."""
    return tmp_path_factory.mktemp("whatsapp") / "kit"


@pytest.fixture(scope="session")
def engine() -> Iterator[engines.Engine]:
    """A Docker engine with the agents' image; skipped, or in CI failed, where none can be had."""
    engines.require()
    with engines.shared(os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)) as shared:
        yield shared
