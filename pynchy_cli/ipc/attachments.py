"""The files that an agent sends, from its group's folder into the host's. Each is opened by
descriptor, folder by folder, and no link is followed; what is sent is a copy, kept under the sha256
of what is in it, so that nothing that the agent does later changes it."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pynchy_cli.config.paths import Home
from pynchy_cli.errors import RequestRefused
from pynchy_cli.model import Attachment
from pynchy_cli.output import plain

INSIDE = "/workspace/group"
"""How the group's folder is called in its sandbox."""
MOST_BYTES = 25 * 1024**2
"""Bytes in one file."""
PIECE = 1 << 20
DRAFT = ".draft-"
UNNAMED = 3600.0
"""Seconds for which a file is kept that goes with no reply."""
SWEPT = 100_000
"""Files that are looked at in one sweep; more are for the next."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Source:
    """A file of the group's that is open, as it was then."""

    name: str
    said: str
    fd: int
    facts: os.stat_result


def parts(path: str, folder: Path) -> list[str]:
    """The names on the way from the group's folder to a file. `path` begins there, or is absolute
    and below it, as it is called in the sandbox or here. Raises RequestRefused."""
    if "\n" in path or "\t" in path or plain(path) != path:
        raise _unusable(path, "its name has control characters; give it another one")
    if path.startswith("/"):
        roots = [root for root in (INSIDE, str(folder)) if path.startswith(f"{root}/")]
        if not roots:
            raise _unusable(path, f"it is not below {INSIDE}, and nothing else can be sent")
        path = path.removeprefix(roots[0])
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names or not names:
        raise _unusable(path, "name a file below your group's folder, without `..`")
    return names


def take(
    home: Home, folder: Path, paths: Sequence[str], uid: int, room: int
) -> tuple[Attachment, ...]:
    """Copy files of a group's folder, all or none; `uid` is its sandboxes', and they may take
    `room` bytes in all. It waits: to be called in a thread. Raises RequestRefused."""
    with ExitStack() as held:
        root = _root(folder)
        held.callback(os.close, root)
        owners = {uid, os.fstat(root).st_uid}
        found = [held.enter_context(opened(root, folder, path, owners)) for path in paths]
        if sum(one.facts.st_size for one in found) > room:
            raise RequestRefused("files_too_large", "There is no room for so much. Send less.")
        home.files.mkdir(mode=0o700, parents=True, exist_ok=True)
        copies = [held.enter_context(copied(one, home.files)) for one in found]
        for draft, made in copies:
            draft.replace(home.files / made.sha256)
        if copies:
            _sync(home.files)
        return tuple(made for _, made in copies)


@contextmanager
def opened(root: int, folder: Path, path: str, owners: Collection[int]) -> Iterator[Source]:
    """A plain file below the open folder `root`, that one of the `owners` has alone. Raises
    RequestRefused."""
    *inner, name = parts(path, folder)
    with ExitStack() as held:
        try:
            at = os.dup(root)
            held.callback(lambda: os.close(at))
            for one in inner:  # one open at a time, for there may be hundreds
                at, above = os.open(one, _FOLDER, dir_fd=at), at
                os.close(above)
            # Not even opened where it is something else: to open a device may do something.
            _require_plain(os.stat(name, dir_fd=at, follow_symlinks=False), path, owners)
            fd = os.open(name, _FILE, dir_fd=at)
            held.callback(os.close, fd)
            facts = os.fstat(fd)
        except OSError as error:
            raise _unusable(path, _reason(error)) from error
        _require_plain(facts, path, owners)
        yield Source(name, path, fd, facts)


@contextmanager
def copied(source: Source, place: Path) -> Iterator[tuple[Path, Attachment]]:
    """A copy of an open file under a name that is not its last one, and what it is; where it is
    not renamed meanwhile, it is removed. Raises RequestRefused where the file changes meanwhile."""
    draft = place / f"{DRAFT}{uuid.uuid4().hex}"
    try:
        out = os.open(draft, _NEW, 0o600)
        try:
            made = _copy(source, out)
            os.fsync(out)
        finally:
            os.close(out)
        yield draft, made
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise RequestRefused("disk_full", "The host has no room for a file just now.") from error
    finally:
        draft.unlink(missing_ok=True)


def sweep(home: Home, named: Collection[str], now: float) -> int:
    """Remove what lies in the folder of files and goes with no reply (those that do are `named`),
    where it is not so new that its reply may still come; how many. `now` is the clock's."""
    removed = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(home.files) as entries:
        for entry in islice(entries, SWEPT):
            if entry.name in named:
                continue
            with contextlib.suppress(OSError):
                if now - entry.stat(follow_symlinks=False).st_mtime > UNNAMED:
                    Path(entry.path).unlink()
                    removed += 1
    return removed


def _root(folder: Path) -> int:
    try:
        return os.open(folder, _FOLDER)
    except OSError as error:
        raise RequestRefused("file_unusable", f"The group's folder: {_reason(error)}.") from error


def _require_plain(facts: os.stat_result, path: str, owners: Collection[int]) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise _unusable(path, "it is no plain file")
    if facts.st_nlink != 1:
        raise _unusable(path, "it has other names besides; send a copy of it")
    if facts.st_uid not in owners:
        raise _unusable(path, "it is another one's file; send a copy of it")
    if facts.st_size > MOST_BYTES:
        most = MOST_BYTES // 1024**2
        raise RequestRefused("file_too_large", f"{_shown(path)} is larger than {most} MiB.")


def _copy(source: Source, out: int) -> Attachment:
    hashed, at = hashlib.sha256(), 0
    while piece := _read(source, at):
        hashed.update(piece)
        at += len(piece)
        while piece:
            piece = piece[os.write(out, piece) :]
    facts = os.fstat(source.fd)
    seen = source.facts
    if (at, facts.st_size, facts.st_mtime_ns) != (seen.st_size, seen.st_size, seen.st_mtime_ns):
        raise RequestRefused(
            "file_changed", f"{_shown(source.said)} changed while it was read. Ask again."
        )
    return Attachment(source.name, at, hashed.hexdigest())


def _read(source: Source, at: int) -> bytes:
    """The next piece, never more than there was when it was opened, and one byte."""
    try:
        return os.pread(source.fd, min(PIECE, source.facts.st_size + 1 - at), at)
    except OSError as error:
        raise _unusable(source.said, _reason(error)) from error


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "there is no such file"
        case errno.ELOOP | errno.ENOTDIR:
            return "a link or a file is on the way to it, and neither is followed"
    return (error.strerror or "it can't be read").lower()


def _shown(path: str) -> str:
    return repr(plain(path[:200]))


def _unusable(path: str, why: str) -> RequestRefused:
    return RequestRefused("file_unusable", f"{_shown(path)} can't be sent: {why}.")
