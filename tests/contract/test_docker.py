"""What Docker's containers keep to beyond the common contract: their names and labels, that they
outlive their worker and their engine, and what an agent can't do in one."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox.base import Limits, Mount
from pynchy_cli.sandbox.docker import Docker
from tests.engine import BASE, IMAGE, Engine, import_base, own, require
from tests.sandboxes import PATIENCE, UID, World, made, of, until

pytestmark = [
    pytest.mark.timeout(300),  # Whoever comes first builds an image.
    # Where an engine goes in the middle of a call, its SDK leaves a socket to the collector.
    pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def runtime(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Docker:
    runtime = made(of("docker", engine.host), tmp_path_factory.mktemp("data"))
    assert isinstance(runtime, Docker)
    return runtime


@pytest.fixture
def world(runtime: Docker, tmp_path: Path) -> World:
    return World(runtime, tmp_path)


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A name that no other test's sandbox has."""
    return "pynchy-" + hashlib.sha256(bytes(tmp_path)).hexdigest()[:12]


def inspected(engine: Engine, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.docker("inspect", name).stdout)[0]
    return found


def test_names_of_two_homes(world: World, name: str) -> None:
    async def story() -> list[str]:
        async with world.started(world.staying, name=name) as ours:
            other = {**world.labels, "home": "0ther000"}
            async with world.started(world.staying, name=name, labels=other) as theirs:
                again = {**world.labels, "session": "s1-2"}
                async with world.started(world.staying, name=name, labels=again) as third:
                    return [ours.name, theirs.name, third.name]

    home = world.labels["home"]
    assert asyncio.run(story()) == [name, f"{name}-0ther000", f"{name}-{home}"]


def test_labels_and_log(world: World, engine: Engine, name: str) -> None:
    async def story() -> tuple[dict[str, Any], str]:
        code = f"print('to whom it may concern', flush=True); {world.staying}"
        async with world.started(code, name=name):
            await world.appears("up")
            said = await asyncio.to_thread(engine.docker, "logs", name)
            return await asyncio.to_thread(inspected, engine, name), said.stdout

    facts, said = asyncio.run(story())
    ours = {key: value for key, value in facts["Config"]["Labels"].items() if key not in OF_IMAGE}
    assert {f"pynchy.{key}": value for key, value in world.labels.items()}.items() <= ours.items()
    assert said == "to whom it may concern\n"
    assert facts["HostConfig"]["LogConfig"]["Config"] == {"max-size": "2m", "max-file": "2"}


OF_IMAGE = ("pynchy.sources", "pynchy.base", "pynchy.packages")


def test_a_dead_one_of_our_own_makes_room(world: World, engine: Engine, name: str) -> None:
    label = f"--label=pynchy.home={world.labels['home']}"
    engine.docker("run", "--name", name, label, "pynchy-base:test", "true")

    async def story() -> str:
        async with world.started(world.staying, name=name) as place:
            return place.name

    assert asyncio.run(story()) == name


def test_a_dead_one_of_others_stays(world: World, engine: Engine, name: str) -> None:
    engine.docker("run", "--name", name, "pynchy-base:test", "true")

    async def story() -> str:
        async with world.started(world.staying, name=name) as place:
            return place.name

    try:
        assert asyncio.run(story()) == f"{name}-{world.labels['home']}"
        assert inspected(engine, name)["State"]["Status"] == "exited"
    finally:
        engine.docker("rm", name)


def test_nothing_is_left_of_one_that_ended(world: World, engine: Engine, name: str) -> None:
    assert world.run("print('done')", name=name) == 0
    assert world.log.read_text() == "done\n"
    assert engine.docker("inspect", name, check=False).returncode != 0


def test_sweep(world: World, name: str) -> None:
    async def story() -> list[str]:
        async with world.started(world.staying, name=name) as known:
            strange = {**world.labels, "session": "s1-9"}
            foreign = {**world.labels, "home": "0ther001", "session": "s1-9"}
            async with (
                world.started(world.staying, name=f"{name}-b", labels=strange) as swept,
                world.started(world.staying, name=f"{name}-c", labels=foreign) as other,
            ):
                removed = await world.runtime.sweep(world.labels["home"], {"s1-1"})
                assert await asyncio.wait_for(swept.wait(), PATIENCE) == 137
                assert await world.runtime.alive(world.labels)
                assert await world.runtime.alive(foreign)
                assert not await world.runtime.alive(strange)
                assert (known.name, other.name) == (name, f"{name}-c")
                return removed

    assert asyncio.run(story()) == [f"{name}-b"]


