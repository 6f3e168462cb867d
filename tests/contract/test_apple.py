"""The runtime `apple` against a stand-in for Apple's `container` command: what it is told, word
for word as its reference has it, and what is made of its answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.gateway import sockets
from pynchy_cli.sandbox.apple import Apple
from pynchy_cli.sandbox.base import Mount
from tests.conftest import Pynchy
from tests.sandboxes import CHECKOUT, PATIENCE, World, until


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


@pytest.mark.parametrize("version", ["0.12.3", "1.0.9"])
def test_a_version_that_relays_no_sockets(program: Path, version: str) -> None:
    (program / "version").write_text(version)
    problem = Apple(Settings()).problem() or ""
    assert f"container CLI version {version}" in problem
    assert "1.1.0 or newer" in problem


@pytest.mark.parametrize("version", ["1.1.0", "1.2.1", "10.0.0"])
def test_a_version_that_does(program: Path, version: str) -> None:
    (program / "version").write_text(version)
    assert Apple(Settings()).problem() is None


def test_the_image_is_built_once_for_its_sources(program: Path, tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        Apple(Settings()).prepare(tmp_path, said.append)
    assert len(said) == 1
    ((built, _),) = calls(program, "build")
    assert built[:3] == ["build", "--tag", "pynchy-agent:latest"]
    assert "BASE_IMAGE=python:3.13-slim" in built
    assert (program / "images").read_text().split() == [built[2], built[4]]
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


def test_a_single_file_is_mounted(world: World, program: Path) -> None:
    letter = Mount(world.given / "letter.txt", "/workspace/extra/letter.txt")

    async def story() -> None:
        async with world.started("pass", mounts=(*world.mounts, letter)) as place:
            assert await place.stop(PATIENCE) == 0

    asyncio.run(story())
    ((told, _),) = calls(program, "run")
    assert f"{letter.source}:{letter.target}:ro" in told


@pytest.mark.parametrize("name", ["a,b", "a:b"])
def test_a_name_that_cant_be_said(world: World, name: str) -> None:
    source = world.root / name
    source.mkdir() if "," in name else source.touch()
    with pytest.raises(SandboxUnavailable, match=r"in its name"):
        asyncio.run(world.runtime.start(world.spec("pass", -1, mounts=(Mount(source, "/w"),))))


def serve(folder: Path, word: bytes) -> socket.socket:
    """What says a word to whoever connects to the folder's socket."""
    server = sockets.listen(folder)
    server.setblocking(True)

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as one:
                    one.sendall(word)

    threading.Thread(target=answer, daemon=True).start()
    return server


def heard(inside: Path) -> bytes:
    """What is said at a socket; nothing where nobody is there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        try:
            client.connect(f"/proc/self/fd/{os.open(inside.parent, os.O_PATH)}/{inside.name}")
        except OSError:
            return b""
        return client.recv(100)


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Mount]:
    """The gateway's folder, by a path with a link in it, as /tmp is on a Mac."""
    with tempfile.TemporaryDirectory(prefix="pynchy-") as short:
        (tmp_path / "link").symlink_to(short)
        yield Mount(tmp_path / "link/run/own/s1", "/run/pynchy", sockets=(sockets.NAME,))


def test_the_gateways_socket_is_relayed(world: World, program: Path, way: Mount) -> None:
    inside = program / "guest/run/pynchy/gateway.sock"
    first = serve(way.source, b"first")

    async def story() -> None:
        async with world.started("pass", mounts=(*world.mounts, way)):
            await until(lambda: heard(inside) == b"first")
            assert inside.stat().st_mode & 0o666 == 0o666
            # The gateway is started again; its new socket bears the same name.
            serve(way.source, b"second")
            first.close()
            assert heard(inside) == b"second"

    asyncio.run(story())
    ((told, _),) = calls(program, "run")
    assert f"{way.source.resolve()}/gateway.sock:/run/pynchy/gateway.sock" in told
    assert not [word for word in told if word.endswith("target=/run/pynchy")]
    assert "--tmpfs /run" not in " ".join(told)


def test_run_agent_gives_the_way_to_the_model(program: Path, home: Path, pynchy: Pynchy) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "PYNCHY_SANDBOX__RUNTIME": "apple",
        "PYNCHY_AGENT__CORE": "claude",
    }
    (program / "broken").touch()
    pynchy("run-agent", "main", input="hello", env=env, code=1)
    ((told, environment),) = calls(program, "run")
    assert [word for word in told if word.endswith("/gateway.sock:/run/pynchy/gateway.sock")]
    assert "PYNCHY_GATEWAY" in environment


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
