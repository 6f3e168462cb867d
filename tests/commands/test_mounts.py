"""`pynchy mounts`: what of the host agents would see, and what they see in the end."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Pynchy


@pytest.fixture
def notes(tmp_path: Path, home: Path, pynchy: Pynchy) -> Path:
    """A folder of a person's, allowed by the list, named by the configuration."""
    person = tmp_path / "person"
    folder = person / "notes"
    (folder / "deep/.ssh").mkdir(parents=True)
    (folder / ".env").write_text("KEY=secret")
    (folder / "letter").write_text("dear agent")
    allowed = person / ".config/pynchy/mount-allowlist.toml"
    allowed.parent.mkdir(parents=True)
    allowed.write_text('[[allowed_roots]]\npath = "~/notes"\nallow_read_write = true\n')
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 4321, 4321)
    pynchy("groups", "add", "work")
    config = home / "config.toml"
    config.write_text(
        config.read_text()
        + '\n[groups.work]\nmounts = [{host_path = "~/notes", container_path = "notes"}, '
        '{host_path = "/etc", container_path = "etc"}, '
        '{host_path = "~/notes/deep", container_path = "notes/deep"}]\n'
    )
    return folder


def test_check_tells_what_is_hidden(pynchy: Pynchy, notes: Path) -> None:
    done = pynchy("mounts", "check", str(notes), "--group", "work", "--write")
    assert json.loads(done.stdout) == {
        "group": "work",
        "host_path": str(notes),
        "allowed": True,
        "readonly": True,
        "container_path": "/workspace/extra/notes",
        "reason": f"{notes} lies below the allowed {notes}, and only admin groups may write: "
        "read-only.",
        "masked": [".env", "deep/.ssh/"],
    }
    done = pynchy("mounts", "check", "~/notes/deep", "--group", "main", "--write", "--as", "x/y")
    told = json.loads(done.stdout)
    assert (told["readonly"], told["container_path"]) == (False, "/workspace/extra/x/y")


def test_check_ends_with_3_where_it_is_refused(pynchy: Pynchy, notes: Path) -> None:
    for path in ("/etc", str(notes / "nowhere"), str(notes / "deep/.ssh"), "~", "/"):
        told = json.loads(pynchy("mounts", "check", path, "--group", "main", code=3).stdout)
        assert (told["allowed"], told["masked"], told["container_path"]) == (False, [], None)
        assert told["reason"]
    pynchy("mounts", "check", str(notes), "--group", "nobody", code=1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes what is root's")
def test_root_s_own_is_not_to_be_written(pynchy: Pynchy, notes: Path) -> None:
    os.chown(notes, 0, 0)
    done = pynchy("mounts", "check", str(notes), "--group", "main", "--write", code=3)
    assert "belongs to root" in json.loads(done.stdout)["reason"]
    pynchy("mounts", "check", str(notes), "--group", "main")


def test_list(pynchy: Pynchy, notes: Path) -> None:
    rows = [json.loads(line) for line in pynchy("mounts", "list").stdout.splitlines()]
    assert [(row["group"], row["host_path"], row["allowed"]) for row in rows] == [
        ("work", "~/notes", True),
        ("work", "/etc", False),
        ("work", "~/notes/deep", False),
    ]
    assert "overlaps /workspace/extra/notes" in rows[2]["reason"]
    assert pynchy("mounts", "list", "--group", "main").stdout == ""
