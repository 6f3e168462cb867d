"""Everything that somebody gave, from config.toml, .env and the environment, the weaker first. What
can't be is among it as a refusal: whoever reads may end with the first, or tell all of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pynchy_cli.config import dotenv, sections, values
from pynchy_cli.config.channels import PLAIN_TOKENS, plain_workspace
from pynchy_cli.config.files import read_text
from pynchy_cli.config.paths import Home
from pynchy_cli.config.sections import PREFIX
from pynchy_cli.config.sources import ENVIRONMENT, Given, Origin, find_line
from pynchy_cli.errors import ConfigInvalid
from pynchy_cli.log import masked

PLAIN_SECRETS = {
    "ANTHROPIC_API_KEY": "anthropic_api_key",
    "CLAUDE_CODE_OAUTH_TOKEN": "claude_code_oauth_token",
    "GH_TOKEN": "gh_token",
}
"""Variables that other programs know too, and the secret that each fills."""
Found = dict[str, dict[str, Any]]
"""Section -> setting -> value."""
Gifts = Iterator[Given | ConfigInvalid]


def everything(home: Home, environ: Mapping[str, str], found: Found) -> Gifts:
    """All that was given, and all that can't be; room is made in `found` for it."""
    yield from _Toml(home, found).gifts()
    lines: dict[str, dotenv.Entry] = {}
    for one in dotenv.entries(home.env):
        if isinstance(one, ConfigInvalid):
            yield one
        else:
            lines[one[0]] = one[1]
    yield from _from_variables(
        {name: one.value for name, one in lines.items()},
        {name: f"{home.env}, line {one.line}" for name, one in lines.items()},
        {name: Origin(home.env.name, one.line, name) for name, one in lines.items()},
        found,
    )
    yield from _from_variables(environ, {}, {}, found)


class _Toml:
    """config.toml, section by section."""

    def __init__(self, home: Home, found: Found) -> None:
        self.home = home
        self.found = found
        self.text = ""

    def gifts(self) -> Gifts:
        """All that stands in the file."""
        try:
            document = self._document()
        except ConfigInvalid as error:
            yield error
            return
        for section, table in document.items():
            if section in sections.plain():
                yield from self._table(section, table)
            elif section in sections.FAMILIES:
                yield from self._family(section, table)
            elif section in sections.HEADS:
                yield from self._kinds(section, table)
            else:
                where = self._place(section, None)
                is_table = isinstance(table, dict)
                yield _refusal(sections.unknown_section(where, section, is_table=is_table))

    def _document(self) -> dict[str, Any]:
        self.text = read_text(self.home.config) or ""
        try:
            return tomllib.loads(self.text)
        except (ValueError, RecursionError) as error:
            reason = values.toml_reason(error)
            raise ConfigInvalid(f"{self.home.config} is not valid TOML: {reason}") from error

    def _kinds(self, section: str, table: Any) -> Gifts:
        """Families below one name, such as all kinds of channels."""
        kinds = [one for one in sections.FAMILIES if one.startswith(f"{section}.")]
        if not isinstance(table, dict):
            where = self._place(section, None)
            yield ConfigInvalid(f"{where}: {section} must be sections: [{kinds[0]}.NAME].")
            return
        for kind, named in table.items():
            family = f"{section}.{kind}"
            if family in kinds:
                yield from self._family(family, named)
                continue
            known = ", ".join(f"{one}.NAME" for one in kinds)
            where = self._place(family, None)
            yield _refusal(f"{where}: there is no section [{family}]. There are {known}.")

    def _family(self, family: str, table: Any) -> Gifts:
        if not isinstance(table, dict):
            where = self._place(family, None)
            yield ConfigInvalid(f"{where}: {family} must be sections: [{family}.NAME].")
            return
        for name, rules in table.items():
            if family.startswith("channels.") and not isinstance(rules, dict):
                where = self._place(family, name)
                yield _refusal(f"{where}: {name} must stand below [{family}.NAME].")
                continue
            self.found.setdefault(f"{family}.{name}", {})
            yield from self._table(f"{family}.{name}", rules)

    def _table(self, section: str, table: Any) -> Gifts:
        if not isinstance(table, dict):
            where = self._place(section, None)
            yield _refusal(f"{where}: {section} must be a section: [{section}].")
            return
        for key, value in table.items():
            where = self._place(section, key)
            if key not in sections.types(section):
                yield _refusal(sections.unknown_key(where, section, key))
                continue
            origin = Origin(self.home.config.name, find_line(self.text, section, key))
            yield Given(section, key, value, f"{where}: [{section}] {key}", False, origin)

    def _place(self, section: str, key: str | None) -> str:
        line = find_line(self.text, section, key)
        return f"{self.home.config}, line {line}" if line else str(self.home.config)


def _from_variables(
    variables: Mapping[str, str],
    places: Mapping[str, str],
    origins: Mapping[str, Origin],
    found: Found,
) -> Gifts:
    def given(section: str, key: str, name: str) -> Given:
        found.setdefault(section, {})
        where = f"{places.get(name, 'The environment')}: {name}"
        origin = origins.get(name, Origin(ENVIRONMENT, None, name))
        return Given(section, key, variables[name], where, True, origin)

    for name, key in PLAIN_SECRETS.items():
        if variables.get(name, "").strip():
            yield given("secrets", key, name)
    workspace = plain_workspace(variables, found, places)
    for name, key in PLAIN_TOKENS.items():
        if workspace is not None and variables.get(name, "").strip():
            yield given(workspace, key, name)
    for name in variables:
        where = places.get(name, "The environment")
        if meant := _misspelt(name, in_env_file=name in places):
            yield ConfigInvalid(f"{where}: {name} is no setting. Did you mean {meant}?")
        elif name.startswith(PREFIX) and "__" in name.removeprefix(PREFIX):
            setting = sections.of_variable(name, found)
            if setting is None:
                yield _refusal(sections.unknown_variable(where, name))
            else:
                yield given(*setting, name)


def _refusal(said: str) -> ConfigInvalid:
    return ConfigInvalid(masked(said))


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
