"""What a stage gets from the loop: the home, the store, its number, and the ways to be woken,
to run tasks beside the loop, and to attempt one row without being stopped by it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pynchy_cli import clock, log
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import DatabaseBusy, DatabaseForeign, DatabaseFull, PynchyError
from pynchy_cli.notify import Notifier
from pynchy_cli.store import failures, processes
from pynchy_cli.store.connection import Store, translate
from pynchy_cli.watch import Watcher

T = TypeVar("T")


class Context:
    """What a stage gets from the loop."""

    def __init__(
        self,
        name: str,
        home: Home,
        settings: Settings,
        store: Store,
        owner: int,
        watcher: Watcher,
        *,
        once: bool,
    ) -> None:
        self.name = name
        self.home = home
        self.settings = settings
        self.store = store
        self.owner = owner
        self.watcher = watcher
        self.once = once
        self.log = log.get(name)
        self.notifier = Notifier(os.environ)
        self.stopping = asyncio.Event()
        self.woken = asyncio.Event()
        self.has_failed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._report: str | None = None

    def wake(self) -> None:
        """Have the loop drain again soon."""
        self.woken.set()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run a coroutine beside the loop; its end wakes the loop, its exception is logged."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def attempt(self, subject: str, step: Callable[[], T]) -> T | None:
        """The step's result, or None where it failed; then the failure of `subject` is noted,
        and after the third it is set aside.

        Raises DatabaseBusy, DatabaseFull and DatabaseForeign: those aren't the subject's fault.
        """
        try:
            result = step()
        except Exception as raised:
            error = self.explained(raised)
            if isinstance(error, DatabaseBusy | DatabaseFull | DatabaseForeign):
                raise error from raised
            with self.store.atomic() as db:
                state = failures.note(db, self.name, subject, described(error), clock.now())
            self.log.error("step failed", subject=subject, state=state, exc_info=error)
            self.has_failed = True
            return None
        if failures.has(self.store.db, self.name, subject):
            with self.store.atomic() as db:
                failures.clear(db, self.name, subject)
        return result

    def blocked(self) -> set[str]:
        """The subjects that are set aside or wait for their retry."""
        return failures.blocked(self.store.db, self.name, clock.now())

    def report(self, text: str) -> None:
        """Say in one line what the stage does, to the supervisor and in `status`."""
        if text != self._report:
            self._report = text
            self.notifier.status(text)
            with self.store.atomic() as db:
                processes.report(db, self.owner, text, clock.now())

    def fail(self, error: str | None) -> None:
        """Note the process's error, or that there is none any more, as far as it can be noted."""
        with contextlib.suppress(PynchyError), self.store.atomic() as db:
            processes.fail(db, self.owner, error, clock.now())

    async def end_tasks(self) -> None:
        """Cancel what is still in hand, and wait until it has ended."""
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self.woken.set()
        if task.cancelled() or (raised := task.exception()) is None:
            return
        error = self.explained(raised)
        self.has_failed = True
        self.log.error("task failed", task=task.get_name(), exc_info=error)
        self.fail(f"{task.get_name()}: {described(error)}")

    def explained(self, error: BaseException) -> BaseException:
        """Our error for SQLite's; a transaction that was left open is taken back."""
        if self.store.db.in_transaction:
            self.store.db.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            ours = translate(self.store.path, error)
            if ours is not error:
                ours.__cause__ = error
            return ours
        return error


def described(error: BaseException) -> str:
    """An error in one line."""
    return str(error) if isinstance(error, PynchyError) else f"{type(error).__name__}: {error}"
