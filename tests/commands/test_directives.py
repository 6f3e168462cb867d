"""`pynchy directives`: what agents are told, word for word, and who is told what."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Pynchy


def test_show_prints_the_text_and_nothing_else(home: Path, pynchy: Pynchy) -> None:
    (home / "config.toml").write_text("[defaults]\ndirectives = ['house']\n")
    (home / "directives/house.md").write_text("# House\n\n*We* live here.\n")
    (home / "directives/admin.md").write_text("# Admin\n")
    last = "You are called pynchy. This group is called Main."
    done = pynchy("directives", "show", "main")
    assert done.stdout == f"# House\n\n*We* live here.\n\n---\n\n# Admin\n\n---\n\n{last}\n"
    assert done.stderr == ""
    document = json.loads(pynchy("directives", "show", "main", "--json").stdout)
    assert document["text"] + "\n" == done.stdout
    assert document["directives"] == ["house", "admin"]


def test_show_says_what_is_missing_and_goes_on(home: Path, pynchy: Pynchy) -> None:
    env = {"PYNCHY_GROUPS__MAIN__DIRECTIVES": "hose"}
    done = pynchy("directives", "show", "main", env=env)
    assert done.stderr == f"There is no directive hose; write {home}/directives/hose.md.\n"
    assert "# Where you are" in done.stdout


def test_show_names_the_nearest_group(home: Path, pynchy: Pynchy) -> None:
    assert "main" in pynchy("directives", "show", "mian", code=1).stderr


def test_list_says_where_each_is_from_and_who_has_it(home: Path, pynchy: Pynchy) -> None:
    (home / "directives/house.md").write_text("# House\n")
    (home / "directives/base.md").write_text("# Ours\n")
    pynchy("groups", "add", "club")
    env = {"PYNCHY_GROUPS__CLUB__DIRECTIVES": "house"}
    lines = pynchy("directives", "list", env=env).stdout.splitlines()
    rows = {row["name"]: row for row in map(json.loads, lines)}
    assert list(rows) == ["admin", "base", "house", "idle"]
    assert [rows[name]["groups"] for name in rows] == [
        ["main"],
        ["main", "club"],
        ["club"],
        ["main", "club"],
    ]
    assert rows["base"]["path"] == str(home / "directives/base.md")
    assert rows["admin"]["path"].endswith("/directives/admin.md")
