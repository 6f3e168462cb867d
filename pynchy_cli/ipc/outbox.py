"""Answers as files, in a sandbox's folder that only the host writes: whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

from agent_runner.protocol import RESPONSES
from agent_runner.protocol.requests import RESPONSE

KEPT = 3600.0
"""Seconds for which answers stay; whoever asked has long read his."""
TIDIED = 500
"""Answers after which those that are too old are looked for."""
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outbox:
    """Writes answers below the folders of sessions."""

    def __init__(self) -> None:
        self._written: dict[Path, int] = {}

    def write(self, session: Path, request_id: str, answer: str) -> bool:
        """Write one answer; False where the sandbox is gone. Raises OSError where it can't be
        written now."""
        try:
            folder = os.open(session / RESPONSES, _FOLDER)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._written.pop(session, None)
            return False
        try:
            _write(folder, RESPONSE.format(id=request_id), answer)
            self._written[session] = self._written.get(session, 0) + 1
            if self._written[session] % TIDIED == 0:
                _tidy(folder, time.time() - KEPT)
        except FileNotFoundError:
            return False  # the folder goes just now
        finally:
            os.close(folder)
        return True

    def forget(self, session: Path) -> None:
        """The session is over."""
        self._written.pop(session, None)


def _write(folder: int, name: str, text: str) -> None:
    draft = f".{name}.{os.getpid()}"  # another process may be writing the same answer
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o644, dir_fd=folder)
    try:
        os.fchmod(fd, 0o644)
        data = text.encode()
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def _tidy(folder: int, before: float) -> None:
    with os.scandir(folder) as entries:
        old = [entry.name for entry in entries if entry.stat().st_mtime < before]
    for name in old:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
