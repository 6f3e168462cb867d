"""Be the agents' only way to a model: one socket for each live session, opened when its row
appears and closed when it goes. Who speaks is known by the socket, whatever is said."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from pynchy_cli.config.load import load, section_hashes
from pynchy_cli.config.paths import Home
from pynchy_cli.context import Context
from pynchy_cli.errors import ConfigInvalid, PynchyError
from pynchy_cli.gateway import sockets
from pynchy_cli.gateway.mode import described, mode_of
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.store import processes, sessions

SINGLE = True
USED = ("gateway", "secrets")
"""The sections that are taken over while it runs."""
QUIET = 0.2
"""Seconds after a change to a file before it is read: whoever writes it may not be done."""


def make(context: Context, options: dict[str, Any]) -> GatewayStage:
    """The stage. Raises ConfigInvalid where a key is asked for and there is none."""
    return GatewayStage(context)


class GatewayStage:
    """Keeps the open sockets equal to the live sessions."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.root = context.home.sockets(os.environ)
        self.gateway = Gateway(context.settings, context.log)
        self._hashes = section_hashes(context.settings)
        self._is_swept = False
        self._changed_at: float | None = None
        live = self._live()
        for path in (live.config, live.env):
            context.watcher.add(live.root, self._changed, name=path.name)
        self._files = _there(context.home)
        self._say(described(context.settings))

    def drain(self) -> int:
        """Open what is missing, close what is over."""
        if self._changed_at is not None and time.monotonic() >= self._changed_at + QUIET:
            self._reload()
        there = set() if self._is_swept else sockets.present(self.root)
        names = {one.folder for one in sessions.live(self.context.store.db) if one.folder}
        done = self._open(names)
        wanted = {self.root / name for name in names}
        for folder in self.gateway.folders - wanted:
            self.context.spawn(self.gateway.close(folder), f"close {folder.name}")
            done += 1
        # A session's row is older than its folder: a folder without one is a dead one's.
        for name in there - names:
            sockets.remove(self.root / name)
        self._is_swept = True
        return done

    def _open(self, names: set[str]) -> int:
        closed = {name for name in names if not self.gateway.is_open(self.root / name)}
        if not closed:
            return 0
        blocked = self.context.blocked()
        done = 0
        for name in sorted(closed):
            subject = f"socket:{name}"
            if subject not in blocked:
                self.context.attempt(subject, partial(self.gateway.listen, self.root / name))
                done += 1
        return done

    def deadline(self) -> float | None:
        """Nothing but a look at what somebody has changed is due by the clock."""
        if self._changed_at is None:
            return None
        return max(0.0, self._changed_at + QUIET - time.monotonic())

    def is_busy(self) -> bool:
        """Never for the loop's sake: what is in flight belongs to the sandboxes."""
        return False

    async def stop(self) -> None:
        """Let answers in flight end, for a moment."""
        await self.gateway.stop()

    def _live(self) -> Home:
        """The home with the configuration that people write, be there an accepted copy or not."""
        return Home(self.context.home.root)

    def _changed(self) -> None:
        self._changed_at = time.monotonic()
        self.context.wake()

    def _reload(self) -> None:
        """Take a changed key; while the configuration is wrong, keep the last one.

        A rehearsal never becomes real by itself: its sandboxes may be of a kind that must
        not come near a real key. That takes a restart of everything.
        """
        self._changed_at = None
        live = self._live()
        there = _there(live)
        try:
            if gone := self._files - there:
                raise ConfigInvalid(f"{live.root / min(gone)} is gone.")
            settings = load(live, os.environ)
            if settings == self.context.settings:
                self._files = there
                return
            if mode_of(settings) != mode_of(self.context.settings):
                self.context.log.warning("who answers changes with the next start")
                return
            self.gateway.use(settings)
        except PynchyError as error:
            self.context.log.warning("the configuration stays as it was", reason=str(error))
            return
        self._files = there
        self.context.settings = settings
        now = section_hashes(settings)
        if any(now[name] != self._hashes[name] for name in USED):
            self._note(now)
            self._say(described(settings))

    def _note(self, now: Mapping[str, str]) -> None:
        """Have others know that what we use is in force, so that nobody starts us anew for it."""
        self._hashes |= {name: now[name] for name in USED}
        with self.context.store.atomic() as db:
            processes.reread(db, self.context.owner, json.dumps(self._hashes))

    def _say(self, words: str) -> None:
        self.context.log.info(words)
        self.context.report(words)


def _there(home: Home) -> set[str]:
    """Which files of the configuration there are."""
    return {path.name for path in (home.config, home.env) if path.exists()}
