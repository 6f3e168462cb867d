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

from pynchy_cli.config import dotenv, values
from pynchy_cli.config.files import read_text
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Section, Settings
from pynchy_cli.config.sources import Given, find_line
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.log import masked

PREFIX = "PYNCHY_"
PLAIN_SECRETS = {
    "ANTHROPIC_API_KEY": "anthropic_api_key",
    "CLAUDE_CODE_OAUTH_TOKEN": "claude_code_oauth_token",
}
"""Variables that other programs know too, and the secret that each fills."""
HIDDEN = "(set)"


def load(home: Home, environ: Mapping[str, str]) -> Settings:
    """All settings of a home. Raises ConfigInvalid, with file, key and the nearest known name."""
    found: dict[str, dict[str, Any]] = {section: {} for section in _sections()}
    for given in _given(home, environ):
        found[given.section][given.key] = values.convert(given, _types(given.section)[given.key])
    built: Any = {section: kind(**found[section]) for section, kind in _sections().items()}
    return Settings(**built)


def config_hash(settings: Settings) -> str:
    """Twelve hexadecimal digits that change when any setting does."""
    return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()[:12]


def shown(settings: Settings) -> dict[str, Any]:
    """All settings as they may be shown: a secret is only said to be set, or not."""
    document: dict[str, Any] = msgspec.to_builtins(settings)
    document["secrets"] = {
        key: HIDDEN if value else "" for key, value in document["secrets"].items()
    }
    return document


def secrets(settings: Settings) -> tuple[str, ...]:
    """The secrets' values, for those who must keep them out of what they write."""
    return tuple(value for value in msgspec.structs.astuple(settings.secrets) if value)


def _sections() -> dict[str, type[Section]]:
    return {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _types(section: str) -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(_sections()[section])}


def _keys(section: str) -> list[str]:
    return list(_types(section))


def _given(home: Home, environ: Mapping[str, str]) -> Iterator[Given]:
    """Everything that somebody gave, the weaker first."""
    yield from _from_toml(home)
    lines = dotenv.read(home.env)
    yield from _from_variables(
        {name: one.value for name, one in lines.items()},
        {name: f"{home.env}, line {one.line}" for name, one in lines.items()},
    )
    yield from _from_variables(environ, {})


def _from_toml(home: Home) -> Iterator[Given]:
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
        if section not in _sections():
            raise ConfigInvalid(masked(_unknown_section(where, section)))
        if not isinstance(table, dict):
            raise ConfigInvalid(f"{where}: {section} must be a section: [{section}].")
        for key, value in table.items():
            where = _place(home, text, section, key)
            if key not in _keys(section):
                raise ConfigInvalid(masked(_unknown_key(where, section, key)))
            yield Given(section, key, value, f"{where}: [{section}] {key}", is_text=False)


def _from_variables(variables: Mapping[str, str], places: Mapping[str, str]) -> Iterator[Given]:
    for name, key in PLAIN_SECRETS.items():
        if variables.get(name, "").strip():
            where = places.get(name, "The environment")
            yield Given("secrets", key, variables[name], f"{where}: {name}", is_text=True)
    for name, value in variables.items():
        where = places.get(name, "The environment")
        if meant := _misspelt(name, in_env_file=name in places):
            raise ConfigInvalid(f"{where}: {name} is no setting. Did you mean {meant}?")
        section, separator, key = name.removeprefix(PREFIX).partition("__")
        if not name.startswith(PREFIX) or not separator:
            continue
        section, key = section.lower(), key.lower()
        if section not in _sections() or key not in _keys(section):
            raise ConfigInvalid(masked(_unknown_variable(where, name)))
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
    """The variables of all settings."""
    return [
        f"{PREFIX}{section}__{key}".upper() for section in _sections() for key in _keys(section)
    ]


def _place(home: Home, text: str, section: str, key: str | None) -> str:
    line = find_line(text, section, key)
    return f"{home.config}, line {line}" if line else str(home.config)


def _unknown_section(where: str, section: str) -> str:
    homes = [name for name in _sections() if section in _keys(name)]
    if homes:
        return f"{where}: {section} must stand below [{homes[0]}]."
    near = get_close_matches(section, _sections(), n=1)
    hint = f"Did you mean [{near[0]}]?" if near else f"There are {', '.join(_sections())}."
    return f"{where}: there is no section [{section}]. {hint}"


def _unknown_key(where: str, section: str, key: str) -> str:
    near = get_close_matches(key, _keys(section), n=1)
    homes = [name for name in _sections() if key in _keys(name)]
    if homes:
        hint = f"It belongs below [{homes[0]}]."
    elif near:
        hint = f"Did you mean {near[0]}?"
    else:
        hint = f"There are {', '.join(_keys(section))}."
    return f"{where}: [{section}] has no setting {key}. {hint}"


def _unknown_variable(where: str, name: str) -> str:
    near = get_close_matches(name.upper(), _known(), n=1)
    hint = f"Did you mean {near[0]}?" if near else "`pynchy config show` lists all settings."
    return f"{where}: {name} is no setting. {hint}"
