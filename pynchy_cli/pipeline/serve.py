"""Be asked and told things over HTTP: a unix socket for the owner, and an address. A port that is
taken is tried again and again; the socket works meanwhile. Idle, it only waits."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from pynchy_cli.config.serving import is_loopback
from pynchy_cli.context import Context
from pynchy_cli.web import sockets
from pynchy_cli.web.listening import Listening
from pynchy_cli.web.site import Site

SINGLE = True
STOP_GRACE = 2.0
"""Seconds that answers in flight get when the stage stops."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts at a port that is taken."""


def make(context: Context, options: dict[str, Any]) -> ServeStage:
    """The stage."""
    return ServeStage(context)


class ServeStage:
    """Keeps the two sockets open, and wakes those who follow the news."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.site = Site(context)
        self.root = context.home.sockets(os.environ)
        self._unix: Listening | None = None
        self._identity: tuple[int, int] | None = None
        self._tcp: Listening | None = None
        self._problem: str | None = None
        self._told: str | None = None
        self._pause = 0.0
        self._due = 0.0

    def drain(self) -> int:
        """Open what is not open, and tell followers that there may be news."""
        if self._tcp is None and self.context.settings.serve.port:
            self._try_tcp()
        self._keep_unix()
        self._tell()
        self.site.ring()
        return 0

    def deadline(self) -> float | None:
        """When the port is tried again."""
        if self._tcp is not None or not self.context.settings.serve.port:
            return None
        return max(0.0, self._due - self._time())

    def is_busy(self) -> bool:
        """Never for the loop's sake."""
        return False

    async def stop(self) -> None:
        """Let answers in flight end, for a moment."""
        self.site.stop()
        for one in (self._tcp, self._unix):
            if one is not None:
                await one.close(STOP_GRACE)
        if self._identity is not None and sockets.identity(self.root) == self._identity:
            (self.root / sockets.NAME).unlink(missing_ok=True)
        self.site.close()

    def _keep_unix(self) -> None:
        """Listen at the home's socket, also where somebody has tidied it away. Raises OSError."""
        if self._unix is not None and sockets.identity(self.root) == self._identity:
            return
        server = sockets.unix(self.root)
        old, self._unix = self._unix, Listening(self.site, server)
        self._identity = sockets.identity(self.root)
        if old is not None:
            old.deaf()

    def _try_tcp(self) -> None:
        if self._time() < self._due:
            return
        serve = self.context.settings.serve
        try:
            server = sockets.tcp(serve.host, serve.port)
        except OSError as error:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            self._due = self._time() + self._pause
            self._complain(f"{serve.host}:{serve.port} can't be listened at: {error.strerror}.")
            return
        self._pause = 0.0
        is_beyond = not (is_loopback(serve.host) and is_loopback(server.getsockname()[0]))
        self._tcp = Listening(self.site, server, is_beyond=is_beyond)
        self._complain(None)

    def _complain(self, problem: str | None) -> None:
        """Say what is wrong with the port, once for as long as it stays so."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem is not None:
            self.context.log.error("the port is tried again", reason=problem)
        self.context.fail(problem)

    def _tell(self) -> None:
        where = [str(self.root / sockets.NAME)]
        if self._tcp is not None:
            host, port = self._tcp.address[:2]
            where.append(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        text = " and ".join(where)
        if text != self._told:
            self._told = text
            self.context.log.info("listening", at=text)
            self.context.report(text)

    def _time(self) -> float:
        return asyncio.get_running_loop().time()
