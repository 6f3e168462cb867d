"""The door by which everything optional comes in, built-in or not: entry points of the group
`pynchy.plugins`, looked up by name and loaded only when chosen."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from pynchy_cli.errors import PluginBroken, PluginUnknown

if TYPE_CHECKING:
    from pynchy_cli.config.settings import Settings

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
    except (ImportError, AttributeError) as error:
        raise PluginBroken(f"The plugin {point.name!r} can't be loaded: {error}.") from error


def manager(name: str) -> pluggy.PluginManager:
    """A plugin manager that holds the one plugin, so that its hooks can be called."""
    from pynchy_cli.plugins import hookspecs

    held = pluggy.PluginManager("pynchy")
    held.add_hookspecs(hookspecs)
    held.register(load(name), name)
    held.check_pending()
    return held


def channel(name: str) -> Any:
    """The channel that the plugin `name` offers. Raises PluginUnknown where it offers none."""
    return _one(name, manager(name).hook.pynchy_channel(name=name), "channel")


def runtime(name: str, settings: Settings) -> Any:
    """The runtime that the plugin `name` offers. Raises PluginUnknown where it offers none."""
    offered = manager(name).hook.pynchy_runtime(name=name, settings=settings)
    return _one(name, offered, "runtime")


def core(name: str) -> Any:
    """What the plugin `name` says of its core. Raises PluginUnknown where it offers none."""
    return _one(name, manager(name).hook.pynchy_core(name=name), "core")


def _one(name: str, offered: list[Any], kind: str) -> Any:
    if not offered:
        raise PluginUnknown(f"The plugin {name!r} offers no {kind}.")
    return offered[0]
