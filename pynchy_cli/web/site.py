"""What the calls of one process share: the settings, a connection that can only read, the way to
write, and who follows the news."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from pynchy_cli.store.connection import glimpse
from pynchy_cli.web.patience import PATIENCE, Patience

if TYPE_CHECKING:
    from pynchy_cli.config.paths import Home
    from pynchy_cli.config.settings import Settings
    from pynchy_cli.context import Context
    from pynchy_cli.log import Log
    from pynchy_cli.store.connection import Connection, Store

MOST_FOLLOWERS = 64
"""Streams of events at the same time."""
SPARE_FOLLOWERS = 16
"""Further ones of the owner's, whom others keep from nothing by following."""


class Site:
    """One process's. Made and used on the running event loop."""

    def __init__(self, context: Context, patience: Patience = PATIENCE) -> None:
        self.context = context
        self.patience = patience
        self.is_stopping = False
        self._followers: set[asyncio.Event] = set()
        self._reading: Connection | None = None

    @property
    def settings(self) -> Settings:
        """What was configured when the process began."""
        return self.context.settings

    @property
    def home(self) -> Home:
        """The installation."""
        return self.context.home

    @property
    def log(self) -> Log:
        """The stage's."""
        return self.context.log

    @property
    def store(self) -> Store:
        """For writing."""
        return self.context.store

    @property
    def db(self) -> Connection:
        """For reading, and nothing else; opened when somebody first asks something."""
        if self._reading is None:
            self._reading = glimpse(self.home.database)
        return self._reading

    @property
    def followers(self) -> int:
        """How many follow the news."""
        return len(self._followers)

    def follow(self, *, is_owner: bool) -> asyncio.Event | None:
        """An event that is set with each commit, until `leave`; None where too many follow."""
        most = MOST_FOLLOWERS + (SPARE_FOLLOWERS if is_owner else 0)
        if self.followers >= most or self.is_stopping:
            return None
        rung = asyncio.Event()
        self._followers.add(rung)
        return rung

    def leave(self, rung: asyncio.Event) -> None:
        """Follow no longer."""
        self._followers.discard(rung)

    def ring(self) -> None:
        """Wake all that follow."""
        for rung in self._followers:
            rung.set()

    def stop(self) -> None:
        """Have all streams end."""
        self.is_stopping = True
        self.ring()

    def close(self) -> None:
        """Let go of the file."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    @property
    def uid(self) -> int:
        """Whose processes may use the unix socket, besides root's."""
        return os.geteuid()