def test_one_that_ended_meanwhile_is_adopted_too(world: World, engine: Engine, name: str) -> None:
    labels = [f"--label=pynchy.{key}={value}" for key, value in world.labels.items()]
    command = ("sh", "-c", "echo gone; exit 5")
    engine.docker("run", "--name", name, *labels, "pynchy-base:test", *command, check=False)

    async def story() -> int:
        assert not await world.lives()
        place = await world.runtime.adopt(world.labels, world.log)
        assert place is not None
        return await asyncio.wait_for(place.wait(), PATIENCE)

    assert asyncio.run(story()) == 5
    assert world.log.read_text() == "gone\n"


def test_out_of_memory_is_said(world: World) -> None:
    limits = Limits(memory=64 << 20, processes=64, file_size=8 << 20)
    assert world.run("x = bytearray(1 << 30); print(len(x))", limits=limits) == 137
    assert world.log.read_text().splitlines()[-1].startswith("out of memory")


def test_processes_are_counted(world: World) -> None:
    code = """
import os, time
made = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(600)
        made += 1
except OSError as error:
    print(json.dumps([made, type(error).__name__]))
"""
    made_, error = world.ask(code)
    assert 50 < made_ < 64
    assert error == "BlockingIOError"


def test_a_fork_bomb_ends_with_its_sandbox(world: World) -> None:
    async def story() -> None:
        code = (
            "import os\nopen('up', 'w').close()\nwhile True:\n try: os.fork()\n except OSError: 0"
        )
        async with world.started(code) as place:
            await world.appears("up")
            assert await asyncio.wait_for(place.stop(0.2), PATIENCE) in (137, 143)

    asyncio.run(story())


PROTECTIONS = """
import os, pathlib, socket
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
def can(path, mode="w"):
    try:
        open(path, mode).close()
        return True
    except OSError:
        return False
def reaches(where):
    try:
        socket.create_connection(where, 1).close()
        return True
    except OSError:
        return False
print(json.dumps({
    "capabilities": sorted({status[name].strip() for name in ("CapPrm", "CapEff", "CapBnd")}),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "uid": [os.getuid(), os.getgid()],
    "groups": os.getgroups(),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "reaches": reaches(("192.0.2.1", 80)),
    "writable": [p for p in ("/x", "/etc/x", "/usr/x", "/workspace/x", "/opt/site/x") if can(p)],
    "scratch": [p for p in ("/tmp/x", "/home/agent/x", "/dev/shm/x") if can(p)],
    "sockets": [str(p) for top in ("/run", "/var", "/tmp") for p in pathlib.Path(top).rglob("*")
                if p.is_socket()],
    "home": os.path.expanduser("~agent"),
    "first": open("/proc/1/comm").read().strip(),
}))
"""


def test_protections(world: World) -> None:
    found = world.ask(PROTECTIONS)
    assert found == {
        "capabilities": ["0000000000000000"],
        "no_new_privileges": "1",
        "seccomp": "2",
        "uid": [UID, UID],
        "groups": [UID],
        "interfaces": ["lo"],
        "reaches": False,
        "writable": [],
        "scratch": ["/tmp/x", "/home/agent/x", "/dev/shm/x"],
        "sockets": [],
        "home": "/home/agent",
        "first": "docker-init",
    }


def test_its_processors_are_limited(world: World, engine: Engine, name: str) -> None:
    async def story() -> dict[str, Any]:
        limits = Limits(memory=64 << 20, processes=64, file_size=8 << 20, cpus=0.5)
        async with world.started(world.staying, name=name, limits=limits):
            return await asyncio.to_thread(inspected, engine, name)

    config = asyncio.run(story())["HostConfig"]
    assert config["NanoCpus"] == 500_000_000
    assert config["Memory"] == config["MemorySwap"] == 64 << 20


