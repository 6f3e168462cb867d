"""Puts what was restored in the place of what stood in a home, as a whole. Once all of it lies
ready one rename decides; from then on whoever comes first, after a crash too, finishes, before
anything else is done with the home. Nothing is ever deleted: what stood there is moved aside."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.errors import HomeUnusable

OURS = ".restore"
"""How all that belongs to a restore begins in the home."""
READY = f"{OURS}-ready"
LOCK = f"{OURS}.lock"
ASIDE = "before-restore-"
"""How the folder begins in which what stood there before is kept."""
NEW, OLD, PLAN = "new", "old", "plan.json"
PATIENCE = 60.0
STEP = 0.02


def require_movable(
    root: Path, parts: Sequence[str], mounts: Path = Path("/proc/self/mountinfo")
) -> None:
    """Raises HomeUnusable where a part is a mount of its own: nobody could put another in its
    place. `mounts` is where the system tells of all."""
    with contextlib.suppress(OSError):
        found = {line.split()[4] for line in mounts.read_bytes().splitlines()}
        for part in (root.resolve() / one for one in parts):
            if os.fsencode(part).replace(b" ", rb"\040") in found:
                raise HomeUnusable(
                    f"{part} is a mount of its own, so nothing can be put in its place. Nothing was"
                    " changed. Unmount it, or restore into another --home and copy what you need."
                )


def begin(root: Path) -> Path:
    """A new folder in the home in which all is made ready, below `new`."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = root / f"{OURS}-{secrets.token_hex(4)}"
    for folder in (place, place / NEW, place / OLD):
        folder.mkdir(mode=0o700)
    return place


def commit(root: Path, place: Path, parts: Sequence[str], stamp: str) -> None:
    """What lies ready is the home's from now on; `parts` are the names that are replaced, be there
    something new of them or nothing. `finish` puts it in its place."""
    (place / PLAN).write_text(json.dumps({"parts": list(parts), "stamp": stamp}))
    os.sync()
    place.rename(root / READY)
    _sync(root)


def finish(root: Path) -> Path | None:
    """Finish what was decided on, where something was; the folder with what stood there before, or
    None where nothing did. Raises HomeUnusable."""
    ready = root / READY
    if not ready.exists():
        return None
    try:
        lock = _exclusive(root)
        try:
            return _finish(root, ready) if ready.exists() else None
        finally:
            lock.release(remove=True)
    except OSError as error:
        raise HomeUnusable(
            f"{root} was restored, but what was restored can't be put in its place:"
            f" {error.strerror}. Once {error.filename or root} can be written, try again."
        ) from error


def _finish(root: Path, ready: Path) -> Path | None:
    plan = json.loads((ready / PLAN).read_text())
    for part in plan["parts"]:
        new, place = ready / NEW / part, root / part
        if not new.exists() and (ready / f"{part}.done").exists():
            continue
        # `done` tells what is new already from what is to be moved aside and has no successor.
        if os.path.lexists(place):
            place.rename(_free(ready / OLD, part))
        (ready / f"{part}.done").touch()
        if new.exists():
            new.rename(place)
    _sync(root)
    old, kept = ready / OLD, None
    if old.exists() and any(old.iterdir()):
        kept = _free(root, f"{ASIDE}{plan['stamp']}")
        old.rename(kept)
    _clear(ready)
    return kept


def _clear(ready: Path) -> None:
    """Take away what holds nothing any more; by another name it is no longer to be finished."""
    gone = ready.with_name(f"{OURS}-{secrets.token_hex(4)}")
    ready.rename(gone)
    with contextlib.suppress(OSError):
        for mark in (gone / PLAN, *gone.glob("*.done")):
            mark.unlink()
        for folder in (gone / NEW, gone / OLD, gone):
            if folder.exists():
                folder.rmdir()


def _free(folder: Path, name: str) -> Path:
    """A name that nothing has, so that nothing is ever overwritten."""
    found, number = folder / name, 1
    while os.path.lexists(found):
        number += 1
        found = folder / f"{name}.{number}"
    return found


def _exclusive(root: Path) -> locks.Lock:
    until = time.monotonic() + PATIENCE
    while (lock := locks.take(root / LOCK)) is None:
        if time.monotonic() > until:
            raise HomeUnusable(f"Another process has been restoring {root} for a minute.")
        time.sleep(STEP)
    return lock


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
