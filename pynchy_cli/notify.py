"""What a process tells its supervisor, in systemd's words (sd_notify): READY, STATUS,
WATCHDOG, STOPPING. Without a supervisor nothing is sent; a supervisor that has gone is no
error."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """One process's way to its supervisor, from the environment that it was started with."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.interval = _interval(environ)
        """Seconds between signs of life that the supervisor wants; None where it wants none."""
        self._alive_at = -math.inf

    def ready(self) -> None:
        """The process does its work from now on."""
        self.send("READY=1", patience=5.0)

    def status(self, text: str) -> None:
        """One line about what it is doing."""
        self.send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """A sign of life; sent where the supervisor wants one, and no more often."""
        now = time.monotonic()
        if self.interval is not None and now >= self._alive_at + self.interval / 2:
            self._alive_at = now
            self.send("WATCHDOG=1")

    def stopping(self) -> None:
        """The process was asked to stop and is about it."""
        self.send("STOPPING=1")

    def send(self, message: str, patience: float = 0.0) -> None:
        """Send a message of `NAME=value` lines; never fails. A supervisor that doesn't listen is
        waited for, `patience` seconds at most."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way,
        ):
            way.settimeout(patience)
            way.sendto(message.encode(), self._address)


def _address(text: str) -> str:
    """A path, or an abstract address as the kernel writes it; empty where there is none."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else ""


def _interval(environ: Mapping[str, str]) -> float | None:
    """Half of the time after which the supervisor takes us for hung, if it means us."""
    try:
        limit = int(environ.get("WATCHDOG_USEC", "0"))
        meant = int(environ.get("WATCHDOG_PID", str(os.getpid())))
    except ValueError:
        return None
    return limit / 2_000_000 if limit > 0 and meant == os.getpid() else None
