"""Starts services one after the other, each when the one before is ready; keeps them running;
stops them in reverse. It knows nothing of databases and settings, so that it outlives both."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from pynchy_cli.errors import EXIT_BROKEN, EXIT_DONE
from pynchy_cli.notify import Notifier
from pynchy_cli.supervise.printer import Printer
from pynchy_cli.supervise.process import Child
from pynchy_cli.supervise.services import Service

ECHO = 0.3
"""Seconds in which a second signal is the same request: `timeout` and others send it twice."""
READY_SECONDS = 30.0
"""How long the next service waits for one that doesn't get ready."""


async def supervise(
    services: list[Service],
    folder: Path,
    environ: Mapping[str, str],
    printer: Printer,
    grace: float,
) -> int:
    """Run the services until a signal asks to stop, or none can go on; the exit code.

    `folder` is for sockets; `grace` is how many seconds each gets to stop.
    """
    stopping = asyncio.Event()
    children: list[Child] = []

    loop = asyncio.get_running_loop()
    first = math.inf

    def asked() -> None:
        nonlocal first
        if loop.time() > first + ECHO:
            for child in children:
                child.hurry()
        first = min(first, loop.time())
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    notifier = Notifier(environ)
    try:
        for service in services:
            children.append(Child(service, folder, environ, printer))
            await _first(stopping.wait(), _settled(children[-1], printer))
            if stopping.is_set():
                break
        else:
            notifier.ready()
            await _first(stopping.wait(), _all_ended(children))
    finally:
        notifier.stopping()
        for child in reversed(children):
            await child.stop(grace)
    return EXIT_DONE if stopping.is_set() else EXIT_BROKEN


async def _settled(child: Child, printer: Printer) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            await child.settled.wait()
    except TimeoutError:
        printer.say(f"{child.service.name} isn't ready after {READY_SECONDS:g} s; going on")


async def _all_ended(children: list[Child]) -> None:
    # One that had ended may have been started again while we waited for another.
    while left := [child for child in children if not child.has_ended]:
        await left[0].ended()


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
