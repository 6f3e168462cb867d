"""What can be said of a configuration that is valid, and yet says what isn't there: directives
and skills that nobody wrote, sections and tasks of groups that don't exist, plugins that bring no
tools, lists of people that aren't there, networks where nobody is the owner. None of it stops
anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from pynchy_cli import plugins
from pynchy_cli.agent import directives, skills
from pynchy_cli.config import channels
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import PluginBroken, PluginUnknown
from pynchy_cli.model import Group
from pynchy_cli.security import senders

_USER = re.compile(r"[UW][A-Z0-9]+")


def notes(home: Home, settings: Settings, groups: Iterable[Group] | None) -> list[str]:
    """Sentences, each once. `groups` are those that exist, None where that isn't known.

    Raises ConfigInvalid.
    """
    there = list(groups or ())
    known = {group.folder: group.is_admin for group in there}
    found: dict[str, None] = {}

    def note(sentence: str) -> None:
        found[sentence] = None

    if groups is not None:
        for folder in sorted(settings.groups.keys() - known.keys()):
            note(f"[groups.{folder}] is for a group that isn't there: `pynchy groups list`.")
        for name, task in settings.tasks.items():
            if task.group not in known:
                note(f"[tasks.{name}] waits for the group {task.group}, which isn't there.")
    for sentence in _owners(settings):
        note(sentence)
    for sentence in senders.unknown_names(settings, there):
        note(sentence)
    all_skills = skills.available(home, note)
    for folder in sorted({"", *settings.groups, *known}):
        for name in directives.names(settings, folder, is_admin=known.get(folder, False)):
            directives.read(home, name, note)
        rules = for_group(settings, folder)
        for name in skills.unknown(all_skills, rules.skills):
            note(f"There is no skill and no tier of skills called {name}.")
        for name in rules.tools:
            _try_tools(name, settings, note)
    return list(found)


def _owners(settings: Settings) -> Iterator[str]:
    for name, network in channels.configured(settings).items():
        if channels.section_of(name)[0] == channels.WHATSAPP:
            continue  # whoever holds the account's phone is the owner anyway
        section = ".".join(channels.section_of(name))
        if network.enabled and not network.owner:
            yield (
                f"[channels.{section}] has no owner, so nobody there is you. Set owner, or name "
                "people with `pynchy groups allow`."
            )
        elif network.owner and not _USER.fullmatch(network.owner):
            yield (
                f"[channels.{section}] owner: {network.owner!r} is nobody's id there; ids look "
                "like U012ABCDEF."
            )


def _try_tools(name: str, settings: Settings, note: Callable[[str], None]) -> None:
    try:
        plugins.tools_of(name, settings)
    except (PluginUnknown, PluginBroken) as error:
        note(str(error))
