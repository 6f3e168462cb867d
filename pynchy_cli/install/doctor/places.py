"""The home: that it is there, ours, private, on a disk with room that can hold a database."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from pynchy_cli.config.files import read_text
from pynchy_cli.config.home import prepare
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, unknown, warning
from pynchy_cli.log import masked

PRIVATE = 0o077
WRITABLE = 0o022
NODES = 10_000
"""Files that can still be made, of those that the file system has; or a hundredth of them."""
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ncpfs", "glusterfs", "ceph")
REMOTE_TOO = ("fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.s3fs", "virtiofs", "vboxsf")
"""File systems of other machines: SQLite's WAL needs memory that all who write share."""
_TOKEN = ("xoxb-", "xapp-", "sk-ant-", "ghp_", "github_pat_")


def there(facts: Facts) -> Iterator[Seen]:
    """The home and its folders are there."""
    home = facts.home
    if not os.path.lexists(home.root) or not home.data.exists():
        yield failed(
            f"There is no home in {home.root}.",
            "`pynchy init` makes one; --home DIR or PYNCHY_HOME names another.",
        )
        return
    missing = [path for path in _folders(facts) if not path.is_dir()]
    if not missing:
        yield ok(f"{home.root} has all its folders.")
        return
    said = f"Missing: {', '.join(str(path) for path in missing)}."
    can = not any(os.path.lexists(path) for path in missing)
    yield failed(said, "`pynchy init` makes them.", partial(_make, facts) if can else None)


def _folders(facts: Facts) -> tuple[Path, ...]:
    home = facts.home
    return home.data, home.locks, home.ipc, home.data / "claude", home.groups, home.directives


def _make(facts: Facts) -> str:
    prepare(facts.home)
    return "The folders that were missing are made."


def rights(facts: Facts) -> Iterator[Seen]:
    """The home can be read and written by us, and written by nobody else."""
    home = facts.home
    if not os.path.lexists(home.root):
        yield unknown(f"There is no {home.root}.")
        return
    if not home.root.is_dir():
        todo = "Move it away, or choose another home with --home DIR."
        yield failed(f"{home.root} is not a folder.", todo)
        return
    ours = _ours(facts)
    seen = [one for path in ours for one in _rights_of(facts, path)]
    if closed := [str(path) for path in ours if not os.access(path, os.R_OK | os.W_OK)]:
        todo = f"`ls -ld {closed[0]}` tells whose it is, `findmnt` whether its disk is read-only."
        seen.append(failed(f"Can't be read and written: {', '.join(closed)}.", todo))
    yield from seen or [ok(f"{home.root} is yours, and nobody else can write there.")]


def _ours(facts: Facts) -> list[Path]:
    home = facts.home
    return [path for path in (home.root, *_folders(facts), home.config, home.env) if path.exists()]


def _rights_of(facts: Facts, path: Path) -> Iterator[Seen]:
    found = path.stat()
    if found.st_uid not in (facts.uid, 0) and facts.uid == 0:
        yield warning(
            f"{path} belongs to uid {found.st_uid}, and you are root.",
            f"Use pynchy as that user: `sudo -u '#{found.st_uid}' pynchy …`.",
        )
    elif found.st_uid != facts.uid:
        todo = f"`chown -R {facts.uid} {facts.home.root}` as root, or choose another home."
        yield failed(f"{path} belongs to uid {found.st_uid}, and you are {facts.uid}.", todo)
    if found.st_mode & WRITABLE and not stat.S_ISLNK(found.st_mode):
        yield failed(
            f"{path} can be written by others ({_octal(found.st_mode)}).",
            f"`chmod go-w {path}`.",
            partial(_chmod, path, WRITABLE),
        )


def environment(facts: Facts) -> Iterator[Seen]:
    """`.env` can be read by nobody else."""
    if not facts.home.env.exists():
        yield ok(f"There is no {facts.home.env}, and no key in it.")
        return
    yield from _private([facts.home.env]) or [ok(f"{facts.home.env} is yours alone.")]


