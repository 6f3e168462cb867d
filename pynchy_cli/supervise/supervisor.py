"""Keeps a set of services running: starts them, has them follow the configuration, and stops them
in reverse. It knows nothing of databases and settings, so that it outlives both."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pynchy_cli.errors import EXIT_BROKEN, EXIT_DONE
from pynchy_cli.notify import Notifier
from pynchy_cli.supervise import leftovers
from pynchy_cli.supervise.changes import Answer, Changes, ask
from pynchy_cli.supervise.printer import Printer
from pynchy_cli.supervise.process import Child
from pynchy_cli.supervise.services import Service, services

ECHO = 0.3
"""Seconds in which a second signal is the same request: `timeout` and others send it twice."""
READY_SECONDS = 30.0
"""How long we wait for one that doesn't get ready before we say that we are."""
LEAST_GRACE = 3.0
"""Seconds that each has to stop, even where others took all the time."""
AGAIN = 5.0
"""Seconds before the configuration is looked at again where that couldn't be done; then doubled."""
AGAIN_LONGEST = 300.0
LONGEST_STATUS = 1000
WHAT = (
    ("is no longer wanted", "are no longer wanted"),
    ("is new", "are new"),
    ("starts again", "start again"),
    ("is tried again", "are tried again"),
)
"""What a change of the configuration has one do, and several."""


@dataclass(frozen=True)
class Plan:
    """What is supervised. `sockets` is a folder for sockets; `grace` is how many seconds each gets
    to stop. Where `ask` is given, a command that looks at the configuration, the `files` in the
    `home` are watched; `accepted` is the copy of them that is in force."""

    services: list[Service]
    sockets: Path
    environ: Mapping[str, str]
    grace: float = 30.0
    home: Path | None = None
    ask: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    accepted: str = ""


