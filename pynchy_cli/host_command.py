"""A command of the host as a child process: in a group of its own, with an end to its time and to
what is kept of its output, and without anything that it has started when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pynchy_cli.errors import CommandUnstartable
from pynchy_cli.output import plain

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
DRAIN = 1.0
"""Seconds in which what is left in the pipe is read once the command has ended."""
KILLED = 5.0
"""Seconds in which a killed process ends, where the kernel and its rights let it."""
LOOK = 0.05
"""Seconds between looks at a child, where the system doesn't tell of its end."""
PIECE = 64 * 1024
GIVEN = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""What a command is given of our environment: nothing that could be a secret."""

How = Literal["ended", "late", "stopped"]


@dataclass(frozen=True)
class Ended:
    """How a command ended: by itself, because its time was over, or because we stop. `code` is its
    exit code as a shell tells it; None where it could not be killed."""

    how: How
    code: int | None
    output: str


class Output:
    """The beginning and the end of what a command prints: half of `kept` bytes of each."""

    def __init__(self, kept: int) -> None:
        self._half = kept // 2
        self._head, self._tail, self._all = bytearray(), bytearray(), 0

    def add(self, piece: bytes) -> None:
        """Keep of a further piece what has room."""
        room = self._half - len(self._head)
        self._head += piece[:room]
        self._tail += piece[room:] if room > 0 else piece
        del self._tail[: -self._half]
        self._all += len(piece)

    def text(self) -> str:
        """What is kept, with a word on what isn't."""
        left_out = self._all - len(self._head) - len(self._tail)
        between = f"\n… {left_out} bytes are left out …\n".encode() if left_out else b""
        return plain((self._head + between + self._tail).decode("utf-8", "replace"))


async def run(
    command: str,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    limit: float,
    kept: int,
    grace: float = GRACE,
    stop: asyncio.Event | None = None,
    started: Callable[[int], None] | None = None,
) -> Ended:
    """Run it by /bin/sh for `limit` seconds at most, then end all that it has started; `stop` ends
    it sooner. It gets the harmless part of our environment, and `environment`. `started` is told
    its process id at once.

    Cancelled, it kills. Raises CommandUnstartable.
    """
    child = _Child(*_start(command, cwd, environment), Output(kept))
    try:
        if started is not None:
            started(child.process.pid)
        how = await child.until(limit, stop)
        if how != "ended":
            await child.terminate(grace)
    finally:
        await child.finish()
    return Ended(how, child.code, child.output.text())


def _start(
    command: str, cwd: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and the descriptor from which its output is read."""
    harmless = {name: os.environ[name] for name in GIVEN if name in os.environ}
    try:
        reader, writer = os.pipe()
    except OSError as error:
        raise CommandUnstartable(f"It can't be started: {_why(error)}.") from error
    try:
        process = subprocess.Popen(
            ("/bin/sh", "-c", command),
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            cwd=cwd,
            env={**harmless, **environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(reader)
        raise CommandUnstartable(f"It can't be started: {_why(error)}.") from error
    finally:
        os.close(writer)
    return process, reader


def _why(error: OSError | ValueError) -> str:
    """What people are told of an error: the system's words, and what they are about."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return error.strerror + (f": {error.filename}" if error.filename else "")


class _Child:
    """A process that leads its group. It is only reaped after the last signal to the group, so
    that its number is nobody else's until then."""

    def __init__(self, process: subprocess.Popen[bytes], reader: int, output: Output) -> None:
        self.process = process
        self.output = output
        self._loop = asyncio.get_running_loop()
        self._is_over, self._is_silent = asyncio.Event(), asyncio.Event()
        self._reader = reader
        self._loop.add_reader(reader, self._read)
        self._pidfd: int | None = None
        self._look: asyncio.TimerHandle | None = None
        try:
            self._pidfd = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            self._poll()
        else:
            self._loop.add_reader(self._pidfd, self._end, self._pidfd)

    @property
    def code(self) -> int | None:
        """Its exit code, as a shell tells it."""
        code = self.process.poll()
        return 128 - code if code is not None and code < 0 else code

    async def until(self, limit: float, stop: asyncio.Event | None) -> How:
        """Wait for its end, the end of its time, or `stop`: what came first."""
        waits = [asyncio.ensure_future(self._is_over.wait())]
        if stop is not None:
            waits.append(asyncio.ensure_future(stop.wait()))
        try:
            done, _ = await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        if self._is_over.is_set():
            return "ended"
        return "stopped" if done else "late"

    async def terminate(self, grace: float) -> None:
        """Ask the group to end, and give it time: what it has started may tidy up, too."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._is_over.wait()
                await self._is_silent.wait()

    async def finish(self) -> None:
        """Kill what is left of the group, and let go of everything."""
        self._signal(signal.SIGKILL)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KILLED):
                    await self._is_over.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN):
                    await self._is_silent.wait()
        finally:
            self._close()

    def _signal(self, number: signal.Signals) -> None:
        # It may have ended, or have become somebody whom we may not signal, as by sudo.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _read(self) -> None:
        piece = os.read(self._reader, PIECE)
        self.output.add(piece)
        if not piece:
            self._loop.remove_reader(self._reader)
            self._is_silent.set()

    def _end(self, pidfd: int) -> None:
        self._loop.remove_reader(pidfd)
        self._is_over.set()

    def _poll(self) -> None:
        if self.process.poll() is None:
            self._look = self._loop.call_later(LOOK, self._poll)
        else:
            self._is_over.set()

    def _close(self) -> None:
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        if self._look is not None:
            self._look.cancel()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
        self.process.poll()
