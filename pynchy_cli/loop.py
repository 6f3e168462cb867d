"""The loop around every stage: it drains, sleeps until the doorbell, a deadline or a signal,
and survives what a step throws. What a stage does is no business of its; it is the one place
where any exception is caught."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from signal import SIGINT, SIGTERM
from typing import Protocol

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context, described
from pynchy_cli.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    AlreadyRunning,
    ChannelBroken,
    DatabaseBusy,
    DatabaseForeign,
    DatabaseFull,
    DatabaseReplaced,
    LoggedOut,
    ProcessWorn,
    PynchyError,
)
from pynchy_cli.locks import Lock
from pynchy_cli.owner import only_one, present
from pynchy_cli.store import failures
from pynchy_cli.store.connection import Store
from pynchy_cli.watch import Doorbell, Watcher

__all__ = ["Context", "Stage", "run"]

SAFETY_SECONDS = 30.0
"""The longest sleep: after it the stage drains even if nobody rang."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
LONGEST_PAUSE_FULL = 5.0
"""Seconds between attempts to write to a full or locked disk: it is well again soon after."""


FINAL = (
    AlreadyRunning,
    ChannelBroken,
    DatabaseForeign,
    DatabaseReplaced,
    LoggedOut,
    ProcessWorn,
)
"""What no further attempt of this process can heal."""


class Stage(Protocol):
    """What the loop asks of a stage."""

    def drain(self) -> int:
        """Do or start all that is due now; how much it was. Never waits."""

    def deadline(self) -> float | None:
        """Seconds until its next due work, or None."""

    def is_busy(self) -> bool:
        """Whether tasks are in hand."""

    async def stop(self) -> None:
        """Bring what is in hand to an end; cancelled when there is no more time for it."""


async def run(
    name: str,
    make: Callable[[Context], Awaitable[Stage] | Stage],
    home: Home,
    settings: Settings,
    *,
    single: bool,
    once: bool,
) -> int:
    """Run a stage until it is asked to stop, or with `once` until nothing is left to do now.

    Gives the exit code. Raises AlreadyRunning where it is `single` and runs, and what opening
    the home and `make` raise.
    """
    kept: list[Lock] = []
    with ExitStack() as held:
        if single:
            kept.append(held.enter_context(only_one(home, name)))
        store = held.enter_context(Store.open(home.database))
        owner = held.enter_context(present(store, home, name, settings, kept))
        watcher = held.enter_context(closing(Watcher()))
        context = Context(name, home, settings, store, owner, watcher, once=once)
        try:
            made = make(context)
            stage = await made if inspect.isawaitable(made) else made
        except PynchyError as error:
            context.fail(str(error))
            raise
        return await _Loop(context, stage, kept).run()


