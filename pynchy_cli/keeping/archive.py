"""A backup as a file: a compressed tar of plain files and folders alone, and at its end a manifest
with the sha256 of each of them. What links say stands there too, so that no tool that unpacks it
follows one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pynchy_cli.keeping.contents import Entry

MANIFEST = "manifest.json"
FORMAT = 1
"""The form of archive that this code writes, and the newest that it reads."""
LEVEL = 5
SHOWN = 1000
"""Things left out that are named; of more their number tells."""
PIECE = 1 << 20


@dataclass
class Contents:
    """What an archive holds: path -> sha256 of a file, path -> what a link says; what was left out,
    with the reason, and how much that was; the bytes of all files."""

    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    left: int = 0
    size: int = 0


class Writer:
    """Writes one archive, to a new file for its owner alone; it is on the disk when it is left
    without an error."""

    def __init__(self, path: Path) -> None:
        self.contents = Contents()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = open(fd, "wb")  # noqa: PTH123, SIM115
        self._tar = tarfile.open(  # noqa: SIM115 - both are closed together
            fileobj=self._file, mode="w:gz", compresslevel=LEVEL
        )

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._tar.close()
                self._file.flush()
                os.fsync(self._file.fileno())

    def add(self, entry: Entry) -> None:
        """Add what `contents` found; a file is read from its descriptor, as long as it was when it
        was opened."""
        if entry.left_out is not None:
            self.leave_out(entry.path, entry.left_out)
            return
        assert entry.facts is not None, "what isn't left out was looked at"
        if entry.target is not None:
            self.contents.links[entry.path] = entry.target
            return
        with open(entry.fd, "rb", closefd=False) if entry.fd >= 0 else io.BytesIO() as file:
            self._add(entry.path, entry.facts, file if entry.fd >= 0 else None)

    def add_file(self, name: str, path: Path) -> None:
        """Add a file of ours, for its owner alone."""
        with path.open("rb") as file:
            self._add(name, os.fstat(file.fileno()), file, mode=0o600)

    def leave_out(self, path: str, reason: str) -> None:
        """Note that something isn't in it, and why."""
        self.contents.left += 1
        if len(self.contents.left_out) < SHOWN:
            self.contents.left_out[path] = reason

    def end(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest, with these facts in it."""
        told = self.contents
        document = {
            "format": FORMAT,
            **facts,
            "files": told.files,
            "links": told.links,
            "left_out": told.left_out,
        }
        data = json.dumps(document).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(data), 0o600
        self._tar.addfile(member, io.BytesIO(data))

    def _add(
        self, path: str, facts: os.stat_result, file: IO[bytes] | None, mode: int | None = None
    ) -> None:
        member = tarfile.TarInfo(path)
        member.mode = facts.st_mode & 0o777 if mode is None else mode
        member.mtime, member.uid, member.gid = int(facts.st_mtime), facts.st_uid, facts.st_gid
        forget(self._tar)
        if file is None:
            member.type = tarfile.DIRTYPE
            self._tar.addfile(member)
            return
        member.size = facts.st_size
        source = _Hashed(file, facts.st_size)
        self._tar.addfile(member, source)
        self.contents.files[path] = source.digest.hexdigest()
        self.contents.size += facts.st_size
        if source.is_cut:
            self.leave_out(path, "it was cut while it was read: its end is zeros")


def forget(tar: tarfile.TarFile) -> None:
    """Have a tar keep nothing of the members that it has come by, which it would of all of them."""
    tar.members.clear()  # type: ignore[attr-defined]


class _Hashed:
    """A file that is read, and hashed as it is; one that became shorter meanwhile ends in zeros."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.digest = hashlib.sha256()
        self.is_cut = False
        self._file, self._left = file, size

    def read(self, size: int = -1) -> bytes:
        wanted = min(self._left, PIECE if size < 0 else size)
        data = self._file.read(wanted)
        if len(data) < wanted:
            self.is_cut = True
            data += bytes(wanted - len(data))
        self._left -= wanted
        self.digest.update(data)
        return data
