"""The config.toml that `init` writes: it changes nothing, explains everything, and each of its
lines works once the comment sign is gone."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from pynchy_cli.config import keys, sections, template
from pynchy_cli.config.load import load, problems
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import MountRule, Settings
from pynchy_cli.config.tiers import for_group


def uncommented(text: str) -> str:
    """The file once every comment sign is gone that stands before a setting."""
    return re.sub(r"^#(?=[^ \n])", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("text", [template.small(), template.config_toml()])
def test_the_files_change_nothing(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.config.write_text(text)
    home.env.write_text(template.env())
    assert load(home, {}) == Settings()


@pytest.mark.parametrize("text", [template.small(), template.config_toml()])
def test_each_line_that_is_no_prose_works_once_uncommented(tmp_path: Path, text: str) -> None:
    home = Home(tmp_path)
    home.config.write_text(uncommented(text))
    home.env.write_text(uncommented(template.env()))
    found = load(home, {})
    assert problems(home, {}) == []
    for section in sections.plain():
        assert getattr(found, section) == getattr(Settings(), section)
    assert (found.tasks["standup"].group, found.jobs["backup"].every) == ("main", "12h")
    assert [mount.container_path for mount in found.groups["family"].mounts] == ["photos"]
    for line in text.splitlines():
        assert not line or line[0] in "#[", line
        assert len(line) < 500
    prose = [one for one in text.splitlines() if one.startswith("# ")]
    assert [one for one in prose if re.match(r"# *[\w.]+ = |# *\[\w+(\.\w+)*\]$", one)] == []


def test_the_small_one_is_small_and_leads_on(tmp_path: Path) -> None:
    text = template.small()
    assert len(text.splitlines()) < 80
    for word in ("docs/configuration.md", "pynchy config template", "pynchy config show"):
        assert word in text


def test_a_name_and_a_key_are_written_into_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config.write_text(template.small("bob"))
    home.env.write_text(template.env("CLAUDE_CODE_OAUTH_TOKEN", "k-1"))
    found = load(home, {})
    assert (found.agent.name, found.secrets.claude_code_oauth_token) == ("bob", "k-1")
    assert not found.secrets.anthropic_api_key


@pytest.mark.parametrize(
    ("text", "variable"),
    [
        ("sk-ant-api03-abcdefghijklmnop", "ANTHROPIC_API_KEY"),
        ("sk-ant-oat01-abcdefghijklmnop", "CLAUDE_CODE_OAUTH_TOKEN"),
        ("sk-ant-api03", None),
        ("sk-proj-abcdefghijklmnopqrstuvw", None),
        ("sk-ant-api03-abcdefgh ijklmnop", None),
        ("sk-ant-api03-abcdefghijklmnop\nX=1", None),
    ],
)
def test_a_key_is_known_by_its_shape(text: str, variable: str | None) -> None:
    assert keys.variable_of(text) == variable


def test_the_whole_one_says_the_defaults_of_all_settings() -> None:
    text = template.config_toml()
    for section in sections.plain():
        for name in sections.settings(section):
            if section != "secrets":
                line = rf"^#({name} = | {name}: not set\.$)"
                assert re.search(line, text, re.MULTILINE), name


def test_its_example_of_a_group_works_once_uncommented(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config.write_text(uncommented(template.GROUPS))
    rules = for_group(load(home, {}), "family")
    assert (rules.profile, rules.skills, rules.idle_timeout) == ("research", ("*",), 3600)
    assert rules.directives == ("base", "idle", "family")
    assert [mount.container_path for mount in rules.mounts] == ["photos"]


def test_everything_is_explained() -> None:
    notes = template.explanations()
    for kind in (*sections.plain().values(), *sections.FAMILIES.values(), MountRule):
        assert notes[kind.__name__, ""].endswith(".")
        for field in msgspec.structs.fields(kind):
            assert notes[kind.__name__, field.name].endswith("."), field.name


def test_secrets_are_left_to_dotenv() -> None:
    assert "[secrets]" not in template.config_toml()
    assert "ANTHROPIC_API_KEY" in template.ENV
