"""A small world for a sandbox: a group's folder, a lease, a log; and the same tests again as
another user, for whom what he can't enter is made enterable in a mount namespace."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import locks
from pynchy_cli.config.settings import Sandbox, Settings
from pynchy_cli.sandbox.base import Limits, Mount, Place, Runtime, Spec
from pynchy_cli.sandbox.bubblewrap import Bubblewrap
from pynchy_cli.sandbox.docker import Docker
from pynchy_cli.sandbox.engine import find
from pynchy_cli.sandbox.unsafe import Unsafe
from tests.engine import AS_USER, BASE

CHECKOUT = Path(__file__).parents[1]
PATIENCE = 30.0
UID = 700_123
USER = 12345
NESTED = AS_USER


LEASHED = "open('up', 'w').close(); import sys; sys.stdin.read()"
SIGNALLED = (
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); "
    "open('up', 'w').close(); signal.sigwait({signal.SIGTERM})"
)
"""Two ways to stay until one is asked to leave: with a worker that holds the leash, and with
one that may be gone. Either makes the file `up` first."""


def of(name: str, host: str = "") -> Runtime:
    """The runtime of that name; Docker at `host`."""
    if name == Docker.name:
        settings = Settings(sandbox=Sandbox(base_image=BASE))
        return Docker(settings, find({"DOCKER_HOST": host}))
    return Bubblewrap() if name == Bubblewrap.name else Unsafe()


def made(runtime: Runtime, data: Path) -> Runtime:
    """The runtime, prepared; the test is skipped, or fails in CI, where it can't be used."""
    if (problem := runtime.problem()) is not None:
        pytest.fail(problem) if os.environ.get("CI") else pytest.skip(problem)
    runtime.prepare(data, print)
    return runtime


class World:
    """One group's folders, and its sandboxes."""

    def __init__(self, runtime: Runtime, root: Path) -> None:
        self.runtime = runtime
        self.root = root
        self.group = root / "group"
        self.given = root / "given"
        for folder in (self.group, self.given):
            folder.mkdir(exist_ok=True)
        (self.given / "letter.txt").write_text("for the agent")
        self.log = root / "stderr"
        self.lease = root / "sandbox.lock"
        self.labels = {
            "home": hashlib.sha256(bytes(root)).hexdigest()[:8],
            "group": "test",
            "session": "s1-1",
            "owner": "1",
            "lane": "chat",
        }
        self.mounts = (
            Mount(self.group, "/workspace/group", writable=True),
            Mount(self.given, "/workspace/given"),
        )

    @property
    def staying(self) -> str:
        """Python that makes the file `up`, and goes on until it is asked to leave."""
        return SIGNALLED if self.runtime.outlives_worker else LEASHED

    async def lives(self, labels: Mapping[str, str] | None = None) -> bool:
        """Whether any process of the sandbox lives."""
        return locks.is_held(self.lease) or await self.runtime.alive(labels or self.labels)

    async def gone(self, labels: Mapping[str, str] | None = None) -> None:
        """Wait until none does."""
        async with asyncio.timeout(PATIENCE):
            while await self.lives(labels):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def inside(self, path: str) -> str:
        """How the agent sees a path of the specification."""
        return self.runtime.inside(path, self.mounts)

    def spec(self, code: str, lease: int, **changes: Any) -> Spec:
        """A sandbox that runs some Python."""
        usual: dict[str, Any] = {
            "name": "pynchy-test",
            "mounts": self.mounts,
            "command": ("python", "-c", code),
            "environment": {"GIVEN": self.inside("/workspace/given")},
            "workdir": "/workspace/group",
            "limits": Limits(memory=256 << 20, processes=64, file_size=8 << 20),
            "uid": UID,
            "lease": lease,
            "log": self.log,
            "labels": self.labels,
        }
        return Spec(**{**usual, **changes})

    @contextlib.asynccontextmanager
    async def started(self, code: str, **changes: Any) -> AsyncIterator[Place]:
        """A sandbox at work; nothing of it is left afterwards."""
        lock = locks.take(self.lease, shared=True)
        assert lock is not None
        try:
            place = await self.runtime.start(self.spec(code, lock.fd, **changes))
        finally:
            lock.release()
        try:
            yield place
        finally:
            await place.stop(0)
            await self.gone(changes.get("labels"))

    async def finish(self, code: str, **changes: Any) -> int:
        """Run some Python to its end, and give the exit code."""
        async with self.started(code, **changes) as place:
            return await asyncio.wait_for(place.wait(), PATIENCE)

    def run(self, code: str, **changes: Any) -> int:
        """The same, in a loop of its own."""
        return asyncio.run(self.finish(code, **changes))

    def ask(self, code: str, **changes: Any) -> Any:
        """Run some Python, and give the value of its last printed line."""
        ended = self.run("import json\n" + code, **changes)
        text = self.log.read_text()
        assert ended == 0, text
        return json.loads(text.splitlines()[-1])

    async def appears(self, name: str) -> None:
        """Wait for a file in the group's folder."""
        await until(lambda: (self.group / name).exists())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody tells us."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def again_as_user(test_file: str) -> None:
    """Run a file of tests once more, as a user who isn't root."""
    if os.environ.get(NESTED) or os.geteuid() != 0:
        pytest.skip("not root: all of these tests were run as a user already")
    made_runtime = Bubblewrap()
    if made_runtime.problem() is not None:
        pytest.skip("the tests themselves say why")
    base = Path(tempfile.mkdtemp(prefix="pynchy-user-"))
    try:
        base.chmod(0o755)
        (base / "stash").mkdir()
        (base / "own").mkdir()
        os.chown(base / "own", USER, USER)
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", _script(base, test_file)],
            capture_output=True,
            text=True,
            timeout=110,
            cwd="/",
            env={
                **{key: os.environ[key] for key in ("PATH", "LANG", "CI") if key in os.environ},
                "HOME": str(base / "own"),
                "PYTHONDONTWRITEBYTECODE": "1",
                NESTED: "1",
            },
        )
    finally:
        shutil.rmtree(base)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def _script(base: Path, test_file: str) -> str:
    """Uncovers what lies below folders that a user can't enter, and runs the tests."""
    stash = shlex.quote(str(base / "stash"))
    lines = ["set -e", f"mount -t tmpfs none {stash}"]
    hidden = {path: gate for path in _needed() if (gate := _gate(path)) is not None}
    for number, path in enumerate(hidden):
        lines.append(f"mkdir {stash}/{number}")
        lines.append(f"mount --rbind {shlex.quote(str(path))} {stash}/{number}")
    for gate in sorted(set(hidden.values())):
        lines.append(f"mount -t tmpfs -o mode=755 none {shlex.quote(str(gate))}")
    for number, path in enumerate(hidden):
        lines.append(f"mkdir -p {shlex.quote(str(path))}")
        lines.append(f"mount --rbind {stash}/{number} {shlex.quote(str(path))}")
    pytest_call = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("-p", "no:randomly", f"--rootdir={CHECKOUT}", f"--basetemp={base / 'own' / 'tmp'}"),
        str(test_file),
    ]
    drop = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
    lines.append("exec " + shlex.join([*drop, *pytest_call]))
    return "\n".join(lines)


def _needed() -> list[Path]:
    return list(dict.fromkeys(Path(p) for p in (sys.base_prefix, sys.prefix, CHECKOUT)))


def _gate(path: Path) -> Path | None:
    for above in reversed(path.parents):
        if not above.stat().st_mode & 0o001:
            return above
    return None
