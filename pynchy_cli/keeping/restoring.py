"""Brings a backup back. All of it is unpacked and checked in a folder of its own in the home, and
only then put in its place, as a whole; whoever is killed before that leaves the home as it was."""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pynchy_cli import locks
from pynchy_cli.agent import removal
from pynchy_cli.channels.whatsapp.device import BESIDE
from pynchy_cli.config import swap
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import ArchiveInvalid, DatabaseForeign, DatabaseFull, HomeInUse
from pynchy_cli.keeping import reading
from pynchy_cli.keeping.contents import FOLDERS, SECRETS, SETTINGS
from pynchy_cli.keeping.making import Progress
from pynchy_cli.keeping.reading import Manifest
from pynchy_cli.store import audit, check, copying, restored
from pynchy_cli.store.bell import Bell
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.store.restored import Settled

MAKING = f"{swap.OURS}-making.lock"
PARTS = ("data", "groups", "skills", "directives", *SETTINGS)
"""What is replaced, be it in the archive or not."""
WHO = "owner (shell)"
LINKED = ("groups/", "data/claude/", "skills/", "directives/")
"""Where links may be; what they lead to is nobody's business here."""
LATEST = 1 << 40
"""Seconds since 1970: what is later no file system knows."""
LEFT = 64 * 1024**2
"""Bytes of the disk that an archive must leave free."""


@dataclass(frozen=True)
class Restored:
    """What was restored: the manifest, which commit the database ends with, what was settled in
    it, which migrations it took, and where what stood there before is now."""

    manifest: Manifest
    commit: int
    settled: Settled
    migrated: tuple[str, ...]
    aside: Path | None
    warnings: tuple[str, ...]


def restore(home: Home, archive: Path, now: str, *, force: bool, progress: Progress) -> Restored:
    """Put a backup in the place of a home that doesn't run; of one that holds something only by
    `force`, and that is moved aside.

    Raises ArchiveInvalid, HomeInUse, SchemaTooNew, HomeUnusable; nothing was changed then.
    """
    require_free(home, force)
    swap.require_movable(home.root, PARTS)
    with _place(home) as place:
        fresh = Home(place / swap.NEW)
        progress("unpacking")
        manifest = _unpacked(archive, fresh.root)
        progress("checking the database")
        commit, migrated, settled, warnings = _checked(archive, fresh, manifest, now)
        _carry_over(home, fresh, manifest)
        require_free(home, force)
        parts = [*PARTS, *(one for one in SECRETS if (fresh.root / one).exists())]
        swap.require_movable(home.root, parts)
        swap.commit(home.root, place, parts, now.replace(":", "").replace(".", ""))
    aside = swap.finish(home.root)
    return Restored(manifest, commit, settled, tuple(migrated), aside, tuple(warnings))


def require_free(home: Home, force: bool) -> None:
    """Raises HomeInUse where a process works in the home, or it holds something and nobody has said
    that this may go aside."""
    held = sorted(one.stem for one in home.locks.glob("*.lock") if locks.is_held(one))
    if held:
        raise HomeInUse(f"{home.root} is in use ({', '.join(held)}). Stop pynchy first.")
    there = [one for one in _names(home.root) if not one.startswith(swap.OURS)]
    if there and not force:
        raise HomeInUse(
            f"{home.root} isn't empty ({', '.join(there[:4])}). Choose another with --home, or have"
            " what stands there moved aside with --force."
        )


def _names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir()) if folder.exists() else []


def _unpacked(archive: Path, root: Path) -> Manifest:
    """The archive's contents below `root`, and its manifest."""
    owners: dict[str, int] = {}

    def taken(member: tarfile.TarInfo, file: IO[bytes] | None) -> None:
        names = reading.parts(member.name)
        owners[member.name] = member.uid
        if file is None:
            fd = reading.open_folder(root, names)
            try:
                os.fchmod(fd, member.mode & 0o777 | 0o700)
            finally:
                os.close(fd)
            return
        _require_room(root, member.size)
        secret = member.name in (*reading.DATABASES, *SECRETS)
        _write(root, names, file, 0o600 if secret else member.mode & 0o777, member.mtime)

    try:
        manifest = reading.read(archive, taken)
    except FileNotFoundError as error:
        raise ArchiveInvalid(f"{archive} can't be read: {error.strerror}.") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveInvalid(f"{archive}: something is in it twice ({error.filename}).") from error
    for name, target in manifest.links.items():
        _link(archive, root, name, target)
    if os.geteuid() == 0:
        _give_back(root, manifest, owners)
    return manifest


