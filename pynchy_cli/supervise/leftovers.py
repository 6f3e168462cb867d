"""Stages that an earlier supervisor of this home left behind, for it was killed. The kernel asked
them to stop when it died; those that don't, or can't, are ended here. Where the system doesn't let
us know a process for sure (outside of Linux), none is found."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

MARK = "PYNCHY_UP"
"""Environment of what is supervised: the home."""
NAME = "PYNCHY_UP_STAGE"
KILLED = 5.0
"""Seconds in which a killed process ends."""


@dataclass(frozen=True)
class Leftover:
    """A process, and the descriptor by which it is known however often its number is used again."""

    pid: int
    pidfd: int

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still is there."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.pidfd, number)

    async def end(self, grace: float) -> bool:
        """Ask it to stop, and after `grace` seconds kill it with its group; whether that was
        needed. Cancelled, it kills at once."""
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.pidfd, ended.set)
        try:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), grace)
            return not ended.is_set()
        finally:
            if not ended.is_set():
                self._kill()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), KILLED)
            loop.remove_reader(self.pidfd)
            os.close(self.pidfd)

    def _kill(self) -> None:
        with contextlib.suppress(OSError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
        self.signal(signal.SIGKILL)


def find(home: Path, processes: Path = Path("/proc")) -> dict[str, list[Leftover]]:
    """Name of a stage -> what is left of it, for this home."""
    found: dict[str, list[Leftover]] = defaultdict(list)
    if not hasattr(os, "pidfd_open") or not processes.is_dir():
        return found
    for entry in processes.iterdir():
        if entry.name.isdecimal() and entry.name != str(os.getpid()):
            _add(found, int(entry.name), entry / "environ", os.fsencode(f"{MARK}={home}"))
    return found


def _add(found: dict[str, list[Leftover]], pid: int, environ: Path, mark: bytes) -> None:
    try:
        if mark not in environ.read_bytes().split(b"\0"):
            return
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        words = environ.read_bytes().split(b"\0")  # of the process that the descriptor is for
    except OSError:
        words = []
    name = next((one for one in words if one.startswith(f"{NAME}=".encode())), b"")
    if mark in words and name:
        found[os.fsdecode(name).partition("=")[2]].append(Leftover(pid, pidfd))
    else:
        os.close(pidfd)
