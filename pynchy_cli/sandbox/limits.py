"""What a process of a sandbox may use up. These limits are set inside, where bubblewrap's user
namespace counts the sandbox's own processes and nobody else's. Memory is none of them, because
a limit on address space kills the Claude command line, which reserves far more than it uses."""

from __future__ import annotations

import os
import resource
import shutil

from pynchy_cli.sandbox.base import Limits

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
