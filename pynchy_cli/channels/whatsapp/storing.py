"""Has what comes stored, as soon as that is possible."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pynchy_cli import log
from pynchy_cli.channels.whatsapp.ear import Ear, Ignored
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError

PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between two attempts."""


class Storing:
    """What is being stored. `fail` is told what no further attempt can heal."""

    def __init__(self, ear: Ear, fail: Callable[[BaseException], None]) -> None:
        self.is_stuck = False
        """Whether something will never be stored, so that nothing behind it is handed to us."""
        self._ear = ear
        self._fail = fail
        self._log = log.get("whatsapp")
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, kind: str, event: Any, done: Callable[[], None]) -> None:
        """Have the ear hear something; `done` is called when it is stored."""
        task = asyncio.get_running_loop().create_task(self._store(kind, event))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._stored(task, kind, event, done))

    def stop(self) -> None:
        """Try nothing any more."""
        for task in list(self._tasks):
            task.cancel()

    async def _store(self, kind: str, event: Any) -> None:
        pause = PAUSE
        while True:
            try:
                return self._ear.heard(kind, event)
            except (DatabaseBusy, DatabaseFull) as error:
                self._log.warning("what came waits", error=str(error))
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    def _stored(
        self, task: asyncio.Task[None], kind: str, event: Any, done: Callable[[], None]
    ) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            done()
        elif isinstance(error, PynchyError) or kind == "Ignored":
            self.is_stuck = True
            self._fail(error)
        else:
            # It would be the same each time that it comes: one message must not stop all others.
            self._log.error("what came can't be dealt with", kind=kind, exc_info=error)
            if kind == "Message":
                self.take("Ignored", _lost(event), done)
            else:
                done()


def _lost(event: Any) -> Ignored:
    source = event.Info.MessageSource
    sender, chat = (f"{one.User}@{one.Server}" for one in (source.Sender, source.Chat))
    return Ignored(str(event.Info.ID), sender, chat)
