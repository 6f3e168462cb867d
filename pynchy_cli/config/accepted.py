"""The configuration as it was when it was last found well: a copy of its files, which supervised
stages read. So what somebody is just writing, or has removed, is never in force by accident."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from pynchy_cli.config.load import load
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import ConfigInvalid

ENVIRON = "PYNCHY_ACCEPTED"
"""Environment: the folder with the copy, for a stage that is to read it."""
PREFIX = "accepted-"
DRAFT = ".accepted-"
MAKING = 60.0
"""Seconds after which whoever was making a copy is no longer at it."""
ATTEMPTS = 5


def taken(environ: MutableMapping[str, str]) -> Path | None:
    """The folder with the copy that the environment names, which is taken out of it: it is not for
    children. None where there is none, or it has gone: nothing at all must never pass for it."""
    named = environ.pop(ENVIRON, "")
    folder = Path(named).resolve() if named else None
    return folder if folder is not None and folder.is_dir() else None


def accept(home: Home, environ: Mapping[str, str]) -> tuple[Settings, Path]:
    """Read the configuration, and keep a copy of exactly what was read; its folder.

    Raises ConfigInvalid, and OSError where it can't be kept.
    """
    for _ in range(ATTEMPTS):
        settings = load(home, environ)
        folder = _copy(home)
        if load(Home(home.root, folder), environ) == settings:
            return settings, folder
    raise ConfigInvalid(f"{home.config} changes faster than it can be read.")


def _copy(home: Home) -> Path:
    """A folder with the files as they are now, called by what is in them."""
    found = {path.name: _bytes(path) for path in (home.config, home.env)}
    digest = hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()[:12]
    folder = home.locks / f"{PREFIX}{digest}"
    if folder.is_dir():
        if {name: _bytes(folder / name) for name in found} == found:
            return folder
        shutil.rmtree(folder)  # the machine has lost its power while it was written
    home.locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(home)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=home.locks))
    try:
        for name, data in found.items():
            if data is not None:
                _write(draft / name, data)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _sweep(home: Home) -> None:
    """Remove what killed ones were making: there are secrets in it."""
    for draft in home.locks.glob(f"{DRAFT}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > MAKING:
                shutil.rmtree(draft, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
