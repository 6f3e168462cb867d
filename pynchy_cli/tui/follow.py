"""How a command waits for others: it looks at the file, and again after each commit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from pynchy_cli.config.paths import Home
from pynchy_cli.store import processes
from pynchy_cli.store.connection import Store

if TYPE_CHECKING:
    import asyncio

SAFETY_SECONDS = 30.0
NEEDED = ("route", "run-agent")
"""The stages without which nobody is answered."""


async def follow(
    home: Home,
    store: Store,
    look: Callable[[], bool],
    *,
    timeout: float | None = None,
    woken: asyncio.Event | None = None,
) -> bool:
    """Call `look` now and after each commit until it gives True. False after `timeout` seconds.
    Setting `woken` makes it look, too."""
    import asyncio  # a tenth of the time of a command that waits for nobody

    from pynchy_cli.watch import Doorbell, Watcher

    woken = woken or asyncio.Event()
    with contextlib.closing(Watcher()) as watcher:
        bell = Doorbell(watcher, home, store.version, woken.set)
        try:
            async with asyncio.timeout(timeout):
                while True:
                    woken.clear()
                    bell.look()
                    if look():
                        return True
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(SAFETY_SECONDS):
                            await woken.wait()
        except TimeoutError:
            return False
        finally:
            bell.close()


def missing(store: Store, home: Home) -> list[str]:
    """The stages without which nobody is answered, and that nobody runs."""
    alive = {one.stage for one in processes.alive(store.db, home.locks)}
    return [stage for stage in NEEDED if stage not in alive]


def not_running(stages: list[str]) -> str:
    """What to tell of stages that nobody runs; `stages` is not empty."""
    verb = "is" if len(stages) == 1 else "are"
    return f"{' and '.join(stages)} {verb} not running; `pynchy up` starts everything"
