"""Skills: which there are, which a group has, and what its sandbox's copy may hold."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pynchy_cli.agent import skill_folder, skills
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import SandboxUnavailable

CORE = ["memory-notes", "read-documents"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.skills.mkdir(parents=True)
    return made


def write(home: Home, folder: str, *lines: str) -> Path:
    place = home.skills / folder
    place.mkdir()
    (place / "SKILL.md").write_text("\n".join(["---", *lines, "---", "", "# How", ""]))
    return place


def made(home: Home, *wanted: str) -> tuple[dict[str, str], list[str]]:
    """A sandbox's skills, name -> SKILL.md, and what was said."""
    said: list[str] = []
    number = len(list(home.root.glob("target-*")))
    target = home.root / f"target-{number}"
    skill_folder.make(home, wanted, target, said.append)
    return {one.name: (one / "SKILL.md").read_text() for one in sorted(target.iterdir())}, said


def test_those_that_ship_are_core_and_well_described(home: Home) -> None:
    said: list[str] = []
    found = skills.available(home, said.append)
    assert [(one.name, one.tier) for one in found] == [(name, "core") for name in CORE]
    assert all(100 < len(one.description) < 1000 for one in found)
    assert said == []


def test_a_home_without_a_folder_of_skills_has_those(tmp_path: Path) -> None:
    assert [*made(Home(tmp_path))[0]] == CORE


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ((), []),
        (("core",), []),
        (("lamps",), ["lamps"]),
        (("odd",), ["sundials"]),
        (("community",), ["lamps", "plain"]),
        (("*",), ["lamps", "plain", "sundials"]),
        (("*", "lamps"), ["lamps", "plain", "sundials"]),
        (("odd", "lamps", "sundials"), ["lamps", "sundials"]),
    ],
)
def test_a_group_has_those_of_core_and_what_it_names(
    home: Home, wanted: tuple[str, ...], names: list[str]
) -> None:
    write(home, "lamps", "name: lamps", "description: x", "tier: community")
    write(home, "plain", "description: a folder's name does")
    write(home, "sundials", "description: x", "tier: odd")
    found, said = made(home, *wanted)
    assert sorted(found) == sorted([*CORE, *names])
    assert said == []


def test_it_can_be_done_again_and_again_and_what_is_not_chosen_goes(home: Home) -> None:
    write(home, "lamps", "description: x")
    assert [[*made(home, *wanted)[0]] for wanted in (["*"], ["*"], [], ["lamps"])] == [
        ["lamps", *CORE],
        ["lamps", *CORE],
        CORE,
        ["lamps", *CORE],
    ]


def test_a_skill_of_the_home_replaces_a_shipped_one_of_its_name(home: Home) -> None:
    write(home, "mine", "name: memory-notes", "description: my way", "tier: core")
    found, said = made(home)
    assert [*found] == CORE
    assert "my way" in found["memory-notes"]
    assert said == []


def test_two_of_one_name_are_said_and_the_others_work(home: Home) -> None:
    write(home, "a", "name: lamps", "description: first")
    write(home, "b", "name: lamps", "description: second")
    write(home, "c", "description: third")
    found, said = made(home, "*")
    assert [*found] == ["c", "lamps", *CORE]
    assert "first" in found["lamps"]
    assert said == [
        f"A skill is left out: {home.skills}/b calls itself lamps, as {home.skills}/a does."
    ]


def test_a_name_that_is_nothing_is_said(home: Home) -> None:
    found, said = made(home, "lamps", "core", "community", "*")
    assert [*found] == CORE
    assert said == ["There is no skill and no tier of skills called lamps."]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("name: x",), "no description"),
        (("name: ../x", "description: x"), "small letters"),
        (("name: A b", "description: x"), "small letters"),
        (("description: x", "tier: '*'"), "the tier must"),
        (("description:",), "no description"),
    ],
)
def test_a_broken_one_is_left_out_and_said(home: Home, lines: tuple[str, ...], words: str) -> None:
    write(home, "broken", *lines)
    write(home, "lamps", "description: x")
    found, said = made(home, "*")
    assert [*found] == ["lamps", *CORE]
    assert words in said[0]


