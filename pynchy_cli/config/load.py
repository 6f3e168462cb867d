"""Reads the configuration: the defaults, then config.toml, then .env, then the environment;
the later wins. Every section and key must be known. What is wrong is said with its place, and
a value that may be a secret is never repeated."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from pynchy_cli.config import dotenv, gates, sections, values
from pynchy_cli.config.channels import (
    MAIN,
    PLAIN_TOKENS,
    WHATSAPP,
    plain_workspace,
    require_channels,
)
from pynchy_cli.config.files import read_text
from pynchy_cli.config.paths import Home
from pynchy_cli.config.sections import PREFIX
from pynchy_cli.config.settings import Channels, Settings
from pynchy_cli.config.sources import Given, find_line
from pynchy_cli.config.spoken import require_distinct
from pynchy_cli.config.tiers import for_group, require_profiles
from pynchy_cli.config.timed import require_timed
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.log import masked

PLAIN_SECRETS = {
    "ANTHROPIC_API_KEY": "anthropic_api_key",
    "CLAUDE_CODE_OAUTH_TOKEN": "claude_code_oauth_token",
    "GH_TOKEN": "gh_token",
}
"""Variables that other programs know too, and the secret that each fills."""
HIDDEN = "(set)"
Found = dict[str, dict[str, Any]]
"""Section -> setting -> value."""


def load(home: Home, environ: Mapping[str, str]) -> Settings:
    """All settings of a home. Raises ConfigInvalid, with file, key and the nearest known name."""
    found: Found = {section: {} for section in sections.plain()}
    if home.whatsapp.exists():  # whoever has paired an account means it to be used
        found[f"channels.{WHATSAPP}.{MAIN}"] = {}
    places: dict[tuple[str, str | None], str] = {}
    for given in _given(home, environ, found):
        places[given.section, given.key] = given.where
        kind = sections.types(given.section)[given.key]
        value = found[given.section][given.key] = values.convert(given, kind)
        if given.key == "gate" and value:
            gates.require_known(given, value)
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
    settings = Settings(**built, **families, channels=Channels(**kinds))
    require_profiles(settings)
    require_channels(settings)
    require_distinct(settings.commands)
    require_timed(settings, lambda *what: places.get(what) or _section_place(home, what[0]))
    return settings


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
    tokens = [rules.gh_token for rules in settings.groups.values()]
    for rules in settings.channels.slack.values():
        tokens += [rules.bot_token, rules.app_token]
    return tuple(one for one in (*msgspec.structs.astuple(settings.secrets), *tokens) if one)


def _given(home: Home, environ: Mapping[str, str], found: Found) -> Iterator[Given]:
    """Everything that somebody gave, the weaker first; room is made in `found` for it."""
    yield from _from_toml(home, found)
    lines = dotenv.read(home.env)
    yield from _from_variables(
        {name: one.value for name, one in lines.items()},
        {name: f"{home.env}, line {one.line}" for name, one in lines.items()},
        found,
    )
    yield from _from_variables(environ, {}, found)


def _from_toml(home: Home, found: Found) -> Iterator[Given]:
    text = read_text(home.config)
    if text is None:
        return
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = values.toml_reason(error)
        raise ConfigInvalid(f"{home.config} is not valid TOML: {reason}") from error
    for section, table in document.items():
        where = _place(home, text, section, None)
        if section not in sections.plain() and section not in sections.HEADS:
            is_table = isinstance(table, dict)
            said = sections.unknown_section(where, section, is_table=is_table)
            raise ConfigInvalid(masked(said))
        if section in sections.plain():
            yield from _from_table(home, text, section, table)
        elif section in sections.FAMILIES:
            yield from _from_family(home, text, section, table, found)
        else:
            yield from _from_kinds(home, text, section, table, found)


def _from_kinds(home: Home, text: str, section: str, table: Any, found: Found) -> Iterator[Given]:
    """Families below one name, such as all kinds of channels."""
    kinds = [one for one in sections.FAMILIES if one.startswith(f"{section}.")]
    if not isinstance(table, dict):
        where = _place(home, text, section, None)
        raise ConfigInvalid(f"{where}: {section} must be sections: [{kinds[0]}.NAME].")
    for kind, named in table.items():
        family = f"{section}.{kind}"
        if family not in kinds:
            where = _place(home, text, family, None)
            known = ", ".join(f"{one}.NAME" for one in kinds)
            said = f"{where}: there is no section [{family}]. There are {known}."
            raise ConfigInvalid(masked(said))
        yield from _from_family(home, text, family, named, found)


def _from_family(home: Home, text: str, family: str, table: Any, found: Found) -> Iterator[Given]:
    if not isinstance(table, dict):
        where = _place(home, text, family, None)
        raise ConfigInvalid(f"{where}: {family} must be sections: [{family}.NAME].")
    for name, rules in table.items():
        if family.startswith("channels.") and not isinstance(rules, dict):
            where = _place(home, text, family, name)
            raise ConfigInvalid(masked(f"{where}: {name} must stand below [{family}.NAME]."))
        found.setdefault(f"{family}.{name}", {})
        yield from _from_table(home, text, f"{family}.{name}", rules)


def _from_table(home: Home, text: str, section: str, table: Any) -> Iterator[Given]:
    if not isinstance(table, dict):
        where = _place(home, text, section, None)
        raise ConfigInvalid(masked(f"{where}: {section} must be a section: [{section}]."))
    for key, value in table.items():
        where = _place(home, text, section, key)
        if key not in sections.types(section):
            raise ConfigInvalid(masked(sections.unknown_key(where, section, key)))
        yield Given(section, key, value, f"{where}: [{section}] {key}", is_text=False)


def _from_variables(
    variables: Mapping[str, str], places: Mapping[str, str], found: Found
) -> Iterator[Given]:
    for name, key in PLAIN_SECRETS.items():
        if variables.get(name, "").strip():
            where = places.get(name, "The environment")
            yield Given("secrets", key, variables[name], f"{where}: {name}", is_text=True)
    workspace = plain_workspace(variables, found, places)
    for name, key in PLAIN_TOKENS.items():
        if workspace is not None and variables.get(name, "").strip():
            where = places.get(name, "The environment")
            found.setdefault(workspace, {})
            yield Given(workspace, key, variables[name], f"{where}: {name}", is_text=True)
    for name, value in variables.items():
        where = places.get(name, "The environment")
        if meant := _misspelt(name, in_env_file=name in places):
            raise ConfigInvalid(f"{where}: {name} is no setting. Did you mean {meant}?")
        if not name.startswith(PREFIX) or "__" not in name.removeprefix(PREFIX):
            continue
        if (setting := sections.of_variable(name, found)) is None:
            raise ConfigInvalid(masked(sections.unknown_variable(where, name)))
        section, key = setting
        found.setdefault(section, {})
        yield Given(section, key, value, f"{where}: {name}", is_text=True)


def _misspelt(name: str, *, in_env_file: bool) -> str | None:
    """What a variable was meant to be that looks like nobody else's: one of ours with too few
    underscores, or in our own file a secret's name with a slip in it."""
    if name.startswith(PREFIX) and "__" not in name:
        return {known.replace("__", "_"): known for known in _known()}.get(name.upper())
    if in_env_file and name not in PLAIN_SECRETS:
        return next(iter(get_close_matches(name, PLAIN_SECRETS, n=1, cutoff=0.85)), None)
    return None


def _known() -> list[str]:
    """The variables of all settings that there are once."""
    return [
        f"{PREFIX}{section}__{key}".upper()
        for section in sections.plain()
        for key in sections.types(section)
    ]


def _place(home: Home, text: str, section: str, key: str | None) -> str:
    line = find_line(text, section, key)
    return f"{home.config}, line {line}" if line else str(home.config)


def _section_place(home: Home, section: str) -> str:
    """A section as a person is told of it, with its line where it stands in the file."""
    line = find_line(read_text(home.config) or "", section, None)
    return f"{home.config}, line {line}: [{section}]" if line else f"[{section}]"
