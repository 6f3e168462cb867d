"""The config.toml that `init` writes: it changes nothing, explains everything, and each of its
lines works once the comment sign is gone."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from pynchy_cli.config import sections, template
from pynchy_cli.config.load import load
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import MountRule, Settings
from pynchy_cli.config.tiers import for_group


def test_the_files_change_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config.write_text(template.config_toml())
    home.env.write_text(template.ENV)
    assert load(home, {}) == Settings()


def test_uncommented_it_says_the_defaults_of_all_settings(tmp_path: Path) -> None:
    home = Home(tmp_path)
    text = re.sub(r"^# (\w+ = )", r"\1", template.config_toml(), flags=re.MULTILINE)
    home.config.write_text(text)
    assert load(home, {}) == Settings()
    for section in sections.plain():
        for name in sections.settings(section):
            if section != "secrets":
                line = rf"^({name} = |# {name}: not set\.$)"
                assert re.search(line, text, re.MULTILINE), name


def test_its_example_of_a_group_works_once_uncommented(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config.write_text(re.sub(r"^# ( |\[)", r"\1", template.GROUPS, flags=re.MULTILINE))
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
