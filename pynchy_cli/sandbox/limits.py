"""What a sandbox may use up. Limits of a process are set inside, where bubblewrap's user
namespace counts the sandbox's own processes and nobody else's; memory is a control group,
because a limit on address space kills the Claude command line, which reserves far more than
it uses."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.sandbox.base import Limits

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "pynchy-"
STALE = 60.0
"""Seconds after which an empty control group was left behind by somebody who died."""
OPEN_FILES = 4096
COUNTS_BY_NAMESPACE = (5, 14)
"""Since this kernel the process limit is counted for each user namespace."""


def prefix(limits: Limits) -> list[str]:
    """The command that sets the limits of whatever follows it."""
    found = [
        shutil.which("prlimit") or "/usr/bin/prlimit",
        "--core=0",
        f"--fsize={_within(resource.RLIMIT_FSIZE, limits.file_size)}",
        f"--nofile={_within(resource.RLIMIT_NOFILE, OPEN_FILES)}",
    ]
    if counts_processes():
        found.append(f"--nproc={_within(resource.RLIMIT_NPROC, limits.processes)}")
    return found


def counts_processes() -> bool:
    """Whether a limit of processes can be had that doesn't count those of others."""
    release = os.uname().release.split("-")[0].split(".")
    kernel = tuple(int(part) for part in release[:2] if part.isdigit())
    return os.geteuid() == 0 or kernel >= COUNTS_BY_NAMESPACE


def _within(kind: int, wanted: int) -> int:
    """A limit can't be raised over the one that we have ourselves."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


@dataclass(frozen=True)
class MemoryGroup:
    """A control group that bounds the memory of what joins it."""

    path: Path

    def join(self, pid: int) -> None:
        """Put a process, with all that it will start, into the group. Takes some 10 ms."""
        (self.path / "cgroup.procs").write_text(str(pid))

    async def remove(self) -> None:
        """Take it away once its last process is gone; `sweep` does it if that takes longer."""
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.path.rmdir()
            if not self.path.exists():
                return
            await asyncio.sleep(0.01)


def has_memory_groups() -> bool:
    """Whether memory can be limited."""
    return _parent() is not None


def memory_group(limit: int) -> MemoryGroup | None:
    """A new control group of at most `limit` bytes, or None where none can be had."""
    parent = _parent()
    if parent is None:
        return None
    group = MemoryGroup(parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        group.path.mkdir()
        first, *others = _LIMITS[_is_unified()]
        (group.path / first).write_text(str(limit))
        for name in others:
            with contextlib.suppress(OSError):  # A kernel without an account of swap.
                (group.path / name).write_text(str(0 if _is_unified() else limit))
    except OSError:
        with contextlib.suppress(OSError):
            group.path.rmdir()
        return None
    return group


_LIMITS = {
    True: ("memory.max", "memory.swap.max"),
    False: ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
}


def sweep() -> None:
    """Take away the empty control groups of those who died."""
    parent = _parent()
    if parent is None:
        return
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # One in use can't be removed.
            if time.time() - path.stat().st_mtime > STALE:
                path.rmdir()


def _is_unified() -> bool:
    return (CGROUPS / "cgroup.controllers").exists()


def _parent() -> Path | None:
    """Where control groups for memory can be made; only root can."""
    if os.geteuid() != 0:
        return None
    if _is_unified():
        with contextlib.suppress(OSError):
            if "memory" in (CGROUPS / "cgroup.subtree_control").read_text().split():
                return CGROUPS
        return None
    own = _own_group()
    for path in (CGROUPS / "memory" / own.lstrip("/"), CGROUPS / "memory"):
        if (path / "memory.limit_in_bytes").exists() and os.access(path, os.W_OK):
            return path
    return None


def _own_group() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                return path
    return "/"
