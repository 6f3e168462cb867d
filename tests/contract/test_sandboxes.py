"""What every runtime keeps to, asked of each of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox.base import Mount, Runtime
from pynchy_cli.sandbox.process import LOG_LIMIT
from tests.engine import Engine
from tests.sandboxes import CHECKOUT, PATIENCE, World, again_as_user, made, of

pytestmark = pytest.mark.timeout(300)  # Whoever comes first builds an image.

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    open("child", "w").close()
else:
    open("up", "w").close()
time.sleep(600)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module", params=["docker", "bubblewrap", "unsafe"])
def runtime(request: pytest.FixtureRequest, data: Path) -> Runtime:
    if request.param != "docker":
        return made(of(request.param), data)
    engine: Engine = request.getfixturevalue("engine")
    return made(of("docker", engine.host), data)


@pytest.fixture
def world(runtime: Runtime, tmp_path: Path) -> World:
    return World(runtime, tmp_path)


def test_exit_code(world: World) -> None:
    assert world.run("raise SystemExit(7)") == 7


def test_end_by_a_signal(world: World) -> None:
    assert world.run("import os; os.kill(os.getpid(), 9)") == 128 + 9


def test_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not for the agent")
    found = world.ask(
        "import os; print(json.dumps(dict(os.environ)))", environment={"ASKED": "a b", "LANG": "C"}
    )
    needed = {"PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH", "PWD", "TMPDIR", "TZ", "LC_CTYPE"}
    assert found["ASKED"] == "a b"
    assert found["LANG"] == "C"
    assert set(found) - needed == {"ASKED", "LANG"}
    assert Path(found["HOME"]).name


def test_mounts(world: World) -> None:
    world.run(
        "import os; text = open(os.environ['GIVEN'] + '/letter.txt').read()\n"
        "open('answer.txt', 'w').write(text + ', read')"
    )
    assert (world.group / "answer.txt").read_text() == "for the agent, read"


def test_python_is_one_that_has_the_agent(world: World) -> None:
    (world.group / "msgspec.py").write_text("raise SystemExit(5)")
    code = "import agent_runner.protocol, asyncinotify, sys; print(json.dumps(sys.version))"
    assert world.ask(code) == sys.version


def test_output_log_keeps_the_end(world: World) -> None:
    code = "import sys\nfor n in range(60000): print('x' * 50, n, file=sys.stderr)"
    assert world.run(code) == 0
    assert LOG_LIMIT // 4 < world.log.stat().st_size <= LOG_LIMIT
    assert world.log.read_text().endswith(" 59999\n")


def test_a_file_can_only_grow_so_far(world: World) -> None:
    code = textwrap.dedent("""
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            open("large", "wb").write(bytes(9 << 20))
            raise SystemExit("it was written")
        except OSError as error:
            print(error.errno)
    """)
    assert world.run(code) == 0, world.log.read_text()
    assert (world.group / "large").stat().st_size <= 8 << 20


def test_who_is_asked_to_leave_may_end_by_itself(world: World) -> None:
    async def story() -> int:
        code = f"{world.staying}; raise SystemExit(3)"
        async with world.started(code) as place:
            await world.appears("up")
            return await place.stop(PATIENCE)

    assert asyncio.run(story()) == 3


def test_stop_ends_who_will_not_leave(world: World) -> None:
    async def story() -> int:
        async with world.started(STUBBORN) as place:
            await world.appears("up")
            await world.appears("child")
            assert await world.lives()
            return await place.stop(0.05)

    assert asyncio.run(story()) == 128 + 9


def test_it_is_known_to_live_until_the_end(world: World) -> None:
    async def story() -> None:
        async with world.started(world.staying) as place:
            await world.appears("up")
            assert await world.lives()
            await place.stop(PATIENCE)
            await world.gone()

    asyncio.run(story())


def test_waiting_and_stopping_several_times(world: World) -> None:
    async def story() -> list[int]:
        async with world.started(f"{world.staying}; raise SystemExit(4)") as place:
            await world.appears("up")
            codes = await asyncio.gather(place.wait(), place.wait(), place.stop(PATIENCE))
            return [*codes, await place.wait(), await place.stop(0)]

    assert asyncio.run(story()) == [4] * 5


def test_who_waits_may_be_cancelled(world: World) -> None:
    async def story() -> int:
        code = f"{world.staying}; raise SystemExit(6)"
        async with world.started(code) as place:
            await world.appears("up")
            waiting = asyncio.create_task(place.wait())
            await asyncio.sleep(0)
            waiting.cancel()
            return await place.stop(PATIENCE)

    assert asyncio.run(story()) == 6


def test_missing_source(world: World) -> None:
    mounts = (*world.mounts, Mount(world.root / "nowhere", "/workspace/extra"))
    with pytest.raises(SandboxUnavailable, match="nowhere"):
        world.run("pass", mounts=mounts)


HOST = """
import asyncio, sys
from pathlib import Path
from tests.sandboxes import World, made, of
name, engine, data, root = sys.argv[1:]
async def story():
    world = World(made(of(name, engine), Path(data)), Path(root))
    code = f"{world.staying}; print('last words'); raise SystemExit(9)"
    async with world.started(code):
        await world.appears("up")
        print("up", flush=True)
        await asyncio.sleep(600)
asyncio.run(story())
"""


def test_when_its_host_is_killed(
    world: World,
    data: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """It ends with its host; or it lives on, can be adopted, and ends as if nothing had been."""
    name = world.runtime.name
    engine = request.getfixturevalue("engine").host if name == "docker" else ""
    root = tmp_path_factory.mktemp("inner")
    process = subprocess.Popen(
        [sys.executable, "-c", HOST, name, engine, str(data), str(root)],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        env={**os.environ},
    )
    with process:
        assert process.stdout is not None
        said = b""
        while said != b"up\n":
            said = process.stdout.readline()
            assert said, "the host ended"
        process.send_signal(signal.SIGKILL)
    asyncio.run(_afterwards(World(world.runtime, root)))


async def _afterwards(world: World) -> None:
    if world.runtime.outlives_worker:
        assert await world.lives()
        place = await world.runtime.adopt(world.labels, world.log)
        assert place is not None
        assert place.name.startswith("pynchy-test")
        assert await place.stop(PATIENCE) == 9
        assert world.log.read_text() == "last words\n"
    await world.gone()
    assert await world.runtime.adopt(world.labels, world.log) is None


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)
