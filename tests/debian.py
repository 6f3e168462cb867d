"""A small Debian of this machine's release, as images of the tests' engine: as somebody has it who
has just cloned the project, and with this machine's Python; and a machine made of the latter, with
systemd as its first process and this checkout in it. It is made by debootstrap once in a test run,
for all who ask, and taken away with the engine."""

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

from tests.engine import Engine, add_libraries, add_python, alone, import_root

FRESH = "pynchy-debian:test"
IMAGE = "pynchy-base:debian"
INCLUDED = (
    *("ca-certificates", "make", "python3", "python3-pip", "python3-venv", "bubblewrap"),
    *("dbus", "dbus-user-session", "libpam-systemd", "procps", "systemd", "systemd-sysv"),
)
"""What is in it besides what every Debian has: what a person needs who has just cloned the project,
and what units need."""
CERTIFICATES = Path("/etc/ssl/certs")
PIP_CONFIGURATIONS = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
HANDED_ON = ("PIP_", "SSL_CERT", "REQUESTS_CA", "CURL_CA")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
PYTHON = "/opt/python/bin/python"
PATIENCE = 60.0
MAKING = 500.0
CHECKOUT = Path(__file__).parent.parent
CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH")


def fresh(engine: Engine) -> str:
    """The name of the image of a Debian that nothing was added to; whoever asks first makes it.
    Skips, or in CI fails, without debootstrap."""
    with alone(_place(engine)):
        if not _is_there(engine, FRESH):
            import_root(engine, _root(engine), FRESH)
    return FRESH


def image(engine: Engine) -> str:
    """The same with this machine's Python."""
    with alone(_place(engine)):
        if not _is_there(engine, IMAGE):
            with tempfile.TemporaryDirectory(prefix="pynchy-debian-") as folder:
                root = Path(folder) / "root"
                made = str(_root(engine))
                subprocess.run(["cp", "--archive", "--reflink=auto", made, str(root)], check=True)
                add_libraries(root, add_python(root))
                import_root(engine, root, IMAGE)
    return IMAGE


def _place(engine: Engine) -> Path:
    return engine.root.parent / "debian"


def _is_there(engine: Engine, name: str) -> bool:
    return engine.docker("image", "inspect", name, check=False).returncode == 0


def _root(engine: Engine) -> Path:
    """Its folder, which nobody changes."""
    program = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        why = "debootstrap is not installed"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    root, made = _place(engine) / "root", _place(engine) / "made"
    if not made.exists():
        shutil.rmtree(root, ignore_errors=True)
        suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
        options = ("--variant=minbase", f"--include={','.join(INCLUDED)}")
        command = [program, *options, suite, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAKING, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        shutil.rmtree(root / "var/cache/apt/archives")
        made.touch()
    return root


def reaching() -> list[str]:
    """Options of `docker run` with which a container reaches package indexes as this machine does:
    its network, its certificates, and how its pip is told where to look."""
    person = Path("~").expanduser()
    found = ["--network", "host", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"]
    for name in PIP_CONFIGURATIONS:
        path = Path(name).expanduser()
        if path.exists():
            inside = Path("/root") / path.relative_to(person) if name.startswith("~") else path
            found += ["--volume", f"{path}:{inside}:ro"]
    for name in os.environ:
        if name.startswith(HANDED_ON) or name.lower() in PROXIES:
            found += ["--env", name]
    return found


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
