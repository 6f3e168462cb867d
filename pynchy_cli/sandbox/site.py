"""The agent's own site folder: the packages that agent_runner needs, a copy of agent_runner
itself, and an `etc` with nothing of the host's in it. It is made once for each environment,
so that neither the checkout nor the home is ever bound into a sandbox. It must never hold a
file that not every uid may read, and is never changed once it bears its final name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import agent_runner
from pynchy_cli import locks
from pynchy_cli.errors import SandboxUnavailable

FORMAT = "1"
"""Raised when what a site folder holds changes by this module alone."""
FOLDER = "agent-site"
PATIENCE = 60.0
"""Seconds for which a folder that is being taken away is waited for."""
MOUNT_POINTS = ("ssl", "pki", "ca-certificates", "alternatives")
LOCALTIME = Path("/etc/localtime")

ETC = {
    "passwd": "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
    "agent:x:1000:1000:agent:/home/agent:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "resolv.conf": "",
    "ld.so.cache": "",
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Site:
    """A finished site folder. It is in use, and stays, until `lock` is let go."""

    root: Path
    lock: locks.Lock

    @property
    def packages(self) -> Path:
        """What is on the agent's module path."""
        return self.root / "packages"

    @property
    def etc(self) -> Path:
        """What the agent sees as /etc."""
        return self.root / "etc"


def make(data: Path, say: Say, more: tuple[str, ...] = ()) -> Site:
    """The site folder of this environment, made if need be; those that nobody uses go. It
    holds the packages named in `more`, too.

    Safe for several processes at once. Raises SandboxUnavailable.
    """
    folder = data / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = fingerprint(more)
        site = Site(folder / name, _use(folder, name))
        if not site.root.is_dir():
            _build(site.root, say, more)
        _sweep(folder, name)
    except OSError as error:
        raise SandboxUnavailable(f"The agent's site folder can't be made: {error}.") from error
    return site


def fingerprint(more: tuple[str, ...] = ()) -> str:
    """The name of this environment: it changes with any package installed or removed, with
    `more`, with agent_runner's sources and with Python itself."""
    digest = hashlib.sha256()
    for part in (FORMAT, sys.version, sys.base_prefix, os.path.realpath(LOCALTIME), *more):
        digest.update(part.encode() + b"\0")
    for entry in sorted({path for path in sys.path if path.endswith("-packages")}):
        with contextlib.suppress(FileNotFoundError):
            facts = Path(entry).stat()
            digest.update(f"{entry}\0{facts.st_ino}\0{facts.st_mtime_ns}\0".encode())
    for source in sources():
        digest.update(os.fsencode(source.name) + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def runner() -> Path:
    """The folder of agent_runner on the host."""
    return Path(str(agent_runner.__file__)).parent


def sources() -> Iterator[Path]:
    """The files of agent_runner, in order."""
    for path in sorted(runner().rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _use(folder: Path, name: str) -> locks.Lock:
    """Say that the folder is in use, once nobody is taking it away."""
    until = time.monotonic() + PATIENCE
    while (lock := locks.take(folder / f"{name}.lock", shared=True)) is None:
        if time.monotonic() > until:
            raise SandboxUnavailable(f"Somebody holds {folder / name}.lock for {PATIENCE:g} s.")
        time.sleep(0.01)
    return lock


def _build(final: Path, say: Say, more: tuple[str, ...]) -> None:
    draft = final.with_name(f"{final.name}.{os.getpid()}-{time.monotonic_ns()}")
    lock = locks.take(draft.with_name(f"{draft.name}.lock"))
    assert lock is not None, "nobody else can know this name"
    try:
        _fill(draft, say, more)
        with contextlib.suppress(OSError):  # Somebody else was faster: theirs is as good.
            draft.rename(final)
        if not final.is_dir():
            raise SandboxUnavailable(f"{draft} can't be renamed to {final.name}.")
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        lock.release(remove=True)


def _fill(root: Path, say: Say, more: tuple[str, ...]) -> None:
    # Reads every package's metadata, which takes 40 ms to load and is needed once.
    from pynchy_cli.sandbox import packages

    packages.folder(root)
    packages.fill(root / "packages", say, more)
    inside = root / "packages" / agent_runner.__name__
    for source in sources():
        packages.copy(source, inside / source.relative_to(runner()))
    packages.compile_missing(root / "packages", say)
    for name in MOUNT_POINTS:
        packages.folder(root / "etc" / name)
    _fill_etc(root / "etc")
    packages.flush(root)


def _fill_etc(etc: Path) -> None:
    for name, text in ETC.items():
        (etc / name).write_text(text)
        (etc / name).chmod(0o644)
    zone = os.path.realpath(LOCALTIME)
    if zone.startswith("/usr/"):
        (etc / "localtime").symlink_to(zone)


def _sweep(folder: Path, keep: str) -> None:
    """Take away what nobody uses. A folder loses its final name before its first file."""
    for gone in folder.glob("*.gone"):
        shutil.rmtree(gone, ignore_errors=True)
    for path in folder.glob("*.lock"):
        if path.stem == keep or (lock := locks.take(path)) is None:
            continue
        gone = folder / f"{path.stem}.gone"
        with contextlib.suppress(FileNotFoundError):
            (folder / path.stem).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        lock.release(remove=True)
