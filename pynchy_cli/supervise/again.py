"""Asks the supervisor that runs to start again what had ended for good, once somebody has mended
it. The way is the socket by which it hears that service: no process's number is needed, and a
supervisor that has gone hears nothing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path

from pynchy_cli.supervise.ear import START, ear_of


def start_again(folders: Iterable[Path], name: str) -> bool:
    """Ask for a service of this name; whether a supervisor that has it heard. One that runs is left
    alone. `folders`: where its sockets may lie, for that depends on where it was started from."""
    for folder in folders:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as way,
        ):
            way.settimeout(5.0)
            way.sendto(START.encode(), str(ear_of(folder, name)))
            return True
    return False
