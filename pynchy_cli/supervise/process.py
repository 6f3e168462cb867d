"""One supervised service: started, listened to by sd_notify, started again when it ends, asked to
stop and then killed when it hangs, and stopped with everything that it left in its group."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pynchy_cli.errors import EXIT_AGAIN, EXIT_BROKEN, EXIT_USAGE
from pynchy_cli.supervise.ear import START, Ear, ear_of
from pynchy_cli.supervise.leftovers import NAME, Leftover
from pynchy_cli.supervise.pauses import Pauses
from pynchy_cli.supervise.printer import Printer
from pynchy_cli.supervise.running import Running
from pynchy_cli.supervise.services import SIDE_BY_SIDE, Service

FINAL = (EXIT_BROKEN, EXIT_USAGE)
"""Exit codes after which starting again can't help."""
HUNG = 60.0
"""Seconds without a sign of life after which a process that was ready is taken for hung."""
SLOW = 600.0
"""Seconds after which one that never got ready is; an image may have to be made first."""
HUNG_GRACE = 10.0
"""Seconds that a hung process gets to stop."""
LATE = 5.0
"""Seconds by which a timer may be late; else it was we who slept."""


class Child:
    """A service and the process that runs it now, if one does. `environ` is asked for at each
    start; `changed` is called when what there is to say of it has changed; `grace` is how many
    seconds it gets where it stops by itself, and each of what is `left` of it."""

    def __init__(
        self,
        service: Service,
        folder: Path,
        environ: Callable[[], Mapping[str, str]],
        printer: Printer,
        changed: Callable[[], None],
        left: Iterable[Leftover] = (),
        grace: float = 0.0,
    ) -> None:
        self.service = service
        self.settled = asyncio.Event()
        """Set once it is ready, or never will be."""
        self.steady = asyncio.Event()
        """Set while no process of it is about to get ready."""
        self.steady.set()
        self.status = ""
        """What it says that it does."""
        self.grace = grace
        self._environ, self._printer, self._changed = environ, printer, changed
        self._stopping = self._restarting = False
        self._woken = asyncio.Event()
        self._running: Running | None = None
        self._pauses = Pauses()
        self._watchdog: asyncio.TimerHandle | None = None
        self._killer: asyncio.TimerHandle | None = None
        self._ear = Ear(ear_of(folder, service.name))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._ear.socket, self._hear)
        self._ending = [self._loop.create_task(self._end_leftover(one, grace)) for one in left]
        self._task = self._loop.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        """The process's id, while it runs."""
        return self._running.pid if self._running else None

    @property
    def has_ended(self) -> bool:
        """Whether it has given up or was stopped, and is not started again by itself."""
        return self._task.done() and not self._restarting

    async def ended(self) -> None:
        """Wait until it has given up or was stopped."""
        await asyncio.wait([self._task])

    async def stop(self, grace: float) -> None:
        """Ask it to stop, and after `grace` seconds end it; then it is heard no more."""
        self._stopping = True
        self._end_soon(grace)
        await self.ended()
        for one in self._ending:
            one.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._loop.remove_reader(self._ear.socket)
        self._ear.close()
        self._task.result()

    async def halt(self, grace: float) -> None:
        """Stop its process as `stop` does, but be ready to start it again."""
        self._restarting = True
        self._end_soon(grace)
        await self.ended()

    def start_again(self) -> None:
        """Start what was halted, or had given up. One that runs is left alone."""
        if self._task.done() and not self._stopping:
            self._restarting = False
            self._woken.clear()
            self._pauses.forget()
            self.settled.clear()
            self._task = self._loop.create_task(self._keep())

    def hurry(self) -> None:
        """Ask it once more, if it is stopping, to stop sooner."""
        if self._stopping and self._running is not None:
            self._running.terminate()

    def kill(self) -> None:
        """End it at once."""
        if self._running is not None:
            self._running.kill()

    def _is_to_end(self) -> bool:
        return self._stopping or self._restarting

    def _end_soon(self, grace: float) -> None:
        self._woken.set()
        self._quiet()
        if self._running is not None:
            self._running.terminate()
            self._kill_after(grace)

    def _kill_after(self, grace: float) -> None:
        if self._killer is not None:
            self._killer.cancel()
        self._killer = self._loop.call_later(grace, self._kill)

    def _kill(self) -> None:
        self._printer.say(f"{self.service.name} does not stop; it is killed", "warning")
        self.kill()

    async def _keep(self) -> None:
        name = self.service.name
        if self.service.name not in SIDE_BY_SIDE and self._ending:
            await self._wait_for_leftovers()
        while not self._is_to_end():
            born = self._loop.time()
            code = await self._run()
            if self._is_to_end():
                self._printer.say(f"{name} stopped")
                return
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            if code in FINAL:
                self._printer.say(f"{name} {how}; it is not started again", "error")
                self.status = f"{how}, and is not started again"
                self.settled.set()
                self._changed()
                return
            await self._pause(how, self._pauses.after(born, self._loop.time()))

    async def _pause(self, how: str, seconds: float) -> None:
        when = f" in {seconds:g} s" if seconds else ""
        self._printer.say(f"{self.service.name} {how}; starting again{when}", "warning")
        self.status = f"{how}; starting again"
        self._changed()
        await _either(self._woken.wait(), asyncio.sleep(seconds))

    async def _run(self) -> int:
        """Run it once; how it ended: its exit code, or the signal's number below zero."""
        environ = {
            **self._environ(),
            NAME: self.service.name,
            "NOTIFY_SOCKET": str(self._ear.path),
            "WATCHDOG_USEC": str(int(HUNG * 1_000_000)),
            "PYNCHY_SUPERVISOR": str(os.getpid()),
        }
        environ.pop("WATCHDOG_PID", None)
        try:
            self._running = Running(self.service.command, environ, self._print)
        except OSError as error:
            self._printer.say(f"{self.service.name} can't be started: {error}", "error")
            return EXIT_AGAIN
        self._watch(SLOW)
        self.steady.clear()
        code = await self._running.end()
        self._running = None
        self.steady.set()
        self._quiet()
        if self._killer is not None:
            self._killer.cancel()
            self._killer = None
        return code

    def _print(self, line: str) -> None:
        self._printer.print(self.service.name, line)

    def _hear(self) -> None:
        """Take what was said: that it is ready, that it lives, what it does, that it stops."""
        for word in self._ear.heard(self.pid):
            if word == "READY=1":
                self._printer.say(f"{self.service.name} is ready (process {self.pid})")
                self.status = ""
                self.settled.set()
                self.steady.set()
                self._changed()
            elif word.startswith("STATUS="):
                self.status = word.removeprefix("STATUS=")
                self._changed()
            if word in ("READY=1", "WATCHDOG=1"):
                self._watch(HUNG)
            elif word == "STOPPING=1":
                self._stops_by_itself()
            elif word == START and self.has_ended and not self._stopping:
                self._printer.say(f"{self.service.name} is started again, as somebody asked")
                self.start_again()

    def _stops_by_itself(self) -> None:
        """Give no sign of life any more, but not for ever."""
        self._quiet()
        if self._killer is None:
            self._kill_after(self.grace)

    def _watch(self, seconds: float) -> None:
        """Take the process for hung unless it gives a sign of life in so many seconds."""
        self._quiet()
        if not self._is_to_end():
            due = self._loop.time() + seconds
            self._watchdog = self._loop.call_at(due, self._hung, due)

    def _hung(self, due: float) -> None:
        if self._loop.time() > due + LATE:
            self._watch(HUNG)
            return
        name = self.service.name
        self._printer.say(f"{name} gives no sign of life; it is ended", "error")
        if self._running is not None:
            self._running.terminate()
            self._kill_after(HUNG_GRACE)

    def _quiet(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    async def _wait_for_leftovers(self) -> None:
        left = asyncio.gather(*self._ending, return_exceptions=True)
        await _either(self._woken.wait(), asyncio.shield(left))

    async def _end_leftover(self, one: Leftover, grace: float) -> None:
        name = self.service.name
        self._printer.say(f"{name} of an earlier start still runs (process {one.pid}); it is ended")
        if await one.end(grace):
            self._printer.say(f"process {one.pid} did not stop; it was killed", "warning")


async def _either(*waits: object) -> None:
    """Wait for the first of several; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
