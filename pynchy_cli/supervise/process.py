"""One supervised process: started, listened to by sd_notify, started again with growing
pauses when it ends, and stopped with everything that it left in its process group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from pynchy_cli.errors import EXIT_AGAIN, EXIT_BROKEN, EXIT_USAGE
from pynchy_cli.supervise.printer import Lines, Printer
from pynchy_cli.supervise.services import Service

FINAL = (EXIT_BROKEN, EXIT_USAGE)
"""Exit codes after which starting again can't help."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY = 30.0
"""Seconds after which a process that ends counts as one that had worked."""
LAST_READS = 64
"""Pieces of output that are still read once a process has ended; others may hold its pipe."""
START = "START=1"
"""What asks for a process that had given up to be started again; see `again`."""
HUNG = 60.0
"""Seconds without a sign of life after which a process that gave one is killed."""


class Child:
    """A service and the process that runs it now, if one does."""

    def __init__(
        self, service: Service, folder: Path, environ: Mapping[str, str], printer: Printer
    ) -> None:
        self.service = service
        self.settled = asyncio.Event()
        """Set once it is ready, or never will be."""
        self._printer = printer
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._ear = _listening(ear_of(folder, service.name))
        self._environ = {
            **environ,
            "NOTIFY_SOCKET": self._ear.getsockname(),
            "WATCHDOG_USEC": str(int(HUNG * 1_000_000)),
            "PYNCHY_SUPERVISOR": str(os.getpid()),
        }
        self._environ.pop("WATCHDOG_PID", None)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._ear, self._hear)
        self._task = loop.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """The process's id, while it runs."""
        return self._process.pid if self._process else None

    @property
    def has_ended(self) -> bool:
        """Whether it has given up or was stopped, and is not started again by itself."""
        return self._task.done()

    async def ended(self) -> None:
        """Wait until it has given up or was stopped."""
        await asyncio.wait([self._task])

    async def stop(self, grace: float) -> None:
        """Ask it to stop, and after `grace` seconds end it."""
        self._stopping.set()
        self._terminate()
        done, _ = await asyncio.wait([self._task], timeout=grace)
        if not done:
            self._printer.say(f"{self.service.name} does not stop; it is killed")
            self._end_group()
            await self.ended()
        asyncio.get_running_loop().remove_reader(self._ear)
        path = Path(self._ear.getsockname())
        self._ear.close()
        path.unlink(missing_ok=True)
        self._task.result()

    def hurry(self) -> None:
        """Ask it once more, if it is stopping, to stop sooner."""
        if self._stopping.is_set():
            self._terminate()

    def _terminate(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def _keep(self) -> None:
        name, pause = self.service.name, 0.0
        while not self._stopping.is_set():
            born = time.monotonic()
            code = await self._run()
            if self._stopping.is_set():
                self._printer.say(f"{name} stopped")
                return
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            if code in FINAL:
                self._printer.say(f"{name} {how}; it is not started again")
                self.settled.set()
                return
            steady = time.monotonic() - born > STEADY
            pause = FIRST_PAUSE if steady else min(LONGEST_PAUSE, pause * 2 or FIRST_PAUSE)
            self._printer.say(f"{name} {how}; starting again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _run(self) -> int:
        """Run it once; how it ended: its exit code, or the signal's number below zero."""
        # A pipe of our own: with one of asyncio's, the end of a process is only seen when all
        # that it started has let go of the pipe.
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            process = self._process = await asyncio.create_subprocess_exec(
                *self.service.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=self._environ,
                process_group=0,
            )
        except OSError as error:
            os.close(reading)
            self._printer.say(f"{self.service.name} can't be started: {error}")
            return EXIT_AGAIN
        finally:
            os.close(writing)
        lines = Lines()
        loop = asyncio.get_running_loop()
        loop.add_reader(reading, self._print, reading, lines)
        if self._stopping.is_set():
            self._terminate()
        code = await process.wait()
        self._end_group()
        self._quiet()
        self._process = None
        for _ in range(LAST_READS):
            if not self._print(reading, lines):
                break
        loop.remove_reader(reading)
        os.close(reading)
        self._print_lines(lines.feed(b""))
        return code

    def _print(self, reading: int, lines: Lines) -> bool:
        """Print what can be read now; whether there was something."""
        try:
            data = os.read(reading, 65536)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(reading)
            return False
        self._print_lines(lines.feed(data))
        return True

    def _print_lines(self, lines: list[str]) -> None:
        for line in lines:
            self._printer.print(self.service.name, line)

    def _hear(self) -> None:
        """Take a message of the process: that it is ready, that it lives, that it stops."""
        try:
            words = self._ear.recv(8192).decode("utf-8", "replace").splitlines()
        except OSError:
            return
        if "READY=1" in words:
            self._printer.say(f"{self.service.name} is ready (process {self.pid})")
            self.settled.set()
        if START in words and self.has_ended and not self._stopping.is_set():
            self._printer.say(f"{self.service.name} is started again, as somebody asked")
            self._task = asyncio.get_running_loop().create_task(self._keep())
        if "WATCHDOG=1" in words or "STOPPING=1" in words:
            self._quiet()
        if "WATCHDOG=1" in words and self.pid is not None:
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(HUNG, self._hung)

    def _hung(self) -> None:
        self._printer.say(f"{self.service.name} gives no sign of life; it is killed")
        self._end_group()

    def _quiet(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _end_group(self) -> None:
        """Kill the process and whatever it left in its group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def ear_of(folder: Path, name: str) -> Path:
    """The socket by which a service of this name is heard."""
    return folder / f"up-{name}"


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    ear.bind(str(path))
    return ear
