"""A Docker engine of the tests' own: `dockerd` on a socket, data and state of its own, and a base
image made of this machine's Python and a few of its programs, so that nothing is downloaded. The
engine is shared by all workers of a test run; the last one to leave ends it and all it started.
What a test run that was killed left behind is taken away by the next one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from pynchy_cli import locks
from pynchy_cli.sandbox import image
from pynchy_cli.sandbox.engine import Address, connect

IMAGE = "pynchy-agent:latest"
BASE = "pynchy-base:test"
AS_USER = "PYNCHY_TEST_AS_USER"
"""Set where the tests run once more as another user."""
PATIENCE = 60.0
BUILDING = 600.0
"""Seconds that the first one who comes may take to build the image."""
PROGRAMS = (
    *("sh", "bash", "cat", "ls", "mkdir", "rm", "ln", "mv", "cp", "chmod", "chown", "id", "env"),
    *("sleep", "grep", "true", "touch", "find", "du", "test", "head", "ps", "mount"),
)
LIBRARIES = (
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
"""What packages of compiled code need besides."""
LEFT_OUT = {"test", "idlelib", "site-packages", "ensurepip", "lib2to3", "tkinter"}


class Engine:
    """One `dockerd`. Where it is killed, whoever started it may start it again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "s"
        self.keeps_containers = False
        """Whether containers go on while it is away, from its next start on."""

    @property
    def host(self) -> str:
        """What DOCKER_HOST is to be."""
        return f"unix://{self.socket}"

    @property
    def daemon(self) -> psutil.Process | None:
        """The daemon's process, as it wrote it down itself; None where that is no such process
        any more, but perhaps somebody else's."""
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.Error):
            process = psutil.Process(int((self.root / "pid").read_text()))
            if str(self.root / "data") in process.cmdline():
                return process
        return None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        (self.root / "pid").unlink(missing_ok=True)
        command = [
            *("setsid", "--fork", "dockerd", "--host", self.host, "--group=root"),
            *("--data-root", str(self.root / "data"), "--exec-root", str(self.root / "exec")),
            *("--pidfile", str(self.root / "pid")),
            *("--iptables=false", "--ip6tables=false", "--bridge=none"),
            *(["--live-restore"] if self.keeps_containers else []),
        ]
        # Nobody's child: whoever started it may leave while others still use it.
        with (self.root / "log").open("ab") as log:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            said = (self.root / "log").read_text()[-2000:]
            assert "failed to start daemon" not in said, said
            assert time.monotonic() < until, said
            time.sleep(0.05)

    def _answers(self) -> bool:
        return self.docker("version", check=False).returncode == 0

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """What the `docker` command says to this engine."""
        return subprocess.run(
            ["docker", "--host", self.host, *arguments],
            capture_output=True,
            text=True,
            check=check,
            timeout=PATIENCE,
            env={"PATH": os.environ["PATH"], "HOME": str(self.root)},
        )

    def await_empty(self, *filters: str) -> None:
        """Wait until it has no container (that the filters find): it lists one for a moment after
        it was removed."""
        options = [part for one in filters for part in ("--filter", one)]
        until = time.monotonic() + PATIENCE
        while self.docker("ps", "--all", "--quiet", *options).stdout:
            assert time.monotonic() < until, self.docker("ps", "--all", *options).stdout
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the daemon, and not what it started."""
        process = self.daemon
        assert process is not None, "it doesn't run"
        helpers = [one for one in process.children() if one.name() == "containerd"]
        process.kill()
        for one in (process, *helpers):
            _await_end(one)
        # Where nobody reaps it, its helper seems to live, and would be waited for in vain.
        for path in self.root.glob("exec/containerd/*.pid"):
            path.unlink()

    def stop(self) -> None:
        """End it with all its containers, and take away all that is its own."""
        ours = f"{self.root}/"
        if (daemon := self.daemon) is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                daemon.send_signal(signal.SIGTERM)
            _await_end(daemon)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, AttributeError):  # It may end meanwhile.
                is_engine = process.name().startswith(("dockerd", "containerd"))
                if is_engine and any(ours in part for part in process.cmdline()):
                    _kill_all(process)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(ours):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.root, ignore_errors=True)


def _await_end(process: psutil.Process) -> None:
    """Wait until a process that isn't our child has ended, reaped or not."""
    until = time.monotonic() + PATIENCE
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
            time.sleep(0.02)


def _kill_all(process: psutil.Process) -> None:
    for one in [*process.children(recursive=True), process]:
        with contextlib.suppress(psutil.Error):
            one.kill()


