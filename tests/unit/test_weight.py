"""What a group's folders weigh, whatever an agent makes of them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pynchy_cli.agent import weight
from tests.sandboxes import again_as_user

KIB = 1024


def weighed(*folders: Path, limit: int = 500 * KIB) -> str | None:
    return weight.too_much(folders, limit, threading.Event())


def fill(path: Path, kib: int) -> None:
    path.write_bytes(b"x" * kib * KIB)


def test_all_folders_count_together(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        fill(tmp_path / name / "deep" / "file", 300)
    assert weighed(tmp_path / "one") is weighed(tmp_path / "two") is None
    assert weighed(tmp_path / "one", tmp_path / "two") == (
        "the group's folder holds more than 500 KiB"
    )
    assert weighed(tmp_path / "missing") is None


def test_names_links_and_holes_weigh_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(tmp_path / "outside", 900)
    fill(folder / "file", 300)
    (folder / "name").hardlink_to(folder / "file")
    (folder / "link").symlink_to(tmp_path)
    with (folder / "hole").open("wb") as file:
        file.truncate(1 << 40)
    assert weighed(folder) is None
    (tmp_path / "top").symlink_to(folder)
    with pytest.raises(OSError, match="top"):
        os.open(tmp_path / "top", weight._FOLDER)


def test_what_cannot_be_measured_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "/".join("d" * (weight.DEEPEST + 1))).mkdir(parents=True)
    assert "levels deep" in str(weighed(tmp_path))
    monkeypatch.setattr(weight, "MOST", 3)
    monkeypatch.setattr(weight, "DEEPEST", 2000)
    assert "more than 3 files" in str(weighed(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into everything")
def test_a_closed_folder_is_too_much(tmp_path: Path) -> None:
    (tmp_path / "closed" / "file").mkdir(parents=True)
    for mode in (0o000, 0o400, 0o100):
        (tmp_path / "closed").chmod(mode)
        assert "looked into" in str(weighed(tmp_path))
    (tmp_path / "closed").chmod(0o700)


def test_it_can_be_halted(tmp_path: Path) -> None:
    halt = threading.Event()
    halt.set()
    fill(tmp_path / "file", 900)
    fill(tmp_path / "other", 900)
    assert weight.too_much([tmp_path], 1 << 20, halt) is None


def test_all_of_it_as_a_user() -> None:
    again_as_user(__file__)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1536, "1.5 KiB"), (5 << 30, "5 GiB"), (7 << 40, "7168 GiB")],
)
def test_sizes(number: int, text: str) -> None:
    assert weight.size(number) == text
