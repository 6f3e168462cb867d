"""Reads the configuration: the defaults, then config.toml, then .env, then the environment;
the later wins. Every section and key must be known. What is wrong is said with its place, and
a value that may be a secret is never repeated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from pynchy_cli.config import gates, sections, values
from pynchy_cli.config.channels import MAIN, PLAIN_TOKENS, WHATSAPP, require_channels
from pynchy_cli.config.files import read_text
from pynchy_cli.config.given import Found, everything
from pynchy_cli.config.paths import Home
from pynchy_cli.config.serving import require_serve
from pynchy_cli.config.settings import Channels, Settings
from pynchy_cli.config.sources import Given, Origin, find_line
from pynchy_cli.config.spoken import require_distinct
from pynchy_cli.config.tiers import for_group, require_profiles
from pynchy_cli.config.timed import require_timed
from pynchy_cli.errors import ConfigInvalid

HIDDEN = "(set)"
Refuse = Callable[[ConfigInvalid], None]
Origins = dict[tuple[str, str], Origin]
"""Section and setting -> where its value stands; what is left at its default isn't in it."""


class Reading(NamedTuple):
    """The settings, and where those come from that somebody set."""

    settings: Settings
    origins: Origins


def load(home: Home, environ: Mapping[str, str]) -> Settings:
    """All settings of a home. Raises ConfigInvalid, with file, key and the nearest known name."""
    return read(home, environ).settings


def read(home: Home, environ: Mapping[str, str]) -> Reading:
    """All settings of a home, and where they come from. Raises ConfigInvalid."""
    return _read(home, environ, _refuse)


def problems(home: Home, environ: Mapping[str, str]) -> list[str]:
    """All that can't be used, not only the first. What only a whole configuration can break, such
    as a profile that isn't there, is looked for where everything else is well."""
    found: list[str] = []
    try:
        _read(home, environ, lambda refusal: found.append(str(refusal)))
    except ConfigInvalid as refusal:
        found += [] if found else [str(refusal)]
    return found


def _refuse(refusal: ConfigInvalid) -> None:
    raise refusal


def _read(home: Home, environ: Mapping[str, str], refuse: Refuse) -> Reading:
    found: Found = {section: {} for section in sections.plain()}
    if home.whatsapp.exists():  # whoever has paired an account means it to be used
        found[f"channels.{WHATSAPP}.{MAIN}"] = {}
    kept: dict[tuple[str, str], Given] = {}
    for given in everything(home, environ, found):
        if isinstance(given, ConfigInvalid):
            refuse(given)
            continue
        try:
            found[given.section][given.key] = _value(given)
        except ConfigInvalid as refusal:
            refuse(refusal)
        kept[given.section, given.key] = given
    settings = _built(found)
    places: dict[tuple[str, str | None], str] = {of: one.where for of, one in kept.items()}
    require_profiles(settings)
    require_channels(settings)
    require_serve(settings)
    require_distinct(settings.commands)
    require_timed(settings, lambda *what: places.get(what) or _section_place(home, what[0]))
    return Reading(settings, {of: one.origin for of, one in kept.items()})


def _value(given: Given) -> Any:
    """What was given, in the setting's type. Raises ConfigInvalid."""
    value = values.convert(given, sections.types(given.section)[given.key])
    if given.key == "gate" and value:
        gates.require_known(given, value)
    return value


def _built(found: Found) -> Settings:
    standard = Settings()
    built: Any = {
        section: msgspec.structs.replace(getattr(standard, section), **found[section])
        for section in sections.plain()
    }
    families: Any = {
        family: {
            name: kind(**rules)
            for section, rules in found.items()
            for of, name in [sections.family_of(section)]
            if of == family
        }
        for family, kind in sections.FAMILIES.items()
    }
    kinds = {name.partition(".")[2]: families.pop(name) for name in [*families] if "." in name}
    return Settings(**built, **families, channels=Channels(**kinds))


def config_hash(settings: Settings) -> str:
    """Twelve hexadecimal digits that change when any setting does."""
    return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()[:12]


def section_hashes(settings: Settings) -> dict[str, str]:
    """Section -> twelve hexadecimal digits that change when a setting in it does; each channel is a
    section of its own, such as `channels.slack.main`."""
    found: dict[str, Any] = {
        name: getattr(settings, name) for name in settings.__struct_fields__ if name != "channels"
    }
    for family in (name for name in sections.FAMILIES if name.startswith("channels.")):
        named = getattr(settings.channels, family.partition(".")[2])
        found |= {f"{family}.{name}": rules for name, rules in named.items()}
    return {
        name: hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:12]
        for name, value in found.items()
    }


def shown(settings: Settings) -> dict[str, Any]:
    """All settings as they may be shown: a secret is only said to be set, or not."""
    document: dict[str, Any] = msgspec.to_builtins(settings)
    document["secrets"] = {
        key: HIDDEN if value else "" for key, value in document["secrets"].items()
    }
    for rules in document["groups"].values():
        rules["gh_token"] = HIDDEN if rules["gh_token"] else ""
    for rules in document["channels"]["slack"].values():
        for key in PLAIN_TOKENS.values():
            rules[key] = HIDDEN if rules[key] else ""
    return document


def shown_rules(settings: Settings, folder: str) -> dict[str, Any]:
    """What holds for one group, as it may be shown, below the section's name.

    Raises ConfigInvalid.
    """
    rules: dict[str, Any] = msgspec.to_builtins(for_group(settings, folder))
    rules["gh_token"] = HIDDEN if rules["gh_token"] else ""
    return {f"groups.{folder}": rules}


def secrets(settings: Settings) -> tuple[str, ...]:
    """The secrets' values, for those who must keep them out of what they write."""
    tiers = (settings.defaults, *settings.profiles.values(), *settings.groups.values())
    tokens = [rules.gh_token for rules in tiers]
    for rules in settings.channels.slack.values():
        tokens += [rules.bot_token, rules.app_token]
    return tuple(one for one in (*msgspec.structs.astuple(settings.secrets), *tokens) if one)


def _section_place(home: Home, section: str) -> str:
    """A section as a person is told of it, with its line where it stands in the file."""
    line = find_line(read_text(home.config) or "", section, None)
    return f"{home.config}, line {line}: [{section}]" if line else f"[{section}]"