def unavailable() -> str | None:
    """Why no engine can be started here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Docker engine of one's own needs Linux and root"
    for program in ("dockerd", "docker"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            return f"{program} is not installed (docker.io)"
    return None


def require() -> None:
    """Skip the test where no engine can be had; in CI that is a failure."""
    if os.environ.get(AS_USER):
        pytest.skip("the engine is root's")
    if (why := unavailable()) is not None:
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)


@contextlib.contextmanager
def shared(run: str) -> Iterator[Engine]:
    """The engine of the test run of that name, which no other run has; started by whoever comes
    first and ended by whoever leaves last."""

    def prepare(engine: Engine) -> None:
        engine.start()
        import_base(engine)
        build_image(engine)

    with _engine(f"{PREFIX}{run[-12:]}", prepare) as engine:
        yield engine


@contextlib.contextmanager
def own(*, keeps_containers: bool) -> Iterator[Engine]:
    """An engine that nobody else has, so that it may be killed. It holds nothing yet."""

    def prepare(engine: Engine) -> None:
        engine.keeps_containers = keeps_containers
        engine.start()

    with _engine(f"{PREFIX}{uuid.uuid4().hex[-12:]}", prepare) as engine:
        yield engine


PREFIX = "pynchy-engine-"
"""What the names of all engines' folders begin with. A socket's path must be short, so they
don't lie in pytest's folders."""


@contextlib.contextmanager
def _engine(name: str, prepare: Callable[[Engine], None]) -> Iterator[Engine]:
    """An engine's place; whoever comes first prepares it. Whoever uses it holds a lock that dies
    with its process: where nobody holds one, what there is belongs to nobody."""
    _sweep()
    root = Path(tempfile.gettempdir()) / name
    engine, users = Engine(root / "e"), root / "users"
    with contextlib.ExitStack() as used:
        with alone(root):
            is_new = not locks.is_held(users)
            used.callback(_leave, engine, locks.take(users, shared=True))
            if is_new:
                engine.root.mkdir()
                prepare(engine)
        yield engine


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Be the only one who begins or ends something there."""
    until = time.monotonic() + BUILDING
    while (gate := _gate(root)) is None:
        assert time.monotonic() < until, f"somebody keeps {root}"
        time.sleep(0.05)
    try:
        yield
    finally:
        gate.release()


def _gate(root: Path) -> locks.Lock | None:
    root.mkdir(mode=0o700, exist_ok=True)
    return locks.take(root / "gate")


def _leave(engine: Engine, lock: locks.Lock | None) -> None:
    root = engine.root.parent
    with alone(root):
        if lock is not None:
            lock.release()
        if not locks.is_held(root / "users"):
            engine.stop()
            shutil.rmtree(root, ignore_errors=True)


def _sweep() -> None:
    """End the engines that nobody uses any more: their test run was killed."""
    for root in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            facts = root.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
                continue
        if (gate := _gate(root)) is None:
            continue
        try:
            if not locks.is_held(root / "users"):
                Engine(root / "e").stop()
                shutil.rmtree(root, ignore_errors=True)
        finally:
            gate.release()


def import_base(engine: Engine, name: str = BASE, site: Mapping[str, Path] | None = None) -> None:
    """Make the base image: this Python at /opt/python, a shell and a few programs. With `site`
    an agents' image of that name, which holds these packages and no more."""
    with tempfile.TemporaryDirectory(prefix="pynchy-base-") as folder:
        root = Path(folder) / "root"
        _fill(root)
        for package, source in (site or {}).items():
            shutil.copytree(source, root / "opt/site" / package)
        import_root(engine, root, name, "PYTHONPATH=/opt/site")


def import_root(engine: Engine, root: Path, name: str, *environment: str) -> None:
    """Make an image of a folder that has this Python."""
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname="/")
    path = "PATH=/opt/python/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    changes = [part for one in (path, *environment) for part in ("--change", f"ENV {one}")]
    engine.docker("import", *changes, str(archive), name)


def build_image(engine: Engine) -> None:
    """Make the agents' image on that base."""
    connected = connect(Address(engine.host, engine.socket))
    try:
        image.ensure(connected, image.Choice(IMAGE, BASE), engine.root, print)
    finally:
        connected.close()


def _fill(root: Path) -> None:
    for name in ("bin", "etc", "tmp", "usr/bin", "usr/local/bin", "opt", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    needing = add_python(root)
    for name in PROGRAMS:
        found = Path(shutil.which(name) or f"/bin/{name}").resolve()
        if found.exists() and name not in ("sh",):
            shutil.copy2(found, root / "usr/bin" / name)
            needing.append(found)
    (root / "bin/sh").symlink_to("/usr/bin/bash")
    add_libraries(root, needing)


def add_python(root: Path) -> list[Path]:
    """Put this Python at /opt/python; what of it needs libraries."""
    with (root / "etc/ld.so.conf").open("a") as folders:
        folders.write("/opt/python/lib\n")
    prefix = Path(sys.base_prefix)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.copytree(
        prefix / "lib" / version,
        root / "opt/python/lib" / version,
        symlinks=True,
        ignore=lambda _, names: {name for name in names if _is_left_out(name)},
    )
    (root / "opt/python/bin").mkdir()
    shutil.copy2(prefix / "bin" / version, root / "opt/python/bin" / version)
    for name in ("python", "python3"):
        (root / "opt/python/bin" / name).symlink_to(version)
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy2(library, root / "opt/python/lib", follow_symlinks=False)
    return [prefix / "bin" / version, *(prefix / "lib" / version / "lib-dynload").glob("*.so")]


def _is_left_out(name: str) -> bool:
    return name in LEFT_OUT or name.startswith("config-") or ".opt-" in name


def add_libraries(root: Path, programs: list[Path]) -> None:
    """Put in the libraries that programs need, where they lie here."""
    done = subprocess.run(
        ["ldd", *map(str, programs)], capture_output=True, text=True, check=False
    ).stdout
    found = set(re.findall(r"(?:=> |^\s+)(/\S+)", done, re.MULTILINE))
    system = {Path(name).parent for name in found if Path(name).name == "libc.so.6"}
    found |= {str(folder / name) for folder in system for name in LIBRARIES}
    for name in sorted(found):
        path = Path(name)
        if not path.exists():
            continue
        if path.is_relative_to(sys.base_prefix):
            continue
        target = root / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy2(path.resolve(), target)
    subprocess.run(["ldconfig", "-r", str(root)], check=True, capture_output=True)
