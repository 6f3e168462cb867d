"""A sandbox's outermost process on the host: its leash, what it writes to standard error, its
end. It knows nothing of how the sandbox is made; it must never leave a process behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from pynchy_cli.errors import SandboxUnavailable

PIECE = 65536
LOG_LIMIT = 1 << 20
"""Bytes kept of what a sandbox writes to standard output and error."""
LAST_WORDS = 5.0
"""Seconds in which the rest of the log must arrive once the outermost process has ended."""


class BoundedLog:
    """A file that keeps the end of what is written to it."""

    def __init__(self, path: Path, limit: int = LOG_LIMIT) -> None:
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._limit = limit
        self._size = os.fstat(self._fd).st_size

    def write(self, data: bytes) -> None:
        """Append; where the file gets too long, its first half goes. A full disk is no reason
        to stop: what can't be kept is dropped."""
        with contextlib.suppress(OSError):
            if self._size + len(data) > self._limit:
                half = self._limit // 2
                data = (os.pread(self._fd, half, max(0, self._size - half)) + data)[-half:]
                os.ftruncate(self._fd, 0)
                self._size = 0
            self._size += os.write(self._fd, data)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


class ProcessPlace:
    """A sandbox as a process; `start` makes one."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        leash: int,
        output: int,
        log: BoundedLog,
        tidy: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._leash = leash
        self._output = output
        self._log = log
        self._silent = asyncio.Event()
        self._tidy = tidy
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(output, self._read)
        self._end = asyncio.create_task(self._ended(), name=f"end of {name}")

    @property
    def has_ended(self) -> bool:
        """Whether its outermost process has, whatever may still be to be tidied up."""
        return self._process.returncode is not None

    async def wait(self) -> int:
        """The exit code, 128 + n after signal n, once all of it has ended."""
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> int:
        """End the leash, which asks the agent to leave; kill everything after `grace`."""
        self._let_go()
        if grace > 0:
            await asyncio.wait({self._end}, timeout=grace)
        self._kill()
        return await self.wait()

    def _let_go(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1

    def _kill(self) -> None:
        """Kill the process group. A real sandbox dies with its outermost process."""
        if not self._end.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _read(self) -> None:
        try:
            data = os.read(self._output, PIECE)
        except BlockingIOError:
            return
        if data:
            self._log.write(data)
        else:
            self._loop.remove_reader(self._output)
            self._silent.set()

    async def _ended(self) -> int:
        code = await self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # Whoever is left of it.
        self._let_go()
        # Its last process has gone when nobody can write to us any more.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                await self._silent.wait()
        self._loop.remove_reader(self._output)
        os.close(self._output)
        self._log.close()
        await self._tidy()
        return code if code >= 0 else 128 - code


async def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: str,
    keep: Sequence[int],
    log: Path,
    tidy: Callable[[], Awaitable[None]],
) -> ProcessPlace:
    """Start the outermost process, in a session of its own; it inherits the descriptors
    `keep`. `tidy` is called once, after its end. Called on the main thread: bubblewrap dies
    with the thread that started it. Raises SandboxUnavailable.
    """
    book = BoundedLog(log)
    leash_inside, leash = os.pipe()
    output, output_inside = os.pipe()
    os.set_blocking(output, False)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=leash_inside,
            stdout=output_inside,
            stderr=output_inside,
            env=dict(environment),
            cwd=folder,
            pass_fds=tuple(keep),
            start_new_session=True,
        )
    except OSError as error:
        os.close(leash)
        os.close(output)
        book.close()
        raise SandboxUnavailable(f"{name} can't be started: {error}.") from error
    finally:
        os.close(leash_inside)
        os.close(output_inside)
    return ProcessPlace(name, process, leash, output, book, tidy)
