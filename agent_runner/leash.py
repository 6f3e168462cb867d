"""The ways out. The agent leaves at once when its host lets go of its standard input, and
then none of the processes that it started stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

GONE = 129
"""The exit code when the host let go (what SIGHUP would give)."""


def hold(fd: int) -> None:
    """Leave as soon as the descriptor gives no more; what it gives is thrown away."""
    threading.Thread(target=_wait, args=(fd,), name="leash", daemon=True).start()


def leave(code: int, before: Callable[[], None] | None = None) -> NoReturn:
    """End this process and all below it now; `before` may still write."""
    try:
        if before is not None:
            before()
    finally:
        _kill_children()
        os._exit(code)


def _wait(fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 65536):
            pass
    leave(GONE)


def _kill_children() -> None:
    """Kill every process below this one. They are stopped first, so that none of them can
    start another meanwhile; where there is no /proc, the sandbox or the host does it."""
    below: list[int] = []
    found = True
    while found:
        found = False
        for pid in (p for parent in (os.getpid(), *below) for p in _children(parent)):
            if pid not in below:
                below.append(pid)
                found = True
                _send(pid, signal.SIGSTOP)
    for pid in below:
        _send(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)
