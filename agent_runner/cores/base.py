"""What a core is: that which turns a prompt into an answer. A core knows nothing of files,
logs or the host; it yields records."""

from __future__ import annotations

import gc
import importlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Protocol, cast

from agent_runner.protocol import FollowUp, Record, RunInput, Steer

if TYPE_CHECKING:
    from agent_runner.tools.toolbox import Toolbox

GROUP = "pynchy.cores"
"""The entry points by which other packages bring cores: name -> something to call. The host
knows a core by a plugin of the same name, which says what packages its sandbox must hold."""

BUILT_IN = {
    "claude": ("agent_runner.cores.claude", "ClaudeCore"),
    "echo": ("agent_runner.cores.echo", "EchoCore"),
}
"""The same for our own, without the tens of milliseconds that reading entry points costs."""


class CoreFailed(Exception):
    """A core can't go on; the message is a sentence for the person who asked."""


class Core(Protocol):
    """One conversation with a model."""

    session_id: str | None
    """The conversation's name, by which a later process can continue it; None until then."""

    async def start(self, run: RunInput, toolbox: Toolbox | None) -> None:
        """Get ready for turns; `run` is the first of them. `toolbox` is what the agent may ask of
        its host, None where that is nothing. Raises CoreFailed."""

    def turn(self, document: RunInput | FollowUp) -> AsyncIterator[Record]:
        """Answer one document: Started first, TurnEnded last. Raises CoreFailed where no
        further turn is possible."""

    async def steer(self, document: Steer) -> None:
        """Take in what was said during the turn under way, and say so in `read`, or leave it:
        what no answer has read comes again as a turn of its own."""

    async def interrupt(self) -> None:
        """End the turn under way soon, with a TurnEnded that is interrupted."""

    async def stop(self) -> None:
        """Let go of everything. Safe when it didn't start, and to be called again."""


def make(name: str) -> Core:
    """A new core of that name. Raises CoreFailed."""
    # A model's library makes hundreds of thousands of objects that stay. Looking for garbage among
    # them meanwhile would take a tenth of the start.
    gc.disable()
    try:
        return _made(name)
    finally:
        gc.freeze()
        gc.enable()


def _made(name: str) -> Core:
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name]
        return cast(Core, getattr(importlib.import_module(module), attribute)())
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        known = ", ".join(sorted({*BUILT_IN, *found}))
        raise CoreFailed(f"There is no core named {name!r}. Known: {known}.")
    return cast(Callable[[], Core], found[name].load())()