def data(facts: Facts) -> Iterator[Seen]:
    """The database and what WhatsApp was paired with are nobody else's to read."""
    home = facts.home
    if not home.data.is_dir():
        yield unknown(f"There is no {home.data}.")
        return
    keys = sorted(home.data.glob("neonize*"))
    # In a folder that nobody else can enter the rights of what is in it matter to nobody.
    seen = _private([home.data]) + _private(path for path in keys if path.is_file())
    yield from seen or [ok(f"{home.data} is yours alone.")]


def _private(paths: Iterable[Path]) -> list[Seen]:
    return [
        failed(
            f"{path} can be read by others ({_octal(mode)}).",
            f"`chmod go-rwx {path}`.",
            partial(_chmod, path, PRIVATE),
        )
        for path in paths
        if (mode := path.stat().st_mode) & PRIVATE
    ]


def _chmod(path: Path, less: int) -> str:
    """Take rights from a file that must be no link: what it leads to may be anybody's."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) & ~less)
    finally:
        os.close(fd)
    return f"{path} is {_octal(path.stat().st_mode)} now."


def keys(facts: Facts) -> Iterator[Seen]:
    """config.toml, which people show around, holds no key."""
    text = read_text(facts.home.config) or ""
    lines = [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if not line.lstrip().startswith("#") and (masked(line) != line or _names_key(line))
    ]
    if not lines:
        yield ok("config.toml holds no key.")
        return
    yield warning(
        f"{facts.home.config} holds what looks like a key in line {', '.join(map(str, lines))}.",
        f"Put it into {facts.home.env}, which is private, and make a new key if others saw it.",
    )


def _names_key(line: str) -> bool:
    return any(token in line for token in _TOKEN)


def disk(facts: Facts) -> Iterator[Seen]:
    """The home's disk has room; below `min_free` every sandbox is stopped."""
    folder = _nearest(facts.home.root)
    found, least = os.statvfs(folder), facts.settings.sandbox.min_free
    free = found.f_bavail * found.f_frsize
    said = f"{_size(free)} are free on the disk of {folder}"
    todo = f"Make room (`du -xh {folder} | sort -h | tail`), or `pynchy prune`."
    if found.f_flag & os.ST_RDONLY:
        yield failed(f"The disk of {folder} is read-only.", "See `findmnt` and the kernel's log.")
    elif free < least:
        yield failed(f"{said}, and {_size(least)} must be: no sandbox starts.", todo)
    elif found.f_favail < min(NODES, found.f_files // 100):
        yield failed(f"The disk of {folder} can hold {found.f_favail} more files only.", todo)
    elif free < 2 * least:
        yield warning(f"{said}; below {_size(least)} no sandbox starts.", todo)
    else:
        yield ok(f"{said}.")


def file_system(facts: Facts) -> Iterator[Seen]:
    """The home lies on a disk of this machine."""
    root = str(_nearest(facts.home.root).resolve())
    lines = (facts.proc("proc/self/mountinfo") or "").splitlines()
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        point = fields[4].replace("\\040", " ") if len(fields) > 4 else ""
        inside = root == point or root.startswith(point.rstrip("/") + "/")
        if point and inside and len(point) >= len(best):
            best, kind = point, after.split(" ")[0]
    if not kind:
        yield unknown("This system doesn't tell on which file system the home lies.")
    elif kind in (*REMOTE, *REMOTE_TOO):
        yield failed(
            f"{root} lies on {best}, which is {kind}: its locks and shared memory can't be relied"
            " on, and the database would be damaged.",
            "Move the home to a disk of this machine.",
        )
    else:
        yield ok(f"{root} lies on {kind}.")


def _nearest(path: Path) -> Path:
    """The path, or the first folder above it that there is."""
    return next(one for one in (path, *path.parents) if one.exists())


def _octal(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"


def _size(number: int) -> str:
    return f"{number / 1024**3:.1f} GiB" if number >= 1024**3 else f"{number // 1024**2} MiB"
