"""The runtime `apple` against a stand-in for Apple's `container` command: what it is told, word
for word as its reference has it, and what is made of its answers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox.apple import Apple
from tests.sandboxes import CHECKOUT, PATIENCE, World


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in, which comes first in PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    shutil.copy2(CHECKOUT / "tests/apple_stand_in.py", folder / "container")
    (folder / "container").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SECRET_OF_THE_HOST", "not for the agent")
    return folder


@pytest.fixture
def world(program: Path, tmp_path: Path) -> World:
    (tmp_path / "world").mkdir()
    return World(Apple(Settings()), tmp_path / "world")


def calls(program: Path, verb: str) -> list[tuple[list[str], list[str]]]:
    """The calls of a verb: arguments, and the names in the environment."""
    lines = (program / "calls").read_text().splitlines()
    return [(one[0], one[1]) for one in map(json.loads, lines) if one[0][0] == verb]


def test_without_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "container system start" in (Apple(Settings()).problem() or "")


def test_with_its_service_stopped(program: Path) -> None:
    assert Apple(Settings()).problem() is None
    (program / "stopped").touch()
    problem = Apple(Settings()).problem() or ""
    assert "apiserver is not running" in problem
    assert "container system start" in problem


def test_the_image_is_built_once_for_its_sources(program: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        Apple(Settings()).prepare(tmp_path, said.append)
    assert len(said) == 1
    ((built, _),) = calls(program, "build")
    assert built[:3] == ["build", "--tag", "pynchy-agent:latest"]
    assert "BASE_IMAGE=python:3.13-slim" in built
    context = json.loads((program / "context").read_text())
    assert context == [
        "Dockerfile", "agent_runner", "constraints.txt", "packages", "requirements.txt",
    ]  # fmt: skip


def test_what_run_is_told(world: World, program: Path) -> None:
    async def story() -> int:
        spec = world.spec("pass", -1, environment={"CODE": "7", "A": "a b"}, masks=("/w/x/",))
        lease = os.open(world.root, os.O_RDONLY)
        try:
            place = await world.runtime.start(type(spec)(**{**spec.__dict__, "lease": lease}))
        finally:
            os.close(lease)
        return await place.stop(PATIENCE)

    assert asyncio.run(story()) == 7
    assert world.log.read_text() == "a sandbox speaks\n"
    ((told, environment),) = calls(program, "run")
    words = " ".join(told)
    for part in (
        "--rm --interactive",
        "--name pynchy-test",
        "--init --read-only --cap-drop ALL --network none --no-dns",
        "--memory 256M",
        "--ulimit nproc=64:64",
        f"--label pynchy.home={world.labels['home']}",
        "--tmpfs /tmp --tmpfs /run --tmpfs /home/agent --tmpfs /w/x",
        f"--mount type=bind,source={world.group},target=/workspace/group ",
        f"--mount type=bind,source={world.given},target=/workspace/given,readonly",
        "--env CODE --env A --env HOME=/home/agent --entrypoint python pynchy-agent:latest",
    ):
        assert part in words
    assert "a b" not in words
    assert {"CODE", "A"} <= set(environment)
    assert "SECRET_OF_THE_HOST" not in environment
    assert told[-3:] == ["-S", "-c", "pass"]
    assert not list((program / "containers").iterdir())


def leave(program: Path, name: str, labels: dict[str, str], status: str) -> None:
    """A container that somebody left."""
    ours = {f"pynchy.{key}": value for key, value in labels.items()}
    facts = {"status": status, "configuration": {"id": name, "labels": ours}}
    (program / "containers").mkdir(exist_ok=True)
    (program / "containers" / name).write_text(json.dumps(facts))


def test_names_and_what_was_left(world: World, program: Path) -> None:
    home = world.labels["home"]

    async def story() -> str:
        async with world.started("pass") as place:
            return place.name

    leave(program, "pynchy-test", {"home": "0ther"}, "stopped")
    assert asyncio.run(story()) == f"pynchy-test-{home}"
    (program / "containers/pynchy-test").unlink()
    leave(program, "pynchy-test", world.labels, "stopped")
    assert asyncio.run(story()) == "pynchy-test"


def test_sweep_and_life(world: World, program: Path) -> None:
    leave(program, "ours", world.labels, "running")
    leave(program, "strange", {**world.labels, "session": "s9"}, "running")
    leave(program, "foreign", {"home": "0ther", "session": "s9"}, "running")
    assert asyncio.run(world.runtime.alive(world.labels))
    assert asyncio.run(world.runtime.sweep(world.labels["home"], {"s1-1"})) == ["strange"]
    assert sorted(path.name for path in (program / "containers").iterdir()) == ["foreign", "ours"]
    assert not asyncio.run(world.runtime.alive({**world.labels, "session": "s9"}))


def test_a_single_file_cant_be_hidden(world: World, program: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="single file"):
        asyncio.run(world.runtime.start(world.spec("pass", -1, masks=("/w/x",))))
