"""What holds for one group: the defaults, then its profile, then its own rules, and below them
all [sandbox] and [agent]. Whoever needs to know asks here, and reads no tier by itself."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Literal

import msgspec

from pynchy_cli.config.settings import GroupRules, Sandbox, Settings
from pynchy_cli.errors import ConfigInvalid

LISTS = ("directives", "skills", "mounts", "gate", "tools")
"""Fields to which each tier adds. Of the others the most specific that is set counts."""
FROM_SANDBOX = (
    "idle_timeout",
    "run_timeout",
    "activity_timeout",
    "memory",
    "cpus",
    "max_processes",
    "folder_limit",
)
FROM_AGENT = ("model", "core")
OWN = ("follow_up", "session_per_thread", "show_strangers")


class Rules(GroupRules, frozen=True, kw_only=True):
    """A group's rules with nothing left open."""

    follow_up: Literal["steer", "queue", "interrupt"] = "steer"
    session_per_thread: bool = False
    show_strangers: bool = False
    idle_timeout: float
    run_timeout: float
    activity_timeout: float
    model: str
    core: str
    memory: int
    max_processes: int
    folder_limit: int


def for_group(settings: Settings, folder: str) -> Rules:
    """The rules that hold for a group; for one that isn't configured they are the defaults.

    Raises ConfigInvalid where its profile is unknown, naming the nearest.
    """
    own = settings.groups.get(folder, GroupRules())
    name = own.profile or settings.defaults.profile
    where = f"[groups.{folder}]" if own.profile else "[defaults]"
    shared = _profile(settings, name, where) if name is not None else GroupRules()
    tiers = (settings.defaults, shared, own)
    merged: dict[str, Any] = {field: getattr(settings.sandbox, field) for field in FROM_SANDBOX}
    merged |= {field: getattr(settings.agent, field) for field in FROM_AGENT}
    for field in (*OWN, *FROM_SANDBOX, *FROM_AGENT):
        for tier in tiers:
            if (value := getattr(tier, field)) is not None:
                merged[field] = value
    merged |= {field: _union(getattr(tier, field) for tier in tiers) for field in LISTS}
    return Rules(**merged, profile=name, gh_token=own.gh_token)


def limits_for(settings: Settings, folder: str) -> Sandbox:
    """The section [sandbox] as it holds for one group. Raises ConfigInvalid."""
    rules = for_group(settings, folder)
    own = {field: getattr(rules, field) for field in FROM_SANDBOX}
    return msgspec.structs.replace(settings.sandbox, **own)


def cores(settings: Settings) -> set[str]:
    """Every core that some group may have. Raises ConfigInvalid."""
    return {for_group(settings, folder).core for folder in ("", *settings.groups)}


def require_profiles(settings: Settings) -> None:
    """Raises ConfigInvalid where a profile is named that isn't there."""
    for folder in ("", *settings.groups):
        for_group(settings, folder)


def _profile(settings: Settings, name: str, where: str) -> GroupRules:
    if name in settings.profiles:
        return settings.profiles[name]
    near = get_close_matches(name, settings.profiles, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Write a section [profiles.{name}]."
    raise ConfigInvalid(f"{where}: there is no profile {name}. {hint}")


def _union(lists: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """All of them in order, each once."""
    return tuple(dict.fromkeys(one for each in lists for one in each))
