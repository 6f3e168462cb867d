"""The doorbell: a file of eight bytes that is written after each commit, and holds the
number of the last one. Those who wait watch it; `db check` compares it with the database."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

_NUMBER = struct.Struct("<Q")


class Bell:
    """The bell of one database. Ringing never fails: the slow safety net hears the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def ring(self, number: int) -> None:
        """Write the number of the commit that was just made."""
        with contextlib.suppress(OSError):
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            os.pwrite(self._fd, _NUMBER.pack(number), 0)

    def last(self) -> int | None:
        """The number that was rung last, or None where there is none."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        return int(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else None

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
