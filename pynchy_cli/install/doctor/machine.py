"""What this machine must give: a Python, packages, and room in the kernel's tables."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from pynchy_cli.agent import cores
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, unknown, warning
from pynchy_cli.sandbox.packages import ROOTS, closure

PYTHON = (3, 11)
SQLITE = (3, 37)
"""The first with STRICT tables."""
LEAST = {"max_user_instances": 32, "max_user_watches": 4096}
"""What stages, sandboxes and whoever else has this uid need of inotify."""
OPEN_FILES = 1024
TEMPORARY = 64 * 1024**2
"""Bytes that must be free for temporary files, such as what an image is built of."""
_NEEDS = re.compile(r"[A-Za-z0-9._-]+")
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def python(facts: Facts) -> Iterator[Seen]:
    """Python is new enough."""
    yield _at_least("Python", facts.python, PYTHON, "Install a newer Python, then pynchy again.")


def sqlite(facts: Facts) -> Iterator[Seen]:
    """SQLite has the tables that we use."""
    todo = "Install a Python with a newer SQLite, or the system's newer libsqlite3."
    yield _at_least("SQLite", facts.sqlite, SQLITE, todo)


def _at_least(what: str, have: tuple[int, ...], least: tuple[int, ...], todo: str) -> Seen:
    said = f"{what} {_dotted(have)}"
    if have >= least:
        return ok(f"{said}.")
    return failed(f"{said}, and {_dotted(least)} is needed.", todo)


def packages(facts: Facts) -> Iterator[Seen]:
    """All that is required is installed, in the versions of the lock where there is one."""
    try:
        required = distribution("pynchy").requires or []
    except PackageNotFoundError:
        yield unknown("pynchy itself is not an installed package: it runs from a folder.")
        return
    wanted = [line for line in required if "extra ==" not in line]
    names = [found[0] for line in wanted if (found := _NEEDS.match(line))]
    missing = [name for name in names if _version(name) is None and not _foreign(name, wanted)]
    if missing:
        yield failed(f"Not installed: {', '.join(missing)}.", _again(facts))
        return
    lock = facts.code.parent / "requirements.lock"
    locked = dict(_LOCKED.findall(lock.read_text())) if lock.is_file() else {}
    other = [
        f"{name} {have} instead of {want}"
        for name, want in locked.items()
        if (have := _version(name)) not in (None, want)
    ]
    if other:
        yield warning(f"Other versions than those of the lock: {', '.join(other)}.", _again(facts))
        return
    yield ok(f"{len(names)} packages are there{', as locked' if locked else ''}.")


def agents_packages(facts: Facts) -> Iterator[Seen]:
    """All packages that agents need in their sandboxes are installed."""
    wanted = cores.packages(cores.chosen(facts.settings))
    try:
        found = [closure((one,)) for one in (*ROOTS, *wanted)]
        nameless = next((one.name for each in found for one in each if one.files is None), None)
    except SandboxUnavailable as error:
        yield failed(str(error), _again(facts))
        return
    if nameless:
        said = f"The package {nameless} has no list of its files, so no sandbox can be given it."
        yield failed(said, "Install it with pip or uv.")
        return
    yield ok(f"{', '.join((*ROOTS, *wanted))} are there, with all that they need.")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _foreign(name: str, wanted: list[str]) -> bool:
    """Whether a requirement is only for other platforms."""
    import sys

    line = next(one for one in wanted if one.startswith(name))
    return "sys_platform" in line and sys.platform not in line


def _again(facts: Facts) -> str:
    is_checkout = (facts.code.parent / "Makefile").is_file()
    return f"`make -C {facts.code.parent} setup`." if is_checkout else "Install pynchy again."


def inotify(facts: Facts) -> Iterator[Seen]:
    """The kernel lets us watch files: without it nobody is woken."""
    for name, least in LEAST.items():
        text = facts.proc(f"proc/sys/fs/inotify/{name}")
        if text is None or not text.isdecimal():
            yield unknown(f"This system doesn't tell fs.inotify.{name}.")
        elif int(text) < least:
            yield failed(
                f"fs.inotify.{name} is {text}, and {least} are needed: stages wake late, or end.",
                f"`sysctl -w fs.inotify.{name}={max(least, 128)}`, and put it into /etc/sysctl.d.",
            )
        else:
            yield ok(f"fs.inotify.{name} is {text}.")


def files(facts: Facts) -> Iterator[Seen]:
    """A process may have enough files open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < OPEN_FILES:
        yield warning(
            f"A process may have {soft} files open; with many sandboxes more are needed.",
            f"`ulimit -n {OPEN_FILES}` before `pynchy up`, or LimitNOFILE= in its unit.",
        )
    else:
        yield ok(f"A process may have {soft} files open.")


def memory(facts: Facts) -> Iterator[Seen]:
    """There is memory for a sandbox."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", facts.proc("proc/meminfo") or "", re.MULTILINE)
    if found is None:
        yield unknown("This system doesn't tell how much memory is free.")
        return
    free, wanted = int(found[1]) * 1024, facts.settings.sandbox.memory
    said = f"{free // 1024**2} MiB of memory are free"
    if free < min(wanted, 512 * 1024**2):
        yield warning(
            f"{said}; a sandbox may take {wanted // 1024**2} MiB.",
            "End something else, or lower memory and max_warm below [sandbox].",
        )
    else:
        yield ok(f"{said}.")


def temporary(facts: Facts) -> Iterator[Seen]:
    """The folder for temporary files can be written, and has room."""
    folder = Path(facts.environ.get("TMPDIR") or "/tmp")
    todo = "Make room there, or set TMPDIR to a folder of yours, for what runs, too."
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield failed(f"{folder} can't be written.", todo)
        return
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < TEMPORARY:
        yield failed(f"{free // 1024**2} MiB are free in {folder}.", todo)
    else:
        yield ok(f"{free // 1024**2} MiB are free in {folder}.")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
