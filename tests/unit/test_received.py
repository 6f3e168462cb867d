"""What files are called that others share: nothing that leads elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli.channels import received
from pynchy_cli.channels.base import NeverSent
from pynchy_cli.config.paths import Home


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("report.pdf", "7-report.pdf"),
        ("my notes (2).txt", "7-my notes (2).txt"),
        ("Büro 開発.png", "7-Büro 開発.png"),
        ("../../etc/passwd", "7-passwd"),
        ("..\\..\\boot.ini", "7-boot.ini"),
        ("/", "7-file"),
        ("..", "7-file"),
        ("", "7-file"),
        (".bashrc", "7-bashrc"),
        ("-rf", "7-rf"),
        ("a\nb\x1b[2J\0.txt", "7-a_b__2J_.txt"),
        ("\u202etxt.exe", "7-_txt.exe"),
        ("x" * 500 + ".jpeg", "7-" + "x" * 113 + ".jpeg"),
        ("$(touch x);`y`|'\"&.sh", "7-_(touch x)__y_____.sh"),
    ],
)
def test_names(name: str, called: str) -> None:
    assert received.safe_name(name, 7) == called


@given(st.text(), st.integers(1, 10**12))
def test_any_name_is_one_file_of_its_folder(name: str, seq: int) -> None:
    made = received.safe_name(name, seq)
    assert len(made.encode()) <= received.LONGEST
    assert made.startswith(f"{seq}-")
    assert len(made) > len(f"{seq}-")
    assert made.isprintable()
    assert Path(made).name == made


def test_it_lies_in_a_folder_of_the_host(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.data.mkdir()
    place = received.place(home, "team", 7, "../x")
    assert place == tmp_path / "data/received/team/7-x"
    place.touch(mode=0o600)
    received.share(home, "team", "7-x")
    received.share(home, "team", "8-gone")
    assert place.stat().st_mode & 0o777 == 0o644
    assert received.place(home, "team", 8, "x").parent == place.parent


def test_a_group_holds_so_much_and_no_more(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.received("dev").parent.parent.mkdir()
    for number in range(3):
        received.require_room(home, "dev", 300)
        received.place(home, "dev", number, "a").write_bytes(b"x" * 100)
    with pytest.raises(NeverSent, match="folder_limit"):
        received.require_room(home, "dev", 300)
    received.require_room(home, "other", 300)