def test_what_is_no_skill_at_all_is_said(home: Home) -> None:
    (home.skills / "empty").mkdir()
    (home.skills / "README.md").write_text("about these skills")
    (home.skills / ".git").mkdir()
    (home.skills / "link").symlink_to(skills.shipped() / "memory-notes")
    linked = home.skills / "linked"
    linked.mkdir()
    (linked / "SKILL.md").symlink_to("/etc/passwd")
    pipe = home.skills / "pipe"
    pipe.mkdir()
    os.mkfifo(pipe / "SKILL.md")
    found, said = made(home, "*")
    assert [*found] == CORE
    assert [name for name in ("empty", "link", "linked", "pipe") if name not in str(said)] == []
    assert len(said) == 4


def test_front_matter_is_read_as_people_write_it() -> None:
    text = (
        '---\r\nname: "lamps"\r\ndescription: >\r\n  How to: fill\r\n  a lamp\r\n# no\r\n'
        "metadata:\r\n  a: b\r\ntier:   odd  \r\n---\r\nname: not this\r\n"
    )
    found = skills.front_matter(text)
    assert (found["name"], found["tier"]) == ("lamps", "odd")
    assert found["description"] == "How to: fill a lamp"
    assert skills.front_matter("name: x\n") == {}
    assert skills.front_matter("---\nname: x\n") == {}


def test_a_copy_holds_plain_files_and_folders_and_nothing_else(home: Home) -> None:
    place = write(home, "lamps", "description: x")
    (place / "deep/er").mkdir(parents=True)
    (place / "deep/er/run.sh").write_text("#!/bin/sh\n")
    (place / "deep/er/run.sh").chmod(0o700)
    (place / "passwd").symlink_to("/etc/passwd")
    (place / "all").symlink_to("/etc")
    os.mkfifo(place / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place / "socket"))
    found, _ = made(home, "lamps")
    assert "lamps" in found
    copy = home.root / "target-0/lamps"
    kept = sorted(str(path.relative_to(copy)) for path in copy.rglob("*"))
    assert kept == ["SKILL.md", "deep", "deep/er", "deep/er/run.sh"]
    modes = [(copy / name).stat().st_mode & 0o777 for name in (".", "SKILL.md", "deep/er/run.sh")]
    assert modes == [0o755, 0o644, 0o755]


@pytest.mark.parametrize("kind", ["many", "large", "deep"])
def test_one_that_is_too_large_is_left_out_wholly(home: Home, kind: str) -> None:
    place = write(home, "heavy", "description: x")
    write(home, "lamps", "description: x")
    match kind:
        case "many":
            for number in range(skill_folder.MOST_FILES):
                (place / str(number)).touch()
        case "large":
            with (place / "data").open("wb") as data:
                data.truncate(skill_folder.MOST_BYTES)
        case "deep":
            place.joinpath(*"abcdefghijk").mkdir(parents=True)
    found, said = made(home, "*")
    assert [*found] == ["lamps", *CORE]
    assert "heavy can't be copied: it" in said[0]


@pytest.mark.parametrize("kind", ["nothing", "folder", "link", "dead link", "file", "pipe"])
def test_there_is_a_real_folder_to_mount_them_over(tmp_path: Path, kind: str) -> None:
    claude, elsewhere = tmp_path / "claude", tmp_path / "elsewhere"
    claude.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    place = claude / "skills"
    match kind:
        case "folder":
            place.mkdir()
            (place / "own").touch()
        case "link":
            place.symlink_to(elsewhere)
        case "dead link":
            place.symlink_to("nowhere")
        case "file":
            place.touch()
        case "pipe":
            os.mkfifo(place)
    skill_folder.make_way(claude)
    assert place.is_dir()
    assert not place.is_symlink()
    assert (elsewhere / "kept").exists()
    assert (place / "own").exists() == (kind == "folder")


def test_a_state_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "claude").symlink_to("elsewhere")
    with pytest.raises(SandboxUnavailable, match="claude/skills can't be made"):
        skill_folder.make_way(tmp_path / "claude")
    assert not (tmp_path / "elsewhere/skills").exists()
