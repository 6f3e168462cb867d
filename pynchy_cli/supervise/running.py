"""One run of a command in a process group of its own: its output line by line, its end, and the end
of all that it leaves in its group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from pynchy_cli.supervise.printer import Lines

LAST_READS = 64
"""Pieces of output that are still read once a process has ended; others may hold its pipe."""


class Running:
    """A process that leads its group. It is only reaped after the last signal to the group, so that
    its number is nobody else's until then. Raises OSError where it can't be started."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._say = say
        self._lines = Lines()
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=environ,
                process_group=0,
            )
        except OSError:
            os.close(self._reading)
            raise
        finally:
            os.close(writing)
        self.pid = self._process.pid
        self._loop.add_reader(self._reading, self._read)
        self._pidfd: int | None = None
        self._await_end()

    async def end(self) -> int:
        """Wait until it ended, and kill what it left; its exit code, or the signal below zero."""
        await self._over.wait()
        self.kill()
        code = self._process.wait()
        for _ in range(LAST_READS):
            if not self._read():
                break
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        self._told(self._lines.feed(b""))
        return code

    def terminate(self) -> None:
        """Ask it to stop."""
        if not self._over.is_set():
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and whatever is left in its group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _await_end(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            ended = self._loop.run_in_executor(None, _until_ended, self.pid)
            ended.add_done_callback(lambda _: self._over.set())
        else:
            self._loop.add_reader(self._pidfd, self._ended, self._pidfd)

    def _ended(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        os.close(pidfd)
        self._over.set()

    def _read(self) -> bool:
        """Tell what can be read now; whether there was something."""
        try:
            data = os.read(self._reading, 65536)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._reading)
            return False
        self._told(self._lines.feed(data))
        return True

    def _told(self, lines: list[str]) -> None:
        for line in lines:
            self._say(line)


def _until_ended(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
