"""A Debian of this machine's release with this machine's Python, as an image of the tests' engine;
and a machine made of it, with systemd as its first process and this checkout in it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynchy_cli import locks
from tests.engine import Engine, add_libraries, add_python, import_root

IMAGE = "pynchy-base:debian"
PACKAGES = "bubblewrap,dbus,dbus-user-session,libpam-systemd,procps,systemd,systemd-sysv"
PYTHON = "/opt/python/bin/python"
PATIENCE = 60.0
MAKING = 500.0
CHECKOUT = Path(__file__).parent.parent
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH")


def image(engine: Engine) -> str:
    """The image's name; whoever asks first makes it. Skips, or in CI fails, without debootstrap."""
    program = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        why = "debootstrap is not installed"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    with _alone(engine.root.parent / "debian"):
        if engine.docker("image", "inspect", IMAGE, check=False).returncode:
            _make(engine, program)
    return IMAGE


def _make(engine: Engine, program: str) -> None:
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    with tempfile.TemporaryDirectory(prefix="pynchy-debian-") as folder:
        root = Path(folder) / "root"
        command = [program, "--variant=minbase", f"--include={PACKAGES}", suite, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        add_libraries(root, add_python(root))
        shutil.rmtree(root / "var/cache/apt/archives")
        import_root(engine, root, IMAGE)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    until = time.monotonic() + MAKING
    while (lock := locks.take(path)) is None:
        assert time.monotonic() < until, f"somebody keeps {path}"
        time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()


class Machine:
    """A container with systemd as its first process, and a user `pynchy`."""

    home = "/var/lib/pynchy/home"

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    def run(self, *command: str, code: int | None = 0, given: str = "") -> str:
        """What a command prints that root runs there, standard error after standard output."""
        done = subprocess.run(
            ["docker", "--host", self._engine.host, "exec", "-i", self._name, *command],
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self._engine.root)},
        )
        if code is not None:
            assert done.returncode == code, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def as_user(self, *command: str, code: int | None = 0) -> str:
        """The same, by the user pynchy in a session of his own."""
        who = ("setpriv", "--reuid=pynchy", "--regid=pynchy", "--init-groups", "env")
        person = ("HOME=/var/lib/pynchy", f"PYNCHY_HOME={self.home}")
        return self.run(*who, *person, "XDG_RUNTIME_DIR=/run/user/1000", *command, code=code)

    def pynchy(self, *arguments: str, code: int | None = 0) -> str:
        """`pynchy`, by its user."""
        return self.as_user(PYTHON, "-m", "pynchy_cli", *arguments, code=code)

    def pynchy_as_root(self, *arguments: str) -> str:
        """`pynchy --home …`, by root."""
        return self.run(PYTHON, "-m", "pynchy_cli", "--home", self.home, *arguments)

    def write(self, path: str, text: str) -> None:
        """Write a file of the user's."""
        self.run(
            "sh",
            "-c",
            f"cat > {path}.new; chown pynchy: {path}.new; mv {path}.new {path}",
            given=text,
        )

    def show(self, unit: str, name: str) -> str:
        """A property of a unit of the system's."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def wait(self, what: Callable[[], bool]) -> None:
        """Wait until something holds there."""
        until = time.monotonic() + PATIENCE
        while not what():
            if time.monotonic() > until:
                raise AssertionError(self.run("journalctl", "--no-pager", "-n", "80"))
            time.sleep(0.2)

    def says(self, group: str, text: str) -> None:
        """Say something to a group, and wait for the echo."""
        self.pynchy("send", group, text)

        def is_answered() -> bool:
            lines = self.pynchy("tail", group, "-n", "3", "--json").splitlines()
            found = [json.loads(line) for line in lines if line.startswith("{")]
            return any(text in one["content"] for one in found if one["type"] == "assistant")

        self.wait(is_answered)


@contextlib.contextmanager
def booted(engine: Engine) -> Iterator[Machine]:
    """A machine that runs, with a home whose agents repeat what they are told."""
    name = f"pynchy-systemd-{uuid.uuid4().hex[:8]}"
    tmpfs = [part for one in ("/run:exec", "/run/lock", "/tmp:exec") for part in ("--tmpfs", one)]
    options = [part for one in CAPABILITIES for part in ("--cap-add", one)]
    for one in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"):
        options += ["--security-opt", one]
    mounts = {
        "/sys/fs/cgroup": "/sys/fs/cgroup:rw",
        str(CHECKOUT): "/opt/checkout:ro",
        sysconfig.get_path("purelib"): "/opt/packages:ro",
    }
    for source, target in mounts.items():
        options += ["--volume", f"{source}:{target}"]
    engine.docker(
        *("run", "--detach", "--name", name, "--network", "none", "--cgroupns=host", *tmpfs),
        *(*options, "--env", "container=docker", image(engine), "/sbin/init"),
    )
    try:
        machine = Machine(engine, name)
        _prepare(machine)
        yield machine
    finally:
        engine.docker("rm", "--force", "--volumes", name)


def _prepare(machine: Machine) -> None:
    site = f"/opt/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    machine.run("mkdir", "-p", site)
    machine.run("tee", f"{site}/checkout.pth", given="/opt/checkout\n/opt/packages\n")
    machine.run("useradd", "--create-home", "--home-dir", "/var/lib/pynchy", "pynchy")
    machine.wait(lambda: "running" in machine.run("systemctl", "is-system-running", code=None))
    machine.pynchy("init", "--yes")
    machine.write(f"{machine.home}/config.toml", '[agent]\ncore = "echo"\n')
