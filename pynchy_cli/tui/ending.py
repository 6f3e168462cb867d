"""Ends a process whose library has threads that can't be ended: once the work is done and said, the
process goes without waiting for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from pynchy_cli.errors import EXIT_FAILED

Work = Callable[[], Coroutine[Any, Any, int]]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def to_the_end(work: Work, code_of: Callable[[Callable[[], int]], int]) -> NoReturn:
    """Run the work and end the process with its exit code, or with that of what goes wrong, which
    `code_of` says. Ctrl-C, SIGTERM and SIGHUP cancel the work, which may tidy up."""
    code = EXIT_FAILED
    try:
        code = code_of(lambda: _until_signal(work()))
    finally:
        if (error := sys.exception()) is not None:
            sys.excepthook(type(error), error, error.__traceback__)
        leave(code)


def leave(code: int) -> NoReturn:
    """End the process now, once all that was printed is out, whatever its threads wait for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _until_signal(work: Coroutine[Any, Any, int]) -> int:
    """The work's exit code, or that of the signal that ended it."""
    # Not asyncio.run, which waits for threads.
    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    came: list[int] = []

    def end(number: int) -> None:
        came.append(number)
        task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, end, number)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        return 128 + came[0]
