"""What can be said of a configuration that is valid, and yet says what isn't there: directives
and skills that nobody wrote, sections of groups that don't exist. None of it stops anything."""

from __future__ import annotations

from collections.abc import Iterable

from pynchy_cli.agent import directives, skills
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.model import Group


def notes(home: Home, settings: Settings, groups: Iterable[Group] | None) -> list[str]:
    """Sentences, each once. `groups` are those that exist, None where that isn't known.

    Raises ConfigInvalid.
    """
    known = {group.folder: group.is_admin for group in groups or ()}
    found: dict[str, None] = {}

    def note(sentence: str) -> None:
        found[sentence] = None

    if groups is not None:
        for folder in sorted(settings.groups.keys() - known.keys()):
            note(f"[groups.{folder}] is for a group that isn't there: `pynchy groups list`.")
    all_skills = skills.available(home, note)
    for folder in sorted({"", *settings.groups, *known}):
        for name in directives.names(settings, folder, is_admin=known.get(folder, False)):
            directives.read(home, name, note)
        for name in skills.unknown(all_skills, for_group(settings, folder).skills):
            note(f"There is no skill and no tier of skills called {name}.")
    return list(found)
