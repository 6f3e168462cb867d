"""Chooses the home and makes its folders. It makes nothing outside the home, and changes
nothing that stands but the rights of pynchy's own data folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pynchy_cli.config import swap
from pynchy_cli.config.paths import Home, choose_home
from pynchy_cli.errors import HomeUnusable


def open_home(option: str | None, environ: Mapping[str, str]) -> Home:
    """The chosen home; it need not exist yet. A restore that was decided on is finished first.

    Raises HomeUnusable where something else stands in its place, or nobody may enter it.
    """
    try:
        home = choose_home(option, environ)
    except RuntimeError as error:  # ~nobody-of-that-name
        reason = str(error).rstrip(".")
        raise HomeUnusable(
            f"The home can't be found: {reason}. Name it with --home DIR."
        ) from error
    try:
        exists = home.root.exists()
    except (OSError, ValueError) as error:
        raise _unusable(home.root, error) from error
    if exists and not home.root.is_dir():
        raise HomeUnusable(f"{home.root} is not a folder. Choose another home with --home DIR.")
    if exists and not os.access(home.root, os.R_OK | os.X_OK):
        raise HomeUnusable(f"{home.root} can't be read by you. Check its rights, or use --home.")
    swap.finish(home.root)
    return home


def prepare(home: Home) -> None:
    """Make the folders of a home that are missing, readable by their owner alone.

    Raises HomeUnusable.
    """
    folders = (home.data, home.locks, home.ipc, home.data / "claude", home.groups, home.directives)
    at = home.root
    try:
        home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in folders:
            at = folder
            folder.mkdir(mode=0o700, exist_ok=True)
        at = home.data
        if home.data.stat().st_mode & 0o077:
            home.data.chmod(0o700)
        if not os.access(home.data, os.W_OK | os.X_OK):
            raise HomeUnusable(f"{home.data} can't be written by you. Check its rights.")
    except (OSError, ValueError) as error:
        raise _unusable(at, error) from error


def make_group(home: Home, folder: str) -> Path:
    """Make a group's own folder, for its owner alone, where it isn't there; its path. Raises
    HomeUnusable where something else is in its place, be it a link to a folder."""
    path = home.group(folder)
    try:
        home.groups.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise HomeUnusable(f"{path} is no folder. Move it away.")
    except OSError as error:
        raise HomeUnusable(f"{path} can't be made: {error.strerror}.") from error
    return path


def _unusable(path: Path, error: OSError | ValueError) -> HomeUnusable:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return HomeUnusable(f"{path} can't be used: {reason}. Choose another home with --home DIR.")