class Supervisor:
    """Runs what is planned until a signal asks to stop, or none can go on."""

    def __init__(self, plan: Plan, printer: Printer) -> None:
        self.plan = plan
        self.printer = printer
        self.children: dict[str, Child] = {}
        self.notifier = Notifier(plan.environ)
        self.stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._changes: Changes | None = None
        self._first = math.inf
        self._moved = asyncio.Event()
        self._told = ""

    async def run(self) -> int:
        """Supervise; the exit code."""
        self._listen()
        left = leftovers.find(self.plan.home) if self.plan.home else {}
        asked = self._loop.create_task(self.stopping.wait())
        over = self._loop.create_task(self._all_ended())
        tasks: list[asyncio.Task[None]] = []
        try:
            for service in self.plan.services:
                self._start(service, left.pop(service.name, []))
            tasks += [self._loop.create_task(self._end(one, left[one])) for one in left]
            tasks += [self._loop.create_task(self._follow())]
            tasks += [self._loop.create_task(self._live())]
            await asyncio.wait([asked, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.notifier.stopping()
            for task in (asked, over, *tasks):
                task.cancel()
            await asyncio.gather(asked, over, *tasks, return_exceptions=True)
            await self._stop(list(self.children))
            self._forget(even_ours=True)
            if self._changes is not None:
                self._changes.close()
        return EXIT_DONE if self.stopping.is_set() else EXIT_BROKEN

    def _start(self, service: Service, left: list[leftovers.Leftover] | None = None) -> None:
        plan = self.plan
        self.children[service.name] = Child(
            service,
            plan.sockets,
            self._environ,
            self.printer,
            self._report,
            left or [],
            plan.grace,
        )

    def _environ(self) -> Mapping[str, str]:
        accepted = {"PYNCHY_ACCEPTED": self.plan.accepted} if self.plan.accepted else {}
        home = {leftovers.MARK: str(self.plan.home)} if self.plan.home else {}
        return {**self.plan.environ, **accepted, **home}

    async def _live(self) -> None:
        """Say that all are ready, and from then on that we live."""
        await self._settled(list(self.children.values()))
        self.notifier.ready()
        self._report()
        while self.notifier.interval is not None:
            self.notifier.alive()
            await asyncio.sleep(self.notifier.interval)

    async def _settled(self, children: list[Child]) -> None:
        """Wait until these are ready, or will never be, or take too long."""
        waits = {one.service.name: self._loop.create_task(one.settled.wait()) for one in children}
        if not waits:
            return
        try:
            await asyncio.wait(waits.values(), timeout=READY_SECONDS)
        finally:
            for name, wait in waits.items():
                if not wait.done():
                    wait.cancel()
                    if not self.stopping.is_set():
                        self.printer.say(f"{name} isn't ready after {READY_SECONDS:g} s", "warning")

    async def _all_ended(self) -> None:
        # One that had ended may be started again.
        while not all(one.has_ended for one in self.children.values()):
            self._moved.clear()
            await self._moved.wait()

    async def _end(self, name: str, left: list[leftovers.Leftover]) -> None:
        """End what is left of services that are no longer wanted."""
        self.printer.say(f"{name} of an earlier start still runs; it is ended")
        await asyncio.gather(*(one.end(self.plan.grace) for one in left))

    async def _stop(self, names: list[str]) -> None:
        """Stop these for good, the last first; all have together as long as one, and a little."""
        until = self._loop.time() + self.plan.grace
        for name in reversed(names):
            left = max(LEAST_GRACE, until - self._loop.time())
            await self.children[name].stop(min(self.plan.grace, left))
            del self.children[name]

    async def _follow(self) -> None:
        """Have what runs follow the configuration."""
        if not self.plan.ask or self.plan.home is None:
            return
        await asyncio.sleep(0)
        changes = self._changes = Changes(self.plan.home, self.plan.files)
        self._forget()
        pause = 0.0
        while True:
            await changes.wait()
            try:
                is_done = await self._look()
            except Exception as error:  # noqa: BLE001 - nothing of this may cost what runs
                is_done = False
                self.printer.say(f"the configuration can't be followed: {error!r}", "error")
            pause = 0.0 if is_done else min(AGAIN_LONGEST, pause * 2 or AGAIN)
            if pause:
                self._loop.call_later(pause, changes.look)

    async def _look(self) -> bool:
        """Have the configuration looked at, and followed; whether that could be done."""
        # One that is just starting may have read what was there before.
        await self._steady()
        answer = await ask(self.plan.ask, self.plan.environ)
        if answer.unable is not None:
            said = "the configuration can't be looked at just now"
            self.printer.say(f"{said}: {answer.unable}", "warning")
            return False
        if answer.problem is not None:
            said = "the configuration can't be used, so the old one stays in force"
            self.printer.say(f"{said}: {answer.problem}", "error")
        else:
            await self._apply(answer)
        return True

    async def _steady(self) -> None:
        waits = [self._loop.create_task(one.steady.wait()) for one in self.children.values()]
        _, late = await asyncio.wait(waits, timeout=READY_SECONDS)
        for one in late:
            one.cancel()

    async def _apply(self, answer: Answer) -> None:
        """Have run what the configuration wants, as it is now."""
        assert self.plan.home is not None
        wanted = services(answer.services, self.plan.home) if answer.services else []
        self.plan = replace(self.plan, grace=answer.grace, accepted=answer.accepted)
        names = {one.name for one in wanted}
        gone = [name for name in self.children if name not in names]
        new = [one for one in wanted if one.name not in self.children]
        halted = [name for name in answer.concerned if name in self.children]
        over = [name for name, one in self.children.items() if one.has_ended and name in names]
        self._say_what(gone, [one.name for one in new], halted, over)
        for child in self.children.values():
            child.grace = answer.grace
        # In reverse: who uses another ends first.
        for name in reversed([name for name in self.children if name in {*gone, *halted}]):
            if name in gone:
                await self._stop([name])
            else:
                await self.children[name].halt(self.plan.grace)
        try:
            for service in new:
                self._start(service)
        finally:  # whatever becomes of new ones
            for name in dict.fromkeys([*halted, *over]):
                self.children[name].start_again()
        order = {one.name: self.children[one.name] for one in wanted}
        self.children = order
        await self._settled(list(order.values()))
        self._forget()

    def _say_what(self, *lists: list[str]) -> None:
        told = zip(lists, WHAT, strict=True)
        said = "; ".join(
            f"{', '.join(names)} {how[len(names) > 1]}" for names, how in told if names
        )
        said = said or "it concerns nothing that runs"
        self.printer.say(f"the configuration has changed: {said}")

    def _forget(self, *, even_ours: bool = False) -> None:
        """Take away the copies of earlier configurations, finished or not; there are secrets in
        them. At the end nobody needs the last one either."""
        if not self.plan.accepted:
            return
        kept = Path(self.plan.accepted)
        begin = kept.name.partition("-")[0]
        for folder in (*kept.parent.glob(f"{begin}-*"), *kept.parent.glob(f".{begin}-*")):
            if folder != kept or even_ours:
                shutil.rmtree(folder, ignore_errors=True)

    def _report(self) -> None:
        """Tell who supervises us how many run, and what they say."""
        self._moved.set()
        ready = [one for one in self.children.values() if one.settled.is_set() and one.pid]
        words = [f"{len(ready)} of {len(self.children)} run"]
        words += [
            f"{name}: {one.status}"
            for name, one in self.children.items()
            if one.status and not one.status.startswith("{")
        ]
        if (told := "; ".join(words)[:LONGEST_STATUS]) != self._told:
            self._told = told
            self.notifier.status(told)

    def _listen(self) -> None:
        """Take signals: TERM and INT stop, twice sooner, QUIT at once; HUP has the configuration
        looked at, unless it tells that our terminal has gone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._asked)
        self._loop.add_signal_handler(signal.SIGQUIT, self._at_once)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            self._loop.add_signal_handler(signal.SIGHUP, self._hung_up, _has_terminal())
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self._loop.add_signal_handler(number, self._unknown, number)

    def _asked(self) -> None:
        if self._loop.time() > self._first + ECHO:
            for child in self.children.values():
                child.hurry()
        self._first = min(self._first, self._loop.time())
        self.stopping.set()

    def _at_once(self) -> None:
        self.plan = replace(self.plan, grace=0.0)
        self.stopping.set()
        for child in self.children.values():
            child.kill()

    def _hung_up(self, had_terminal: bool) -> None:
        if had_terminal and not _has_terminal():
            self._asked()
        elif self._changes is not None:
            self.printer.say("the configuration is looked at, as somebody asked")
            self._changes.look()

    def _unknown(self, number: signal.Signals) -> None:
        self.printer.say(f"nothing is made of {number.name}; HUP looks at the configuration")


def _has_terminal() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        return True
    return False
