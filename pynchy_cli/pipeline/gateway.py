"""Be the agents' only way to a model: one socket for each live session, opened when its row
appears and closed when it goes. Who speaks is known by the socket, whatever is said."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

from pynchy_cli.config.load import load, section_hashes
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.errors import PynchyError
from pynchy_cli.gateway import sockets
from pynchy_cli.gateway.mode import described, mode_of
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.store import processes, sessions

SINGLE = True
USED = ("gateway", "secrets")
"""The sections that are taken over while it runs."""


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
        self._is_changed = False
        context.watcher.add(context.home.root, self._changed)
        self._say(described(context.settings))

    def drain(self) -> int:
        """Open what is missing, close what is over."""
        if self._is_changed:
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
        """Nothing is due by the clock."""
        return None

    def is_busy(self) -> bool:
        """Never for the loop's sake: what is in flight belongs to the sandboxes."""
        return False

    async def stop(self) -> None:
        """Let answers in flight end, for a moment."""
        await self.gateway.stop()

    def _changed(self) -> None:
        self._is_changed = True
        self.context.wake()

    def _reload(self) -> None:
        """Take a changed key; while the configuration is wrong, keep the last one.

        A rehearsal never becomes real by itself: its sandboxes may be of a kind that must
        not come near a real key. That takes a restart of everything.
        """
        self._is_changed = False
        try:
            settings = load(Home(self.context.home.root), os.environ)
            if settings == self.context.settings:
                return
            if mode_of(settings) != mode_of(self.context.settings):
                self.context.log.warning("who answers changes with the next start")
                return
            self.gateway.use(settings)
        except PynchyError as error:
            self.context.log.warning("the configuration stays as it was", reason=str(error))
            return
        self._note(settings)
        self.context.settings = settings
        self._say(described(settings))

    def _note(self, settings: Settings) -> None:
        """Have others know that what we use is in force, so that nobody starts us anew for it."""
        now = section_hashes(settings)
        self._hashes |= {name: now[name] for name in USED}
        with self.context.store.atomic() as db:
            processes.reread(db, self.context.owner, json.dumps(self._hashes))

    def _say(self, words: str) -> None:
        self.context.log.info(words)
        self.context.report(words)
