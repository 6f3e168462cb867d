"""What a plugin may offer. Each hook is asked with the name that was chosen, and gives the
object or None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from pynchy_cli.agent.cores import Core
    from pynchy_cli.channels.base import Channel
    from pynchy_cli.config.settings import Settings
    from pynchy_cli.plugins.tools import Tool
    from pynchy_cli.sandbox.base import Runtime

hookspec = pluggy.HookspecMarker("pynchy")


@hookspec
def pynchy_channel(name: str, settings: Settings) -> Channel | None:
    """A channel of this name: the plugin's own, or behind that and a dot one of several."""


@hookspec
def pynchy_runtime(name: str, settings: Settings) -> Runtime | None:
    """A runtime of this name."""


@hookspec
def pynchy_core(name: str) -> Core | None:
    """What the host must know of the core of this name."""


@hookspec
def pynchy_tools(name: str, settings: Settings) -> Sequence[Tool] | None:
    """The tools of the host's that the plugin of this name offers to agents. Asked again and
    again: it should only give what stands ready."""
