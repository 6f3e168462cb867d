"""Makes a backup while everything runs: the databases as they stand at one moment, then all that
they name, in a folder of drafts beside the archive's place. The archive gets its name when it is
whole, and was read again; whoever is killed before leaves a draft, which the next one removes."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynchy_cli import __version__, locks
from pynchy_cli.agent import removal
from pynchy_cli.channels.whatsapp import device
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import AlreadyRunning, ArchiveInvalid, BackupFailed, UsageWrong
from pynchy_cli.keeping import reading
from pynchy_cli.keeping.archive import Contents, Writer
from pynchy_cli.keeping.blanking import blanked
from pynchy_cli.keeping.contents import FOLDERS, entries
from pynchy_cli.store import check, copying
from pynchy_cli.store.bell import Bell

ENDING = ".tar.gz"
LOCK = "backing-up.lock"
OUT_OF_PLACE = (
    "{path} has credentials, which are left out of the backup. They belong into .env; --secrets"
    " keeps them."
)
Progress = Callable[[str], None]
"""Called with one line about what goes on."""


@dataclass(frozen=True)
class Made:
    """A backup that was made: its place and size, what is in it, the facts of its manifest, and
    what isn't as it should be, in sentences."""

    path: Path
    size: int
    contents: Contents
    facts: dict[str, Any]
    warnings: tuple[str, ...]
    is_verified: bool


def name(home: Home, now: str) -> str:
    """What a home's backup of this moment is called."""
    return f"pynchy-{home.id}-{re.sub('[-:.]', '', now)}{ENDING}"


def place(home: Home, target: Path, now: str) -> Path:
    """The file that is meant by a file or a folder. Raises UsageWrong where it can't be made."""
    path = target / name(home, now) if target.is_dir() else target
    if os.path.lexists(path):
        raise UsageWrong(f"{path} is there already, and is not overwritten.")
    if not path.parent.is_dir():
        raise UsageWrong(f"There is no folder {path.parent}. Make it first.")
    folder = path.parent.resolve()
    for kept in {one.partition("/")[0] for one in FOLDERS}:
        if folder.is_relative_to((home.root / kept).resolve()):
            raise UsageWrong(f"{folder} is itself kept in backups. Choose another folder.")
    return path


def make(
    home: Home,
    path: Path,
    now: str,
    *,
    uid_base: int,
    secret: bool,
    verify: bool,
    progress: Progress,
    credentials: Sequence[str] = (),
) -> Made:
    """Make a backup of a home as a new file, with credentials where it may be `secret`; else none
    of the `credentials` that are known stands in its settings.

    Raises AlreadyRunning, BackupFailed, and what reading the database raises.
    """
    with _alone(home), _drafts(home, path) as drafts:
        try:
            databases, facts, warnings = _databases(home, drafts, secret, progress)
            without = {} if secret else blanked(home, drafts, credentials)
            warnings += [OUT_OF_PLACE.format(path=home.root / one) for one in without]
            with Writer(drafts / "archive") as writer:
                for name_, copy in databases.items():
                    writer.add_file(name_, copy)
                for number, entry in enumerate(entries(home, secrets=secret)):
                    if number % 500 == 0:
                        progress(f"{entry.path} ({number} files and folders)")
                    if entry.path in without:
                        writer.add_file(entry.path, without[entry.path])
                    else:
                        writer.add(entry)
                uids = {
                    group: uid_base + number
                    for group, number in copying.groups(drafts / "messages.db").items()
                }
                writer.end({"made_at": now, "secrets": secret, "uids": uids, **facts})
            if verify:
                progress("reading it again")
                _require_whole(drafts / "archive")
            size = (drafts / "archive").stat().st_size
            _settle(drafts / "archive", path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise BackupFailed(
                    f"{path.parent} is full: no backup was made. Older ones are kept."
                ) from error
            where = f" ({error.filename})" if error.filename else ""
            raise BackupFailed(
                f"No backup was made in {path.parent}: {error.strerror}{where}. Older ones are"
                " kept. Is the disk in order (`dmesg`)?"
            ) from error
    return Made(path, size, writer.contents, facts, tuple(warnings), verify)


def _databases(
    home: Home, drafts: Path, secret: bool, progress: Progress
) -> tuple[dict[str, Path], dict[str, Any], list[str]]:
    """Copies of the databases, what is known of them, and what isn't as it should be."""
    found = {"data/messages.db": drafts / "messages.db"}
    rung = Bell(home.bell).last()
    copying.copy(home.database, drafts / "messages.db", _told(progress, home.database))
    schema, commit, faults = check.check_copy(drafts / "messages.db", rung)
    if spoiled := [one.message for one in faults if one.check in check.SPOILED]:
        raise BackupFailed(
            f"{home.database} is damaged, and so would be its backup: {spoiled[0]} Older backups"
            " are kept; `pynchy restore` brings one back."
        )
    memories = home.data / "memories.db"
    if memories.exists():
        found["data/memories.db"] = drafts / memories.name
        copying.copy(memories, drafts / memories.name, _told(progress, memories))
    if secret and home.whatsapp.exists():
        found["data/neonize.db"] = drafts / home.whatsapp.name
        in_use = device.is_held(home.whatsapp)
        copying.copy_foreign(home.whatsapp, drafts / home.whatsapp.name, in_use=in_use)
    for path in [*found.values()][1:]:
        if not copying.is_whole(path):
            raise BackupFailed(f"{home.data / path.name} is damaged. Older backups are kept.")
    facts = {
        "pynchy": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "schema": schema,
        "commit": commit,
    }
    return found, facts, [one.message for one in faults]


def _told(progress: Progress, path: Path) -> copying.Progress:
    def told(done: int, total: int) -> None:
        progress(f"{path.name}: {done / 1024**2:.0f} of {total / 1024**2:.0f} MiB")

    return told


def _require_whole(archive: Path) -> None:
    try:
        reading.read(archive, lambda member, file: None)
    except ArchiveInvalid as error:
        raise BackupFailed(
            f"What was written can't be read as it was: {error} Nothing was kept of it, and older"
            " backups are kept. Is the disk in order?"
        ) from error


def _settle(draft: Path, path: Path) -> None:
    if os.path.lexists(path):
        raise BackupFailed(f"{path} came to be there meanwhile, and is not overwritten.")
    draft.rename(path)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    try:
        lock = locks.take(home.locks / LOCK)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        yield  # a disk that is failing is all the more to be kept
        return
    if lock is None:
        raise AlreadyRunning(f"A backup of {home.root} is being made just now.")
    try:
        yield
    finally:
        lock.release(remove=True)


@contextmanager
def _drafts(home: Home, path: Path) -> Iterator[Path]:
    """A folder beside the archive's place; those of killed ones go."""
    begin = f".pynchy-{home.id}-"
    for left in path.parent.glob(f"{begin}*"):
        removal.remove(left)
    folder = path.parent / f"{begin}{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        removal.remove(folder)
