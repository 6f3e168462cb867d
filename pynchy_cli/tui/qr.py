"""QR codes for phones to read: in a terminal, drawn again in the same place when they change, and
as a picture that only its owner can read."""

from __future__ import annotations

import io
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from pynchy_cli.errors import UsageWrong

if TYPE_CHECKING:
    from segno import QRCode

BORDER = 2
"""Light modules around a code in a terminal; phones need no more, and windows are small."""
# Black on white whatever the terminal's colours are: a phone reads no white code on black.
_COLOURS, _END = "\033[30;107m", "\033[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def lines(code: str) -> list[str]:
    """The code as lines of half blocks, two modules above each other in each."""
    qr = _made(code)
    rows = [[bool(module) for module in row] for row in qr.matrix_iter(border=BORDER)]
    rows += [[False] * len(rows)] * (len(rows) % 2)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_HALVES[both] for both in zip(*pair, strict=True)) for pair in pairs]


class Screen:
    """The place in a terminal where a code stands, with what is told above and below it. `out` is
    the terminal, if not whatever standard output is by then."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out
        self._drawn = 0
        self._size = (0, 0)

    def show(self, code: str, above: str, below: str, too_small: str) -> None:
        """Draw a code in the place of the one before. Where the window is too small for it, say
        `too_small` instead, with `{columns}` and `{rows}` as they are, and `{wide}` and `{high}` as
        they must be, filled in."""
        columns, rows = size = self._window()
        picture = [f"{_COLOURS}{line}{_END}" for line in lines(code)]
        said = [*_folded(above, columns), *picture, *_folded(below, columns)]
        wide, high = len(lines(code)[0]), len(said) + 1
        if columns < wide or rows < high:
            text = too_small.format(columns=columns, rows=rows, wide=wide, high=high)
            said = [*_folded(above, columns), *_folded(text, columns)]
        self._write(self._cleared(size) + "".join(f"{line}\n" for line in said))
        self._drawn, self._size = len(said), size

    def tell(self, text: str) -> None:
        """Write a text, with no word broken where the window ends."""
        self._write("".join(f"{line}\n" for line in _folded(text, self._window()[0])))

    def clear(self) -> None:
        """Take all of it away: the code is used, or no longer good."""
        self._write(self._cleared(self._window()))
        self._drawn = 0

    def _window(self) -> tuple[int, int]:
        return os.get_terminal_size((self._out or sys.stdout).fileno())

    def _write(self, text: str) -> None:
        # While a library that prints is kept off, it is another stream than before and after.
        out = self._out or sys.stdout
        out.flush()
        out.buffer.write(text.encode())  # in UTF-8 whatever the locale, as all that we print
        out.buffer.flush()

    def _cleared(self, size: tuple[int, int]) -> str:
        """What takes away what was drawn. In a window that has changed, nobody knows where that
        stands now: then it is the whole of it."""
        if not self._drawn:
            return ""
        return f"\033[{self._drawn}A\r\033[J" if size == self._size else "\033[H\033[2J"


def write_png(code: str, path: Path) -> None:
    """Put the code there as a picture, for its owner alone, whole or not at all. Raises
    UsageWrong."""
    picture = io.BytesIO()
    _made(code).save(picture, kind="png", scale=8)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.touch(mode=0o600, exist_ok=False)
        beside.write_bytes(picture.getvalue())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageWrong(f"{path} can't be written: {error.strerror}.") from error


def _made(code: str) -> QRCode:
    # A part of the extra that brings the code's network, too.
    import segno

    return segno.make_qr(code, error="l", boost_error=False)


def _folded(text: str, columns: int) -> list[str]:
    """The text in lines of so many columns, broken at blanks."""
    return textwrap.wrap(text, max(10, columns - 1)) or [""]
