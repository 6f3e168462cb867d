"""The socket by which a supervised process is heard (sd_notify), and anybody of ours who asks that
it be started again."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

START = "START=1"
"""What asks for a process that had given up to be started again; see `again`."""
_CREDENTIALS = struct.Struct("3i")


class Ear:
    """A socket at `path`, in the place of any that was there. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(path))
        self._tells_who = hasattr(socket, "SO_PASSCRED")
        if self._tells_who:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def heard(self, pid: int | None) -> Iterator[str]:
        """The words that have come from the process `pid`; of what others say, only START: one of
        an earlier supervisor may still speak here."""
        while True:
            try:
                data, extra, _, _ = self.socket.recvmsg(8192, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                return
            words = data.decode("utf-8", "replace").splitlines()
            yield from (one for one in words if one == START or self._is_of(pid, extra))

    def close(self) -> None:
        """Hear nothing more."""
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def _is_of(self, pid: int | None, extra: list[tuple[int, int, bytes]]) -> bool:
        if not self._tells_who:
            return True
        sender = (_CREDENTIALS.unpack(data)[0] for *_, data in extra)
        return pid is not None and next(sender, None) == pid


def ear_of(folder: Path, name: str) -> Path:
    """The socket by which a service of this name is heard."""
    return folder / f"up-{name}"
