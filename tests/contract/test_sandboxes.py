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

from pynchy_cli import locks
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox.base import Mount, Runtime
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from pynchy_cli.sandbox.process import LOG_LIMIT
from pynchy_cli.sandbox.unsafe import Unsafe
from tests.sandboxes import CHECKOUT, PATIENCE, World, again_as_user, made, until

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


@pytest.fixture(scope="module", params=[Bubblewrap, Unsafe])
def runtime(request: pytest.FixtureRequest, data: Path) -> Runtime:
    return made(request.param(), data)


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


def test_leash(world: World) -> None:
    async def story() -> int:
        code = "import sys; open('up', 'w').close(); sys.stdin.read(); raise SystemExit(3)"
        async with world.started(code) as place:
            await world.appears("up")
            return await place.stop(PATIENCE)

    assert asyncio.run(story()) == 3


def test_stop_ends_who_will_not_leave(world: World) -> None:
    async def story() -> int:
        async with world.started(STUBBORN) as place:
            await world.appears("up")
            await world.appears("child")
            assert locks.is_held(world.lease)
            return await place.stop(0.05)

    assert asyncio.run(story()) == 128 + 9


def test_lease_is_held_until_the_end(world: World) -> None:
    async def story() -> None:
        code = "import sys; open('up', 'w').close(); sys.stdin.read()"
        async with world.started(code) as place:
            await world.appears("up")
            assert locks.is_held(world.lease)
            await place.stop(PATIENCE)
            await until(lambda: not locks.is_held(world.lease))

    asyncio.run(story())


def test_waiting_and_stopping_several_times(world: World) -> None:
    async def story() -> list[int]:
        async with world.started("raise SystemExit(4)") as place:
            codes = await asyncio.gather(place.wait(), place.wait(), place.stop(PATIENCE))
            return [*codes, await place.wait(), await place.stop(0)]

    assert asyncio.run(story()) == [4] * 5


def test_who_waits_may_be_cancelled(world: World) -> None:
    async def story() -> int:
        async with world.started("import sys; sys.stdin.read(); raise SystemExit(6)") as place:
            waiting = asyncio.create_task(place.wait())
            await asyncio.sleep(0)
            waiting.cancel()
            return await place.stop(PATIENCE)

    assert asyncio.run(story()) == 6


def test_missing_source(world: World) -> None:
    mounts = (*world.mounts, Mount(world.root / "nowhere", "/workspace/extra"))
    with pytest.raises(SandboxUnavailable, match="nowhere"):
        world.run("pass", mounts=mounts)


def test_no_process_outlives_its_host(world: World, data: Path) -> None:
    (world.root / "inner").mkdir()
    host = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from pynchy_cli.sandbox.bubblewrap import Bubblewrap
        from pynchy_cli.sandbox.unsafe import Unsafe
        from tests.sandboxes import World, made
        async def story():
            runtime = made({type(world.runtime).__name__}(), Path({str(data)!r}))
            world = World(runtime, Path({str(world.root / "inner")!r}))
            async with world.started("import time; open('up', 'w').close(); time.sleep(600)"):
                await world.appears("up")
                print("up", flush=True)
                await asyncio.sleep(600)
        asyncio.run(story())
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", host], stdout=subprocess.PIPE, cwd=CHECKOUT, env={**os.environ}
    )
    with process:
        assert process.stdout is not None
        said = b""
        while said != b"up\n":
            said = process.stdout.readline()
            assert said, "the host ended"
        lease = world.root / "inner" / "sandbox.lock"
        assert locks.is_held(lease)
        process.send_signal(signal.SIGKILL)
    asyncio.run(until(lambda: not locks.is_held(lease)))


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)
