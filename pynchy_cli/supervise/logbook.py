"""Keeps what the supervised processes said, as lines of JSON in a few files of bounded size. It
never hurts: what can't be written is lost, and the next line is tried again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LIMIT = 10 * 1024**2
"""Bytes after which a new file is begun."""
FILES = 5
"""How many there are, the one that grows among them."""


class Logbook:
    """Appends lines to `path`; older ones are in `path.1` and so on, up to `path.4`."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._file = -1
        self._is_torn = False

    def write(self, line: str) -> None:
        """Append one line. Never fails."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            self._open(len(data))
            torn, self._is_torn = self._is_torn, True
            self._is_torn = os.write(self._file, b"\n" * torn + data) < len(data) + torn
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the file; another line opens it again."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _open(self, coming: int) -> None:
        """Have the file open that is to grow, in whose place nobody put another. Raises OSError."""
        if self._file >= 0 and not self._is_there():
            self.close()
        if self._file >= 0 and os.fstat(self._file).st_size + coming <= self._limit:
            return
        if self._file < 0:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._append()
        if (size := os.fstat(self._file).st_size) and size + coming > self._limit:
            self._turn()
            self._append()

    def _append(self) -> None:
        self.close()
        flags = os.O_APPEND | os.O_CREAT | os.O_RDWR | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)
        size = os.fstat(self._file).st_size
        self._is_torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except OSError:
            return False

    def _turn(self) -> None:
        """Make room for a new file: each becomes the next older one, the oldest goes."""
        for age in range(FILES - 1, 0, -1):
            younger = self._path if age == 1 else _aged(self._path, age - 1)
            with contextlib.suppress(FileNotFoundError):
                younger.rename(_aged(self._path, age))


def _aged(path: Path, age: int) -> Path:
    return path.with_name(f"{path.name}.{age}")
