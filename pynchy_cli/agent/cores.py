"""What the host knows of a core: whether it needs a way to a model, and which packages its
sandbox must hold. The core itself is code of the sandbox's side and never loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pynchy_cli import plugins
from pynchy_cli.config import tiers
from pynchy_cli.config.settings import Settings
from pynchy_cli.plugins import hookimpl


@dataclass(frozen=True)
class Core:
    """One framework for agents.

    In the sandbox its name stands for an entry point of the group `pynchy.cores`, which one of
    `packages`, the installed packages that it needs there, must bring. Our own are in
    agent_runner.
    """

    name: str
    has_model: bool = True
    packages: tuple[str, ...] = ()


def chosen(settings: Settings) -> dict[str, Core]:
    """The cores that some group may have, by name. Raises PluginUnknown, PluginBroken and
    ConfigInvalid."""
    return {name: plugins.core(name) for name in sorted(tiers.cores(settings))}


def packages(found: Mapping[str, Core]) -> tuple[str, ...]:
    """All packages that they need in their sandboxes."""
    return tuple(sorted({package for core in found.values() for package in core.packages}))


class _Plugin:
    def __init__(self, core: Core) -> None:
        self._core = core

    @hookimpl
    def pynchy_core(self, name: str) -> Core | None:
        """This core, by its name."""
        return self._core if name == self._core.name else None


claude = _Plugin(Core("claude"))
echo = _Plugin(Core("echo", has_model=False))