def _write(root: Path, names: list[str], file: IO[bytes], mode: int, mtime: float) -> None:
    folder = reading.open_folder(root, names[:-1])
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(names[-1], flags, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    with open(fd, "wb") as target:  # noqa: PTH123
        for piece in reading.pieces(file):
            target.write(piece)
        os.fchmod(fd, mode)
        target.flush()
        if 0 <= mtime < LATEST:
            os.utime(fd, (mtime, mtime))


def _link(archive: Path, root: Path, name: str, target: str) -> None:
    """Make a link, last of all: nothing is written any more where it leads to."""
    names = reading.parts(name)
    if not name.startswith(LINKED) or not target or "\0" in target or len(target) > 4096:
        raise ArchiveInvalid(f"{archive}: there can be no link {name!a}.")
    try:
        folder = reading.open_folder(root, names[:-1])
        try:
            os.symlink(target, names[-1], dir_fd=folder)
        finally:
            os.close(folder)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveInvalid(f"{archive}: something is in the way of link {name!a}.") from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ArchiveInvalid(f"{archive}: a link is on the way to link {name!a}.") from error


def _give_back(root: Path, manifest: Manifest, owners: dict[str, int]) -> None:
    """Give each group's uid what was its own when the backup was made."""
    uids = manifest.facts.get("uids")
    for name, owner in owners.items():
        names = name.split("/")
        group = names[1] if names[0] == "groups" and len(names) > 1 else None
        if names[:2] == ["data", "claude"] and len(names) > 2:
            group = names[2]
        if group is None or not isinstance(uids, dict) or uids.get(group) != owner:
            continue
        folder = reading.open_folder(root, names[:-1])
        try:
            os.chown(names[-1], owner, owner, dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(folder)


def _checked(
    archive: Path, fresh: Home, manifest: Manifest, now: str
) -> tuple[int, list[str], Settled, list[str]]:
    """Check the database that was unpacked, and make it one of today: its last commit, what was
    migrated and settled, and what isn't as it should be."""
    if not fresh.database.exists():
        raise ArchiveInvalid(f"{archive} is no backup: there is no database in it.")
    noted = manifest.facts.get("commit")
    try:
        _, _, faults = check.check_copy(fresh.database, noted if isinstance(noted, int) else None)
    except DatabaseForeign as error:
        raise ArchiveInvalid(f"{archive}: its database is none of pynchy's.") from error
    if spoiled := [one.message for one in faults if one.check in check.SPOILED]:
        raise ArchiveInvalid(f"{archive}: its database is damaged: {spoiled[0]}")
    for other in (fresh.data / "memories.db", fresh.whatsapp):
        if other.exists() and not copying.is_whole(other):
            raise ArchiveInvalid(f"{archive}: its {other.name} is damaged.")
    migrated = migrate(fresh.database)
    with closing(Store.open(fresh.database)) as store, store.atomic() as db:
        settled = restored.settle(db, now)
        told = {"made_at": manifest.facts.get("made_at"), "commit": noted}
        audit.add(db, "home", "restored", who=WHO, subject=archive.name, now=now, detail=told)
    commit = check.commits(fresh.database)
    bell = Bell(fresh.bell)
    bell.ring(commit)
    bell.close()
    fresh.database.with_name("migrate.lock").unlink(missing_ok=True)
    return commit, migrated, settled, [one.message for one in faults]


def _carry_over(home: Home, fresh: Home, manifest: Manifest) -> None:
    """Make the folders that every home has; and where the archive has none, keep the account that
    the home is linked with. Nobody uses that, so it can be copied as it lies there."""
    for folder in (fresh.locks, fresh.ipc, *(fresh.root / one for one in FOLDERS)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh.data.chmod(0o700)
    if manifest.facts.get("secrets") is True:
        return
    for ending in ("", *BESIDE):
        there = home.whatsapp.with_name(home.whatsapp.name + ending)
        if there.is_file():
            copy = fresh.whatsapp.with_name(there.name)
            copy.touch(mode=0o600)
            shutil.copyfile(there, copy)


def _require_room(root: Path, size: int) -> None:
    facts = os.statvfs(root)
    if size > LEFT and facts.f_bavail * facts.f_frsize < size + LEFT:
        raise _full(root)


def _full(root: Path) -> DatabaseFull:
    return DatabaseFull(f"There is no room for it on the disk of {root}. Nothing was changed.")


@contextmanager
def _place(home: Home) -> Iterator[Path]:
    """A folder to make all ready in, gone again where that fails; those of killed ones go."""
    home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = locks.take(home.root / MAKING)
    if lock is None:
        raise HomeInUse(f"{home.root} is being restored just now.")
    try:
        for left in home.root.glob(f"{swap.OURS}-*"):
            if left.name != swap.READY and left.is_dir():
                removal.remove(left)
        place = swap.begin(home.root)
        try:
            yield place
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _full(home.root) from error
        finally:
            removal.remove(place)
    finally:
        lock.release(remove=True)