class _Loop:
    def __init__(self, context: Context, stage: Stage, kept: list[Lock]) -> None:
        self.context = context
        self.stage = stage
        self.kept = kept
        self.pause = 0.0
        self.failing: str | None = None
        self.ending: asyncio.Task[None] | None = None
        self.bell = Doorbell(context.watcher, context.home, self._version, context.wake)

    async def run(self) -> int:
        with self._signals():
            self.context.notifier.ready()
            # Whoever runs a stage once, in a shell, wants its result and not its coming and going.
            tell = self.context.log.debug if self.context.once else self.context.log.info
            tell("started", owner=self.context.owner)
            try:
                code = await self._turns()
                await self._end()
            finally:
                self.bell.close()
            tell("stopped", code=code)
            return code

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Listen to TERM and INT. A handler of asyncio's own is called two turns too late."""
        loop = asyncio.get_running_loop()

        def asked(number: int, frame: object) -> None:
            loop.call_soon_threadsafe(self._asked)

        before = {number: signal.signal(number, asked) for number in (SIGTERM, SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _turns(self) -> int:
        context = self.context
        while not context.stopping.is_set():
            context.woken.clear()
            self.bell.look()
            context.notifier.alive()
            try:
                context.store.require_same_file()
                self._keep_locks()
                done = self.stage.drain()
                due = 0.0 if done else self._until_due()
            except Exception as raised:  # noqa: BLE001 - the stage outlives its errors
                error = context.explained(raised)
                self._failed(error)
                if isinstance(error, FINAL) or (context.once and not self._outlasts(error)):
                    return error.exit_code if isinstance(error, PynchyError) else EXIT_FAILED
                await self._sleep(context.stopping, self.pause)
                continue
            self._recovered()
            if done:
                await asyncio.sleep(0)
            elif context.once and not self.stage.is_busy():
                break
            else:
                await self._sleep(context.woken, due)
        return EXIT_FAILED if context.once and context.has_failed else EXIT_DONE

    def _keep_locks(self) -> None:
        """Stay alive in the eyes of others, whoever tidies the folder of locks."""
        for lock in self.kept:
            if not lock.keep():
                raise AlreadyRunning(f"{lock.path} was removed, and another process has it now.")

    def _until_due(self) -> float:
        """Seconds until the stage or a retry is due, at most those of the safety net."""
        waits = [SAFETY_SECONDS]
        if (due := self.stage.deadline()) is not None:
            waits.append(due)
        now = clock.now()
        retry = failures.next_retry(self.context.store.db, self.context.name, now)
        if retry is not None and not self.context.once:
            waits.append(clock.seconds_between(now, retry))
        return max(0.0, min(waits))

    async def _sleep(self, until: asyncio.Event, seconds: float) -> None:
        """Wait for an event, giving signs of life to the supervisor meanwhile."""
        end = asyncio.get_running_loop().time() + seconds
        while (left := end - asyncio.get_running_loop().time()) > 0 and not until.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, self.context.notifier.interval or left)):
                    await until.wait()
            self.context.notifier.alive()

    def _outlasts(self, error: BaseException) -> bool:
        """Whether an error passes that must not cost what is in hand."""
        return isinstance(error, DatabaseBusy | DatabaseFull) and self.stage.is_busy()

    def _failed(self, error: BaseException) -> None:
        """Log an error of drain, once for as long as it stays the same, and back off."""
        waits_for_disk = isinstance(error, DatabaseBusy | DatabaseFull)
        longest = LONGEST_PAUSE_FULL if waits_for_disk else LONGEST_PAUSE
        self.pause = min(longest, self.pause * 2 or FIRST_PAUSE)
        text = described(error)
        if text != self.failing:
            is_final = isinstance(error, FINAL)
            cause = None if is_final or waits_for_disk else error
            what = "can't go on" if is_final else "drain failed"
            self.context.log.error(what, error=text, exc_info=cause)
            self.failing = text
            self.context.fail(text)

    def _recovered(self) -> None:
        self.pause = 0.0
        if self.failing is not None:
            self.context.log.info("works again", after=self.failing)
            self.failing = None
            self.context.fail(None)

    def _asked(self) -> None:
        """A signal asks to stop; one more, while that goes on, to stop sooner."""
        if self.context.stopping.is_set() and self.ending is not None:
            self.ending.cancel()
        self.context.stopping.set()
        self.context.woken.set()

    async def _end(self) -> None:
        self.context.notifier.stopping()
        self.ending = asyncio.get_running_loop().create_task(self._stop_stage())
        with contextlib.suppress(asyncio.CancelledError):
            await self.ending
        await self.context.end_tasks()

    async def _stop_stage(self) -> None:
        try:
            await self.stage.stop()
        except Exception as raised:
            error = self.context.explained(raised)
            self.context.log.error("stop failed", exc_info=error)

    def _version(self) -> int:
        """The database's data_version; -1 where it can't be read, so that drain meets why."""
        try:
            return self.context.store.version()
        except sqlite3.Error:
            return -1
