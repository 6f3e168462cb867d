"""The door by which everything optional comes in, built-in or not: entry points of the group
`pynchy.plugins`, looked up by name and loaded only when chosen."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from pynchy_cli.errors import PluginBroken, PluginUnknown

if TYPE_CHECKING:
    from pynchy_cli.config.settings import Settings
    from pynchy_cli.plugins.tools import Tool

GROUP = "pynchy.plugins"
hookimpl = pluggy.HookimplMarker("pynchy")


def names() -> list[str]:
    """The names of all plugins that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def load(name: str) -> Any:
    """The plugin object behind a name. Raises PluginUnknown or PluginBroken."""
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise PluginUnknown(
            f"No plugin is called {name!r}. Installed: {', '.join(names()) or 'none'}."
        )
    return _object(found[0])


def _object(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # it may be anybody's
        raise PluginBroken(f"The plugin {point.name!r} can't be loaded: {error}.") from error


@cache
def manager(name: str) -> pluggy.PluginManager:
    """A plugin manager that holds the one plugin, so that its hooks can be called."""
    from pynchy_cli.plugins import hookspecs

    held = pluggy.PluginManager("pynchy")
    held.add_hookspecs(hookspecs)
    held.register(load(name), name)
    held.check_pending()
    return held


def channel(name: str, settings: Settings) -> Any:
    """The channel of this name, that the plugin called as it is up to a dot offers. Raises
    PluginUnknown where it offers none."""
    offered = manager(name.partition(".")[0]).hook.pynchy_channel(name=name, settings=settings)
    return _one(name, offered, "channel")


def runtime(name: str, settings: Settings) -> Any:
    """The runtime that the plugin `name` offers. Raises PluginUnknown where it offers none."""
    offered = manager(name).hook.pynchy_runtime(name=name, settings=settings)
    return _one(name, offered, "runtime")


def core(name: str) -> Any:
    """What the plugin `name` says of its core. Raises PluginUnknown where it offers none."""
    return _one(name, manager(name).hook.pynchy_core(name=name), "core")


def tools_of(name: str, settings: Settings) -> tuple[Tool, ...]:
    """The tools that the plugin `name` offers. Raises PluginUnknown, and PluginBroken whatever is
    wrong with it."""
    from pynchy_cli.plugins.tools import Tool

    held = manager(name)
    try:
        offered = held.hook.pynchy_tools(name=name, settings=settings)
        found = tuple(tool for each in offered for tool in each)
    except (Exception, SystemExit) as error:  # it may be anybody's
        raise PluginBroken(f"The plugin {name!r} can't say its tools: {error}.") from error
    if not found:
        raise PluginUnknown(f"The plugin {name!r} offers no tools.")
    for tool in found:
        if not isinstance(tool, Tool):
            raise PluginBroken(f"The plugin {name!r} offers {tool!r:.200}, which is no Tool.")
    named = [tool.name for tool in found]
    if twice := sorted({one for one in named if named.count(one) > 1}):
        raise PluginBroken(f"The plugin {name!r} offers {twice[0]!r} twice.")
    return found


def _one(name: str, offered: list[Any], kind: str) -> Any:
    if not offered:
        raise PluginUnknown(f"The plugin {name!r} offers no {kind}.")
    return offered[0]
