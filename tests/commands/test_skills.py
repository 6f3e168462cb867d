"""`pynchy skills`: which there are, and which a group has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.test_runs import on_terminal
from tests.conftest import Pynchy


@pytest.fixture
def lamps(home: Path) -> Path:
    folder = home / "skills/lamps"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\ndescription: How to fill a lamp.\n---\n")
    return folder


def names(text: str) -> list[str]:
    return [json.loads(line)["name"] for line in text.splitlines()]


def test_list_shows_all_with_tier_and_place(lamps: Path, pynchy: Pynchy) -> None:
    lines = pynchy("skills", "list").stdout.splitlines()
    assert json.loads(lines[0]) == {
        "name": "lamps",
        "tier": "community",
        "description": "How to fill a lamp.",
        "path": str(lamps),
    }
    assert names("\n".join(lines)) == ["lamps", "memory-notes", "read-documents"]


def test_a_narrow_terminal_gets_a_line_for_each(home: Path) -> None:
    lines = on_terminal(home, "skills", "list", columns=100).splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "memory-notes", "read-documents"]
    assert all(line.endswith("…") for line in lines[1:])


def test_list_of_a_group_shows_what_it_has(lamps: Path, pynchy: Pynchy) -> None:
    assert names(pynchy("skills", "list", "main").stdout) == ["memory-notes", "read-documents"]
    env = {"PYNCHY_DEFAULTS__SKILLS": "lamps,lamsp"}
    done = pynchy("skills", "list", "main", env=env)
    assert names(done.stdout) == ["lamps", "memory-notes", "read-documents"]
    assert done.stderr == "There is no skill and no tier of skills called lamsp.\n"


def test_a_group_that_isnt_there_is_said(lamps: Path, pynchy: Pynchy) -> None:
    done = pynchy("skills", "list", "mian", code=1)
    assert "main" in done.stderr
    assert done.stdout == ""


def test_a_broken_skill_is_said(lamps: Path, pynchy: Pynchy) -> None:
    (lamps / "SKILL.md").write_text("no front matter\n")
    done = pynchy("skills", "list")
    assert f"A skill is left out: {lamps}/SKILL.md has no description" in done.stderr
    assert names(done.stdout) == ["memory-notes", "read-documents"]
