"""Directives: which a group has, where they are read from, and what is never read."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from pynchy_cli.agent import directives
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Agent, GroupRules, Settings
from pynchy_cli.model import Group

GROUP = Group("g", "Book club", "local:g", False, "mention", None, ("owner",), 1, 0, 0, "")
ADMIN = dataclasses.replace(GROUP, is_admin=True)
SETTINGS = Settings(
    agent=Agent(name="bob"),
    defaults=GroupRules(directives=("base", "one")),
    profiles={"p": GroupRules(directives=("two", "one"))},
    groups={"g": GroupRules(profile="p", directives=("three",))},
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.directives.mkdir(parents=True)
    for name in ("one", "two", "three"):
        (made.directives / f"{name}.md").write_text(f"\n# {name.title()}\n\n")
    return made


def prompt(
    home: Home, settings: Settings = SETTINGS, group: Group = GROUP
) -> tuple[str, list[str]]:
    said: list[str] = []
    return directives.system_prompt(home, settings, group, said.append), said


def test_they_are_joined_in_the_order_of_the_tiers(home: Home) -> None:
    (home.directives / "base.md").write_text("# Base")
    text, said = prompt(home)
    last = "You are called bob. This group is called Book club."
    assert text == "\n\n---\n\n".join(["# Base", "# One", "# Two", "# Three", last])
    assert said == []


def test_the_admin_group_has_one_more_once(home: Home) -> None:
    names = directives.names(SETTINGS, "g", is_admin=True)
    assert names == ("base", "one", "two", "three", "admin")
    twice = Settings(defaults=GroupRules(directives=("admin", "base")))
    assert directives.names(twice, "g", is_admin=True) == ("admin", "base")
    assert "# The admin group" in prompt(home, SETTINGS, ADMIN)[0]
    assert "# The admin group" not in prompt(home)[0]


def test_those_that_ship_are_there_and_no_name_is_missing(tmp_path: Path) -> None:
    bare = Home(tmp_path)
    text, said = prompt(bare, Settings(), ADMIN)
    for words in ("# Where you are", "# When there is nothing to say", "# The admin group"):
        assert words in text
    assert said == []
    assert {"base", "idle", "admin"} <= set(directives.available(bare))


def test_a_missing_one_is_left_out_and_said(home: Home) -> None:
    (home.directives / "two.md").unlink()
    text, said = prompt(home)
    assert "# Two" not in text
    assert "# Three" in text
    assert said == [f"There is no directive two; write {home.directives / 'two.md'}."]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", "a/b", "", "a\0b", "x" * 65])
def test_a_name_is_never_a_path(home: Home, name: str) -> None:
    (home.root / "secret.md").write_text("secret")
    said: list[str] = []
    assert directives.read(home, name, said.append) is None
    assert "can't be the name" in said[0]


@pytest.mark.parametrize("kind", ["link", "folder link", "ring", "pipe", "folder", "not text"])
def test_what_is_no_plain_file_of_the_folder_is_not_read(home: Home, kind: str) -> None:
    outside = home.root / "outside"
    outside.mkdir()
    (outside / "base.md").write_text("secret")
    place = home.directives / "base.md"
    match kind:
        case "link":
            place.symlink_to(outside / "base.md")
        case "folder link":
            (home.directives / "x").symlink_to(outside)
            place.symlink_to("x/base.md")
        case "ring":
            place.symlink_to("base.md")
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "not text":
            place.write_bytes(b"\xff\xfe")
    text, said = prompt(home)
    assert "secret" not in text
    assert "# Where you are" in text, "the shipped one stands in"
    assert str(place) in said[0]


def test_a_link_to_another_directive_is_fine(home: Home) -> None:
    (home.directives / "base.md").symlink_to("one.md")
    assert prompt(home)[0].startswith("# One\n\n---\n\n# One")
