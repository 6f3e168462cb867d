"""A Docker engine of the tests' own: `dockerd` on a socket, data and state of its own, and a base
image made of this machine's Python and a few of its programs, so that nothing is downloaded. The
engine is shared by all workers of a test run; the last one to leave ends it and all it started."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pynchy_cli.sandbox import image
from pynchy_cli.sandbox.engine import Address, connect

IMAGE = "pynchy-agent:latest"
BASE = "pynchy-base:test"
AS_USER = "PYNCHY_TEST_AS_USER"
"""Set where the tests run once more as another user."""
PATIENCE = 60.0
PROGRAMS = (
    *("sh", "bash", "cat", "ls", "mkdir", "rm", "ln", "mv", "cp", "chmod", "chown", "id", "env"),
    *("sleep", "grep", "true", "touch", "find", "du", "test", "head", "ps", "mount"),
)
LIBRARIES = (
    *("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
"""What packages of compiled code need besides."""
LEFT_OUT = {"test", "idlelib", "site-packages", "__pycache__", "ensurepip", "lib2to3", "tkinter"}


class Engine:
    """One `dockerd`. Where it is killed, whoever started it may start it again."""

    def __init__(self, root: Path, *, keeps_containers: bool = False) -> None:
        self.root = root
        self.socket = root / "s"
        self._keeps_containers = keeps_containers

    @property
    def host(self) -> str:
        """What DOCKER_HOST is to be."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The daemon's process, as it wrote it down itself."""
        return int((self.root / "pid").read_text())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        (self.root / "pid").unlink(missing_ok=True)
        command = [
            *("setsid", "--fork", "dockerd", "--host", self.host, "--group=root"),
            *("--data-root", str(self.root / "data"), "--exec-root", str(self.root / "exec")),
            *("--pidfile", str(self.root / "pid")),
            *("--iptables=false", "--ip6tables=false", "--bridge=none"),
            *(["--live-restore"] if self._keeps_containers else []),
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

    def kill(self) -> None:
        """Kill the daemon, and not what it started."""
        process = psutil.Process(self.pid)
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
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            process.send_signal(signal.SIGTERM)
            _await_end(process)
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
def shared(key: str) -> Iterator[Engine]:
    """The engine of this test run, started by whoever comes first and ended by whoever leaves
    last. A socket's path must be short, so it doesn't lie in pytest's folders."""
    root = Path(tempfile.gettempdir()) / f"pynchy-{key[-12:]}"
    root.mkdir(mode=0o700, exist_ok=True)
    engine = Engine(root / "e")
    with (root / "users").open("a+") as users:
        with _alone(users):
            if not _living(users):
                shutil.rmtree(engine.root, ignore_errors=True)
                engine.root.mkdir()
                engine.start()
                import_base(engine)
                build_image(engine)
            users.write(f"{os.getpid()}\n")
            users.flush()
        try:
            yield engine
        finally:
            with _alone(users):
                left = _living(users) - {os.getpid()}
                users.truncate(0)
                users.write("".join(f"{pid}\n" for pid in left))
                users.flush()
                if not left:
                    engine.stop()
                    shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def _alone(file: io.TextIOBase) -> Iterator[None]:
    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _living(users: io.TextIOBase) -> set[int]:
    users.seek(0)
    return {int(line) for line in users.read().split() if psutil.pid_exists(int(line))}


def import_base(engine: Engine) -> None:
    """Make the base image: this Python at /opt/python, a shell and a few programs."""
    with tempfile.TemporaryDirectory(prefix="pynchy-base-") as folder:
        root = Path(folder) / "root"
        _fill(root)
        import_root(engine, root, BASE)


def import_root(engine: Engine, root: Path, name: str) -> None:
    """Make an image of a folder that has this Python."""
    archive = root.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(root, arcname="/")
    path = "/opt/python/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    engine.docker("import", "--change", f"ENV PATH={path}", str(archive), name)


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
        ignore=lambda _, names: {n for n in names if n in LEFT_OUT or n.startswith("config-")},
    )
    (root / "opt/python/bin").mkdir()
    shutil.copy2(prefix / "bin" / version, root / "opt/python/bin" / version)
    for name in ("python", "python3"):
        (root / "opt/python/bin" / name).symlink_to(version)
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy2(library, root / "opt/python/lib", follow_symlinks=False)
    return [prefix / "bin" / version, *(prefix / "lib" / version / "lib-dynload").glob("*.so")]


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
