"""Removes old backups of a home from a folder: those that are called as ours are, the oldest first,
and only after a newer one was made and read again."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from pynchy_cli.config.paths import Home


def place(home: Home, folder: str) -> Path:
    """The folder that is configured; one that isn't absolute is below the home."""
    return home.root / Path(folder).expanduser()


def kept(home: Home, folder: Path) -> list[Path]:
    """The backups of a home in a folder, the oldest first."""
    form = re.compile(rf"pynchy-{home.id}-\d{{8}}T\d{{9}}Z\.tar\.gz")
    found = [one for one in folder.iterdir() if form.fullmatch(one.name)]
    return sorted(one for one in found if one.is_file() and not one.is_symlink())


def remove_old(home: Home, newest: Path, keep: int) -> list[Path]:
    """Remove all but the last `keep`, and never the newest; what was removed."""
    found = [one for one in kept(home, newest.parent) if one != newest]
    old = found[: max(0, len(found) - (keep - 1))]
    gone = []
    for one in old:
        with suppress(FileNotFoundError):
            one.unlink()
            gone.append(one)
    return gone
