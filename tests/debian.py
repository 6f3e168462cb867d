"""A real, small Debian of this machine's release for the tests' engine: made by debootstrap once in
a test run, for all who ask, and taken away with the engine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import engine as engines
from tests.engine import Engine

IMAGE = "pynchy-debian:test"
INCLUDED = (
    *("ca-certificates", "make", "python3", "python3-pip", "python3-venv"),
    *("bubblewrap", "dbus", "systemd", "systemd-sysv"),
)
"""What is in it besides what every Debian has: what a person needs who has just cloned the project,
and what units need."""
CERTIFICATES = Path("/etc/ssl/certs")
PIP_CONFIGURATIONS = ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
HANDED_ON = ("PIP_", "SSL_CERT", "REQUESTS_CA", "CURL_CA")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def root(engine: Engine) -> Path:
    """Its folder. Whoever changes it does so in a copy (`cp --archive`)."""
    program = shutil.which("debootstrap", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        why = "debootstrap is not installed"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    place = engine.root.parent / "debian"
    with engines.alone(place):
        if not (place / "made").exists():
            shutil.rmtree(place / "root", ignore_errors=True)
            suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
            options = ("--variant=minbase", f"--include={','.join(INCLUDED)}")
            command = [program, *options, suite, str(place / "root")]
            done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
            assert done.returncode == 0, done.stdout[-2000:]
            (place / "made").touch()
    return place / "root"


def image(engine: Engine) -> str:
    """The name of its image, which is in the engine."""
    folder = root(engine)
    with engines.alone(folder.parent):
        if engine.docker("image", "inspect", IMAGE, check=False).returncode != 0:
            engines.import_root(engine, folder, IMAGE)
    return IMAGE


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
