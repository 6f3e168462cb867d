"""Files that people share in chats: what each is called in its group's folder, which is the host's.
What the network calls a file is somebody else's word, and leads nowhere."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from pynchy_cli.channels.base import NeverSent
from pynchy_cli.config.paths import Home

LONGEST = 120
"""Bytes of a file's name."""
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_HARMLESS = frozenset(" .,-_()+=@~")


def folder(home: Home, group: str) -> Path:
    """The folder of a group's received files, which is there then. Raises OSError."""
    path = home.received(group)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def place(home: Home, group: str, seq: int, name: str) -> Path:
    """Where a file that came with a message is to be put; its folder is there. Raises OSError."""
    return folder(home, group) / safe_name(name, seq)


def require_room(home: Home, group: str, limit: int) -> None:
    """Raises NeverSent where a group's files hold so many bytes already, and OSError."""
    with os.scandir(folder(home, group)) as found:
        held = sum(one.stat(follow_symlinks=False).st_size for one in found)
    if held >= limit:
        raise NeverSent(
            f"the group's files hold {held / 1024**2:.0f} MiB already, which is folder_limit"
        )


def share(home: Home, group: str, name: str) -> None:
    """Let the group's sandboxes read a file, whoever they run as; where it is gone, nothing."""
    with suppress(FileNotFoundError):
        (home.received(group) / name).chmod(0o644)


def safe_name(name: str, seq: int) -> str:
    """What a file is called in there: as its network calls it, without parts of a path and what
    can't be seen, at most `LONGEST` bytes; by its message's place no other is called so."""
    last = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join(one if one.isalnum() or one in _HARMLESS else "_" for one in last)
    plain = " ".join(seen.split()).lstrip(". -~") or "file"
    mark = f"{seq}-"
    ending = found[0] if (found := _ENDING.search(plain)) else ""
    room = LONGEST - len(mark) - len(ending)
    stem = plain.removesuffix(ending) or "file"
    return mark + stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + ending
