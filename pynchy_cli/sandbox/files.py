"""Small files that containers see instead of the image's, or over what is hidden from them. They
are the same for all sandboxes of a home, and are never changed once they are there."""

from __future__ import annotations

import os
from pathlib import Path

PASSWD = (
    "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:{uid}:{gid}:agent:{home}:/bin/sh\n"
)
GROUP = "root:x:0:\nagent:x:{gid}:\n"
HOME = "/home/agent"


class Files:
    """The files of one home, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def empty_file(self) -> Path:
        """A file without anything in it."""
        return self._written("empty", "")

    @property
    def empty_folder(self) -> Path:
        """A folder without anything in it."""
        path = self._folder / "nothing"
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return path

    def names(self, user: str) -> tuple[Path, Path]:
        """passwd and group for a `uid:gid`, without which some programs won't start."""
        uid, gid = user.split(":")
        passwd = PASSWD if uid != "0" else "agent:x:{uid}:{gid}:agent:{home}:/bin/sh\n"
        group = GROUP if gid != "0" else "agent:x:{gid}:\n"
        return (
            self._written(f"passwd-{uid}-{gid}", passwd.format(uid=uid, gid=gid, home=HOME)),
            self._written(f"group-{gid}", group.format(gid=gid)),
        )

    def _written(self, name: str, text: str) -> Path:
        """The file, made whole or not at all."""
        path = self._folder / name
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"{name}.{os.getpid()}")
            draft.write_text(text)
            draft.chmod(0o644)
            draft.rename(path)
        return path
