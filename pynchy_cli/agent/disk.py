"""Keeps agents from filling the disk: host folders have no quota, so what a group's folders hold
is measured while its sandboxes live, and what is left on the home's disk is looked at often.
Who is over is stopped, and starts no more until there is room. It must never hold up the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Iterable

from pynchy_cli import clock
from pynchy_cli.agent import weight
from pynchy_cli.agent.live import Live
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import DatabaseBusy, DatabaseFull
from pynchy_cli.loop import Context
from pynchy_cli.store import failures

LOOK = 2.0
"""Seconds between looks at what is left on the disk."""
PAUSE = 10.0
"""Seconds between measurements of a folder at least; longer where they take long."""
SHARE = 10
"""So many times as long as a measurement took nobody measures."""
NODES = 10_000
"""Files that can still be made, of those that the file system has; or a hundredth of them."""


class DiskWatch:
    """Watches the folders of one worker's sandboxes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._lives: set[Live] = set()
        self._known: dict[str, str | None] = {}
        self._due: dict[str, float] = {}
        self._looking: asyncio.Task[None] | None = None

    def over(self, group_folder: str) -> str | None:
        """Why no sandbox of the group may work, as far as known, or None. Measures nothing."""
        return self._crowded() or self._known.get(group_folder)

    async def refusal(self, group_folder: str) -> str | None:
        """The same for a sandbox that is to start: what was over is measured anew first."""
        if self._known.get(group_folder) is not None:
            await self._measure(group_folder, threading.Event())
        why = self.over(group_folder)
        self._note(group_folder, why)
        return why

    def watch(self, live: Live) -> None:
        """Watch a live sandbox until it ends; the first measurement begins at once."""
        self._lives.add(live)
        self._due.setdefault(live.session.group_folder, 0.0)
        if self._looking is None or self._looking.done():
            self._looking = self.context.spawn(self._look(), "watching the disk")

    async def _look(self) -> None:
        halt = threading.Event()
        measuring: asyncio.Task[None] | None = None
        try:
            while self._forget_the_ended():
                if (why := self._crowded()) is not None:
                    self._stop(self._lives, why, for_good=False)
                if measuring is not None and measuring.done():
                    measuring.result()
                    measuring = None
                measuring = measuring or self._next(halt)
                ends: set[asyncio.Task[None]] = {live.ended for live in self._lives}
                waited = {*ends, measuring} if measuring is not None else ends
                await asyncio.wait(waited, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halt.set()
            if measuring is not None:
                await asyncio.wait({measuring})

    def _forget_the_ended(self) -> bool:
        self._lives = {live for live in self._lives if not live.ended.done()}
        groups = {live.session.group_folder for live in self._lives}
        self._due = {group: due for group, due in self._due.items() if group in groups}
        return bool(self._lives)

    def _next(self, halt: threading.Event) -> asyncio.Task[None] | None:
        """The measurement that is due, begun."""
        now = time.monotonic()
        for group, due in self._due.items():
            if due <= now:
                return asyncio.create_task(self._measure(group, halt), name=f"measuring {group}")
        return None

    async def _measure(self, group: str, halt: threading.Event) -> None:
        """Measure a group's folders, and stop its sandboxes where they hold too much."""
        home = self.context.home
        limit = for_group(self.context.settings, group).folder_limit
        began = time.monotonic()
        why = await asyncio.to_thread(
            weight.too_much,
            (home.group(group), home.claude(group), home.ipc / group),
            limit,
            halt,
        )
        if halt.is_set():
            return
        took = time.monotonic() - began
        self._known[group] = why
        if group in self._due:
            self._due[group] = time.monotonic() + max(PAUSE, SHARE * took)
        if why is not None:
            over = [live for live in self._lives if live.session.group_folder == group]
            self._stop(over, why, for_good=True)

    def _stop(self, lives: Iterable[Live], why: str, *, for_good: bool) -> None:
        for live in lives:
            if live.refusal is None and live.is_alive:
                live.refusal, live.is_refused_for_good = why, for_good
                name, group = live.session.sandbox, live.session.group_folder
                self.context.log.error("a sandbox is stopped", sandbox=name, why=why)
                self.context.spawn(live.place.stop(0), f"stop {name}")
                self._note(group, why)

    def _crowded(self) -> str | None:
        """Why nobody may write any more to the home's disk."""
        home, least = self.context.home, self.context.settings.sandbox.min_free
        for folder in (home.data, home.groups):
            try:
                facts = os.statvfs(folder)
            except OSError as error:
                return f"{folder} can't be looked at ({error.strerror})"
            if facts.f_bavail * facts.f_frsize < least:
                left = weight.size(facts.f_bavail * facts.f_frsize)
                return f"the disk is nearly full: {left} are left of at least {weight.size(least)}"
            if facts.f_favail < min(NODES, facts.f_files // 100):
                return f"the disk is nearly full: it can hold {facts.f_favail} more files"
        return None

    def _note(self, group: str, why: str | None) -> None:
        """Have `status` show what is over, and nothing that was before."""
        store, stage, subject = self.context.store, self.context.name, f"disk:{group}"
        with contextlib.suppress(DatabaseBusy, DatabaseFull):
            if why is None and not failures.has(store.db, stage, subject):
                return
            with store.atomic() as db:
                if why is None:
                    failures.clear(db, stage, subject)
                else:
                    failures.note(db, stage, subject, why, clock.now())
