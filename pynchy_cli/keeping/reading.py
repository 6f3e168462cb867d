"""Reads a backup that anybody may have written. Only plain files and folders with plain names are
taken, below the places that belong to a home; each is new, and none is written through a link.
What is read counts once all of it fits the manifest."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pynchy_cli.errors import ArchiveInvalid
from pynchy_cli.keeping.archive import FORMAT, MANIFEST, PIECE, forget
from pynchy_cli.keeping.contents import FOLDERS, LARGEST, SECRETS, SETTINGS

WHATSAPP = "data/neonize.db"
DATABASES = ("data/messages.db", "data/memories.db", WHATSAPP)
MOST = 50_000_000
"""Files and folders in one archive."""
LONGEST = 1024**3
"""Bytes of a manifest."""
HEADER = 1 << 20
"""Bytes of what a tar says of one file besides its contents."""
Taken = Callable[[tarfile.TarInfo, IO[bytes] | None], None]
"""Called with each file, which is open, and each folder."""


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself."""

    files: dict[str, str]
    links: dict[str, str]
    facts: dict[str, Any]


class _Member(tarfile.TarInfo):
    """A member of which we read no more into memory than any real one has."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) and self.size > HEADER:
            raise tarfile.ReadError("a header of a member is far too long")
        return super()._proc_member(tar)  # type: ignore[misc]


def read(path: Path, taken: Taken) -> Manifest:
    """Read an archive from its beginning to its end, hand out what is in it, and compare that with
    its manifest. Raises ArchiveInvalid, OSError."""
    try:
        with tarfile.open(path, "r|gz", tarinfo=_Member) as tar:
            found, document = _members(tar, path, taken)
    except (tarfile.TarError, EOFError, zlib.error, UnicodeError) as error:
        raise ArchiveInvalid(f"{path} is no whole backup: {error}.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ArchiveInvalid(f"{path} is no whole backup: {error}.") from error
    manifest = _manifest(path, document)
    if manifest.files != found:
        odd = sorted(manifest.files.items() ^ found.items())[0][0]
        raise ArchiveInvalid(f"{path} is no whole backup: {odd!a} isn't as its manifest says.")
    if manifest.facts.get("secrets") is not True and {*SECRETS, WHATSAPP} & found.keys():
        raise ArchiveInvalid(f"{path} holds credentials, though its manifest says that it doesn't.")
    return manifest


def parts(name: str) -> list[str]:
    """The names on the way to something in a home. Raises ArchiveInvalid where it isn't one of the
    places that a backup has."""
    names = name.split("/")
    if not 0 < len(name) < 32_768 or "\0" in name or {"", ".", ".."} & set(names):
        raise ArchiveInvalid(f"{name[:200]!a} is no name of something in a backup.")
    inside = any(name == one or name.startswith(f"{one}/") for one in FOLDERS)
    if not inside and name not in (*DATABASES, *SETTINGS, *SECRETS):
        raise ArchiveInvalid(f"{name[:200]!a} belongs to no backup.")
    return names


def open_folder(root: Path, names: list[str]) -> int:
    """A descriptor of a folder below `root`, made where it isn't there; no link is followed. Raises
    OSError."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    for name in names:
        above = fd
        try:
            try:
                fd = os.open(name, flags, dir_fd=above)
            except FileNotFoundError:
                os.mkdir(name, 0o700, dir_fd=above)
                fd = os.open(name, flags, dir_fd=above)
        finally:
            os.close(above)
    return fd


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """What is in a file, piece by piece."""
    while piece := file.read(PIECE):
        yield piece


def _members(tar: tarfile.TarFile, path: Path, taken: Taken) -> tuple[dict[str, str], bytes]:
    found: dict[str, str] = {}
    document, count = b"", 0
    while (member := tar.next()) is not None:
        forget(tar)
        count += 1
        if count > MOST or document:
            raise ArchiveInvalid(f"{path} holds more than a backup does.")
        if member.name == MANIFEST and member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            document = _document(tar, member, path)
            continue
        parts(member.name)
        if member.type == tarfile.DIRTYPE:
            taken(member, None)
            continue
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
            raise ArchiveInvalid(f"{path}: {member.name!a} is no plain file, nor a folder.")
        if member.name in found or not 0 <= member.size <= LARGEST:
            raise ArchiveInvalid(f"{path}: {member.name!a} is in it twice, or too large.")
        found[member.name] = _hand_out(tar, member, taken)
    return found, document


def _hand_out(tar: tarfile.TarFile, member: tarfile.TarInfo, taken: Taken) -> str:
    file = tar.extractfile(member)
    assert file is not None, "a plain file"
    hashed = _Hashing(file)
    taken(member, hashed)  # type: ignore[arg-type]
    for _ in pieces(hashed):  # type: ignore[arg-type]
        pass
    return hashed.digest.hexdigest()


class _Hashing:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _document(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    file = tar.extractfile(member)
    if file is None or member.size > LONGEST:
        raise ArchiveInvalid(f"{path}: its manifest can't be read.")
    return file.read()


def _manifest(path: Path, document: bytes) -> Manifest:
    try:
        told = json.loads(document)
        form = told["format"]
        files, links = told["files"], told["links"]
        if not all(isinstance(one, str) for both in (files, links) for one in both.values()):
            raise TypeError("a value that is no text")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        why = "it has no manifest at its end" if not document else "its manifest can't be read"
        raise ArchiveInvalid(f"{path} is no whole backup: {why}.") from error
    if form != FORMAT:
        raise ArchiveInvalid(
            f"{path} has form {form!a}; this pynchy knows {FORMAT}. Install the newer pynchy."
        )
    return Manifest(files, links, told)
