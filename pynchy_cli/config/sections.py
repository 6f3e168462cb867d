"""Which sections and settings there are, and what is said of one that there isn't. A section
of which there may be many is called as it is written: `groups.family`, `tasks.standup`."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

from pynchy_cli.config.settings import (
    GroupRules,
    JobRules,
    PeopleRules,
    Section,
    Settings,
    SlackRules,
    TaskRules,
    WhatsAppRules,
)

PREFIX = "PYNCHY_"
FAMILIES: dict[str, type[Section]] = {
    "profiles": GroupRules,
    "groups": GroupRules,
    "tasks": TaskRules,
    "jobs": JobRules,
    "people": PeopleRules,
    "channels.slack": SlackRules,
    "channels.whatsapp": WhatsAppRules,
}
"""Sections of which there is one for each name, and what stands in them."""
NAMED = tuple(FAMILIES)
HEADS = tuple(dict.fromkeys(family.partition(".")[0] for family in FAMILIES))
"""How their sections begin."""
LEFT_OUT = {"defaults": ("gh_token",), "profiles": ("gh_token", "profile")}
"""Rules that make no sense for many groups at once."""
SECRET = ("gh_token", "bot_token", "app_token")
"""Settings outside of [secrets] that are secrets all the same."""
CALLED_HERE = {
    "server": "serve",
    "cron_jobs": "jobs.NAME",
    "user_groups": "people.NAME",
    "connection": "channels.slack.NAME",
    "slack": "channels.slack.NAME",
    "whatsapp": "channels.whatsapp.main",
}
KEYS_CALLED_HERE = {"schedule": "cron"}
"""Sections and settings that others know by another name."""


def plain() -> dict[str, type[Section]]:
    """The sections that there are once: name -> what stands in it."""
    fields = msgspec.structs.fields(Settings)
    return {field.name: field.type for field in fields if field.name not in HEADS}


def names() -> list[str]:
    """All sections, as a person is told of them."""
    return [*plain(), *(f"{section}.NAME" for section in NAMED)]


def family_of(section: str) -> tuple[str, str]:
    """The family that a section belongs to, and its name there; both empty where there is none."""
    for family in FAMILIES:
        if section.startswith(f"{family}.") and len(section) > len(family) + 1:
            return family, section[len(family) + 1 :]
    return "", ""


def settings(section: str) -> dict[str, msgspec.structs.FieldInfo]:
    """The settings of a section; none of one that there isn't."""
    family, _ = family_of(section)
    kind = plain().get(section) or FAMILIES.get(family)
    if kind is None:
        return {}
    left_out = LEFT_OUT.get(family or section, ())
    fields = msgspec.structs.fields(kind)
    return {field.name: field for field in fields if field.name not in left_out}


def types(section: str) -> dict[str, Any]:
    """The types of a section's settings."""
    return {name: field.type for name, field in settings(section).items()}


def is_secret(section: str, key: str) -> bool:
    """Whether the value of a setting is never shown."""
    return section == "secrets" or key in SECRET


def of_variable(name: str, known: Iterable[str]) -> tuple[str, str] | None:
    """Section and key that a variable sets, or None where it sets nothing that there is. `known`
    are the sections with names so far; in a variable `-` is written as `_`."""
    section, _, key = name.removeprefix(PREFIX).lower().rpartition("__")
    for family in FAMILIES:
        begins = f"{family.replace('.', '__')}__"
        if section.startswith(begins) and len(section) > len(begins):
            named = section.removeprefix(begins).replace("_", "-")
            section = f"{family}.{named}"
            alike = [one for one in known if _plainly(one) == _plainly(section)]
            section = alike[0] if alike else section
    return (section, key) if key in types(section) else None


def unknown_section(where: str, section: str, *, is_table: bool) -> str:
    """What is said of a section that there isn't; where it is no table, it may be a setting."""
    if section in CALLED_HERE:
        return f"{where}: there is no section [{section}]. It is called [{CALLED_HERE[section]}]."
    if not is_table and (homes := _with(section)):
        return f"{where}: {section} must stand below [{homes[0]}]."
    near = get_close_matches(section, [*plain(), *NAMED, *HEADS], n=1)
    known = f"There are {', '.join(names())}."
    if not near:
        return f"{where}: there is no section [{section}]. {known}"
    meant = f"{near[0]}.NAME" if near[0] in NAMED else near[0]
    return f"{where}: there is no section [{section}]. Did you mean [{meant}]?"


def unknown_key(where: str, section: str, key: str) -> str:
    """What is said of a setting that a section hasn't."""
    near = get_close_matches(key, types(section), n=1)
    if KEYS_CALLED_HERE.get(key) in types(section):
        hint = f"It is called {KEYS_CALLED_HERE[key]}."
    elif homes := _with(key):
        hint = f"It belongs below [{homes[0]}]."
    elif near:
        hint = f"Did you mean {near[0]}?"
    else:
        hint = f"There are {', '.join(types(section))}."
    return f"{where}: [{section}] has no setting {key}. {hint}"


def unknown_variable(where: str, name: str) -> str:
    """What is said of a variable that sets nothing that there is."""
    named = name.removeprefix(PREFIX).split("__")[1:-1] or ["NAME"]
    sections = [*plain(), *(f"{section}.{named[-1]}" for section in NAMED)]
    known = [
        f"{PREFIX}{section.replace('.', '__')}__{key}".upper()
        for section in sections
        for key in types(section)
    ]
    near = get_close_matches(name.upper(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else "`pynchy config show` lists all settings."
    return f"{where}: {name} is no setting. {hint}"


def _with(key: str) -> list[str]:
    """The sections that have such a setting."""
    return [name for name in names() if key in types(name)]


def _plainly(section: str) -> str:
    return section.lower().replace("-", "_")
