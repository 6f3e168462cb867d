"""QR codes in a terminal: whole, drawn again in their place, and not where there is no room."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest
import segno

from pynchy_cli.errors import UsageWrong
from pynchy_cli.tui.linking import Codes
from pynchy_cli.tui.qr import BORDER, Screen, lines, write_png

CODE = "https://wa.me/settings/linked_devices#" + ",".join("aB3/" * 11 for _ in range(5))
OTHER = CODE.replace("B", "C")
TOO_SMALL = "Of {columns} and {rows}; needed are {wide} and {high}."
HALVES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


class Terminal:
    """A terminal, and what is written to it."""

    def __init__(self) -> None:
        self.fd, theirs = os.openpty()
        self.out = os.fdopen(theirs, "w", encoding="utf-8")

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def said(self, do: Callable[[], None]) -> str:
        """What a step writes. A terminal holds little: it is read meanwhile."""

        def finish() -> None:
            do()
            self.out.write("\0")
            self.out.flush()

        writer = Thread(target=finish, daemon=True)
        writer.start()
        data = b""
        while not data.endswith(b"\0"):
            data += os.read(self.fd, 65536)
        writer.join()
        return data[:-1].decode().replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    with made.out:
        yield made
    os.close(made.fd)


def test_the_lines_hold_every_module() -> None:
    drawn = lines(CODE)
    rows = [tuple(HALVES[one][half] for one in line) for line in drawn for half in (0, 1)]
    wanted = segno.make_qr(CODE, error="l", boost_error=False)
    size = len(list(wanted.matrix_iter(border=BORDER)))
    assert rows[:size] == [tuple(row) for row in wanted.matrix_iter(border=BORDER)]
    assert not any(any(row) for row in rows[size:])


def test_a_code_is_drawn_again_in_its_place(terminal: Terminal) -> None:
    terminal.resize(100, 60)
    screen = Screen(terminal.out)

    def show(code: str) -> Callable[[], None]:
        return lambda: screen.show(code, "Above.", "Below.", TOO_SMALL)

    first = terminal.said(show(CODE))
    shown = first.splitlines()
    high = len(lines(CODE)) + 2
    assert (shown[0], shown[-1], len(shown)) == ("Above.", "Below.", high)
    assert shown[1:-1] == [f"\033[30;107m{line}\033[0m" for line in lines(CODE)]
    second = terminal.said(show(OTHER))
    assert second.startswith(f"\033[{high}A\r\033[JAbove.\n")
    assert lines(OTHER)[10] in second
    assert terminal.said(screen.clear) == f"\033[{high}A\r\033[J"
    assert terminal.said(screen.clear) == ""


def test_a_window_that_is_too_small_is_told_of_and_one_that_grows_has_the_code(
    terminal: Terminal,
) -> None:
    screen = Screen(terminal.out)
    wide, high = len(lines(CODE)[0]), len(lines(CODE)) + 3
    for columns, rows in ((wide - 1, high), (wide, high - 1)):
        terminal.resize(columns, rows)
        told = terminal.said(lambda: screen.show(CODE, "Above.", "Below.", TOO_SMALL))
        assert f"Of {columns} and {rows}; needed are {wide} and {high}." in told
        assert not re.search("[▀▄█]", told)
    terminal.resize(wide, high)
    grown = terminal.said(lambda: screen.show(CODE, "Above.", "Below.", TOO_SMALL))
    assert grown.startswith("\033[H\033[2JAbove.\n"), "nobody knows where the rest stands now"
    assert lines(CODE)[0] in grown


def test_no_word_is_broken(terminal: Terminal) -> None:
    terminal.resize(30, 10)
    told = terminal.said(lambda: Screen(terminal.out).tell("Settings, Linked devices " * 5))
    assert max(map(len, told.splitlines())) < 30
    assert told.split() == ["Settings,", "Linked", "devices"] * 5


def test_the_picture_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "code.png"
    path.write_text("other")
    path.chmod(0o644)
    write_png(CODE, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageWrong, match="No such file"):
        write_png(CODE, tmp_path / "nowhere" / "code.png")


def test_only_a_picture_of_a_code_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"a photo")
    codes = Codes(as_json=True, png=path)
    codes.over()
    assert path.read_bytes() == b"a photo"
    codes.read(CODE, 20)
    codes.over()
    assert not path.exists()