def test_masks(world: World) -> None:
    (world.given / "secret").mkdir()
    (world.given / "secret" / "key").write_text("key")
    masks = ("/workspace/given/secret/", "/workspace/given/letter.txt")
    code = """
import os
given = os.environ["GIVEN"]
print(json.dumps([os.listdir(given + "/secret"), open(given + "/letter.txt").read()]))
"""
    assert world.ask(code, masks=masks) == [[], ""]


def test_what_was_exchanged_is_not_shown(world: World) -> None:
    facts = world.given.stat()
    exchanged = Mount(world.given, "/workspace/given", identity=(facts.st_dev, facts.st_ino + 1))
    with pytest.raises(SandboxUnavailable, match="no longer"):
        world.run("pass", mounts=(world.mounts[0], exchanged))


def test_the_engines_socket_is_never_mounted(world: World, engine: Engine) -> None:
    mounts = (*world.mounts, Mount(engine.socket.parent, "/workspace/extra"))
    with pytest.raises(SandboxUnavailable, match="socket of the container engine"):
        world.run("pass", mounts=mounts)


def test_twenty_at_once(world: World, name: str) -> None:
    async def story() -> list[int]:
        async with contextlib.AsyncExitStack() as stack:
            starts = [
                stack.enter_async_context(
                    world.started(
                        "import sys; sys.exit(3)",
                        name=f"{name}-{number}",
                        log=world.root / f"log{number}",
                        labels={**world.labels, "session": f"s2-{number}"},
                    )
                )
                for number in range(20)
            ]
            places = await asyncio.gather(*starts)
            return await asyncio.gather(*(place.wait() for place in places))

    assert asyncio.run(story()) == [3] * 20


@pytest.fixture(params=[True, False], ids=["live-restore", "without"])
def own_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine for one test, that it may kill; with just the base as its image."""
    require()
    with own(keeps_containers=request.param) as made:
        import_base(made)
        made.docker("tag", BASE, IMAGE)
        yield made


def test_an_engine_that_is_killed_is_not_an_end(own_engine: Engine, tmp_path: Path) -> None:
    """While it is away nothing is known. With live-restore the agent works on all the while and
    can then be asked to end; without it the engine ends what it finds when it comes back."""
    world = World(made(of("docker", own_engine.host), tmp_path / "data"), tmp_path)

    async def story() -> int:
        code = f"{world.staying}; print('till the end', flush=True); raise SystemExit(9)"
        async with world.started(code) as place:
            await world.appears("up")
            waiting = asyncio.ensure_future(place.wait())
            own_engine.kill()
            with pytest.raises(SandboxUnavailable, match="doesn't answer"):
                await world.runtime.alive(world.labels)
            with pytest.raises(SandboxUnavailable, match="doesn't answer"):
                await world.runtime.start(world.spec("pass", -1, name="pynchy-second"))
            stopping = asyncio.ensure_future(place.stop(PATIENCE))
            await asyncio.sleep(0.5)  # Long enough to be taken for an end by mistake.
            assert not waiting.done()
            await asyncio.to_thread(own_engine.start)
            return await asyncio.wait_for(stopping, PATIENCE)

    assert asyncio.run(story()) in (9, 137)
    assert world.log.read_text() in ("till the end\n", "")
    own_engine.await_empty()


def test_what_an_engine_was_making_when_it_was_killed_is_removed(
    own_engine: Engine, tmp_path: Path
) -> None:
    world = World(made(of("docker", own_engine.host), tmp_path / "data"), tmp_path)
    world.runtime.missing()  # Asks what is asked before the first start.
    assert own_engine.daemon is not None
    (helper,) = [one for one in own_engine.daemon.children() if one.name() == "containerd"]

    async def story() -> None:
        helper.suspend()  # So that it comes to be, and doesn't start.
        starting = asyncio.ensure_future(world.runtime.start(world.spec("pass", -1)))
        await until(lambda: created() != [])
        own_engine.kill()
        with pytest.raises(SandboxUnavailable, match="doesn't answer"):
            await asyncio.wait_for(starting, PATIENCE)
        await asyncio.to_thread(own_engine.start)
        await until(lambda: created() == [])

    def created() -> list[str]:
        return own_engine.docker("ps", "--all", "--quiet").stdout.split()

    asyncio.run(story())
