"""The config.toml that `init` writes: it changes nothing, explains everything, and each of its
lines works once the comment sign is gone."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from pynchy_cli.config import template
from pynchy_cli.config.load import load
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings


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
    for section in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(section.type):
            if section.name != "secrets":
                assert re.search(rf"^{field.name} = ", text, re.MULTILINE), field.name


def test_everything_is_explained() -> None:
    notes = template.explanations()
    for section in msgspec.structs.fields(Settings):
        assert notes[section.type.__name__, ""].endswith(".")
        for field in msgspec.structs.fields(section.type):
            assert notes[section.type.__name__, field.name].endswith("."), field.name


def test_secrets_are_left_to_dotenv() -> None:
    assert "secrets" not in template.config_toml()
    assert "ANTHROPIC_API_KEY" in template.ENV
