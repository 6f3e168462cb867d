"""How bubblewrap is called, and a trial of whether that works here: kernels, containers and
security modules forbid user namespaces in more ways than could be asked for one by one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.sandbox import syscalls, view

INSTALL = (
    "Install it with `apt install bubblewrap`, `dnf install bubblewrap`, "
    "`pacman -S bubblewrap` or `apk add bubblewrap`."
)
STAGE = "/run"
"""The folder that root covers to bind the sources there; every Linux has it, and no program
that the sandbox sees lies in it."""
NOBODY = 65534
PATIENCE = 20.0
"""Seconds that the trial may take."""
SWITCHES = (
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)
"""Below /proc/sys: the file, the value that forbids user namespaces, what allows them."""


@dataclass(frozen=True)
class Verdict:
    """Whether bubblewrap can be used, and which it is. `problem` is a sentence or None;
    `filter` refuses calls of the kernel, and is None where that can't be had."""

    problem: str | None
    version: tuple[int, ...] = ()
    filter: bytes | None = None


def judge(program: str | None) -> Verdict:
    """Look for all that is needed, and make a sandbox that does nothing."""
    if sys.platform != "linux":
        return Verdict("The runtime bubblewrap needs Linux.")
    if program is None:
        return Verdict(f"bubblewrap is not installed: there is no `bwrap` in PATH. {INSTALL}")
    if shutil.which("prlimit") is None:
        return Verdict("There is no `prlimit` in PATH; it belongs to util-linux.")
    if not view.interpreter().exists():
        return Verdict(f"This Python's own program is not at {view.interpreter()}.")
    version = _version(program)
    machine = syscalls.here()
    if machine is not None:
        wanted = syscalls.program(machine)
        if _try(program, version, wanted) is None:
            return Verdict(None, version, wanted)
    return Verdict(_try(program, version, None), version)


def _try(program: str, version: tuple[int, ...], refusing: bytes | None) -> str | None:
    """Make a sandbox that does nothing; why that can't be done, or None."""
    words = [*view.isolation(version), "--hostname", "pynchy-trial", *view.system()]
    words += ["--remount-ro", "/proc"]
    dropped = dropping(NOBODY, "", []) if os.geteuid() == 0 else []
    with Options(words, refusing) as options:
        try:
            done = subprocess.run(
                [*dropped, program, *options.arguments, "--", "true"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE,
                env=environment(),
                pass_fds=options.descriptors,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap can't be started: {error}."
    if done.returncode == 0:
        return None
    said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return f"bubblewrap can't make a sandbox here ({said}). {_advice()}"


def _version(program: str) -> tuple[int, ...]:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else ()


def _advice() -> str:
    for name, forbidden, allowed in SWITCHES:
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text().strip() == forbidden:
            return f"This kernel forbids user namespaces: `sysctl -w {allowed}` allows them."
    if os.geteuid() == 0:
        return "As root it needs CAP_SYS_ADMIN; a container has it only when it is given."
    return "The kernel, a container or a security module forbids user namespaces."


def dropping(uid: int, cgroup: str, sources: Sequence[str], foreign: str = "") -> list[str]:
    """The command by which root binds the sources at STAGE and becomes `uid`, once it has been
    put into the control group of that name, if any. `foreign` is what `foreign.described` says
    of the sources that are people's."""
    own = [str(uid), str(os.getpid()), cgroup, STAGE, *sources]
    return [*script(), *own, *(["+", foreign] if foreign else []), "--"]


def script() -> list[str]:
    """The command that runs root's script."""
    place = Path(__file__).with_name("drop.py")
    return [str(view.interpreter()), "-I", "-S", str(place)]


def environment() -> dict[str, str]:
    """What bubblewrap itself gets of the environment: what our Python may need to start."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


class Options:
    """What bubblewrap reads from descriptors: its arguments, so that no command line that
    others can see shows them, and the filter of calls."""

    def __init__(self, words: Sequence[str], refusing: bytes | None) -> None:
        self._open: list[int] = []
        if refusing is not None:
            words = [*words, "--seccomp", str(self._in_memory(refusing))]
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        self.arguments = ("--args", str(self._in_memory(text)))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What bubblewrap must inherit."""
        return tuple(self._open)

    def __enter__(self) -> Options:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop())

    def _in_memory(self, data: bytes) -> int:
        fd = os.memfd_create("bubblewrap", os.MFD_CLOEXEC)
        self._open.append(fd)
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd
