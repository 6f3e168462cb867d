"""Where each value that is in force comes from, beside the value: of all settings, and of what the
tiers make of them for one group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pynchy_cli.config import sections
from pynchy_cli.config.load import Origins, shown, shown_rules
from pynchy_cli.config.settings import GroupRules, Settings
from pynchy_cli.config.sources import DEFAULT, Origin
from pynchy_cli.config.tiers import FROM_AGENT, FROM_SANDBOX, LISTS

NOWHERE = Origin(DEFAULT)


def tables(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tables of a document as `shown` makes it, by the names with which they are written."""
    for section, values in document.items():
        families = [one for one in sections.FAMILIES if one.partition(".")[0] == section]
        if not families:
            yield section, values
        for family in families:
            kind = family.partition(".")[2]
            for name, rules in (values[kind] if kind else values).items():
                yield f"{family}.{name}", rules


def of_all(settings: Settings, origins: Origins) -> dict[str, Any]:
    """All settings as `shown` has them; in place of each value, it and its origins."""
    document = shown(settings)
    for section, values in tables(document):
        for key, value in values.items():
            values[key] = _told(value, [(section, origins.get((section, key), NOWHERE))])
    return document


def of_group(settings: Settings, origins: Origins, folder: str) -> dict[str, Any]:
    """The same of what holds for one group; a list may come from several tiers.

    Raises ConfigInvalid.
    """
    document = shown_rules(settings, folder)
    for values in document.values():
        for key, value in values.items():
            said = [
                (section, origins.get((section, key), NOWHERE))
                for section in _saying(settings, folder, key)
            ]
            values[key] = _told(value, said)
    return document


def in_words(told: dict[str, Any], section: str) -> str:
    """The origins of a value in a table of that name, for a person."""
    words = []
    for one in told["origins"]:
        place = str(Origin(one["from"], one["line"], one["variable"]))
        elsewhere = one["section"] and one["section"] != section
        words.append(f"[{one['section']}] {place}" if elsewhere else place)
    return ", ".join(words)


def _saying(settings: Settings, folder: str, key: str) -> list[str]:
    """The sections from which a group has the value of a setting; none where nobody says it."""
    own = settings.groups.get(folder, GroupRules())
    profile = own.profile or settings.defaults.profile
    tiers = {"defaults": settings.defaults}
    if profile is not None:
        tiers[f"profiles.{profile}"] = settings.profiles[profile]
    tiers[f"groups.{folder}"] = own
    saying = [name for name, rules in tiers.items() if getattr(rules, key) not in (None, (), "")]
    if key in LISTS:
        return saying
    if saying:
        return saying[-1:]
    below = {**dict.fromkeys(FROM_SANDBOX, "sandbox"), **dict.fromkeys(FROM_AGENT, "agent")}
    return [below[key]] if key in below else []


def _told(value: Any, said: list[tuple[str, Origin]]) -> dict[str, Any]:
    origins = [
        {"from": of.source, "line": of.line, "variable": of.variable, "section": section}
        for section, of in said
    ]
    nowhere = {"from": DEFAULT, "line": None, "variable": None, "section": None}
    return {"value": value, "origins": origins or [nowhere]}
