"""What units and launchd's lists are made of, on this machine."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pynchy_cli
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import HomeUnusable, RightMissing
from pynchy_cli.install.parts import Facts, Flavour, escaped
from pynchy_cli.security import allowlist

HOMES = ("/home", "/root", "/run/user")
"""What ProtectHome hides."""


def gather(
    flavour: Flavour,
    home: Home,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    can_isolate: bool = True,
    loose_jobs: bool = False,
) -> Facts:
    """The facts of this machine, this Python and this home. Raises HomeUnusable."""
    owner = owner_of(home)
    person = Path(owner.pw_dir if flavour == "system" else Path.home())
    listed = allowlist.read(allowlist.place({} if flavour == "system" else environ, person))
    roots = [(Path(one.path).expanduser(), one) for one in listed.rules.allowed_roots]
    program = Path(sys.executable)
    places = [program, program.resolve(), Path(pynchy_cli.__file__), home.root]
    places += [path for path, _ in roots]
    backups = Path(settings.backup.folder or "").expanduser()
    return Facts(
        flavour,
        escaped(sys.executable),
        escaped(str(home.root)),
        owner.pw_name if flavour == "system" or owner.pw_uid == 0 else "",
        grace=settings.sandbox.stop_grace,
        backups=escaped(str(home.root / backups)) if settings.backup.folder else "",
        writable=tuple(escaped(str(path)) for path, one in roots if one.allow_read_write),
        keeps_homes=any(place.is_relative_to(one) for place in places for one in HOMES),
        can_isolate=can_isolate,
        loose_jobs=loose_jobs,
    )


def owner_of(home: Home) -> pwd.struct_passwd:
    """Whose the home is. Raises HomeUnusable."""
    try:
        return pwd.getpwuid(home.root.stat().st_uid)
    except (OSError, KeyError) as error:
        raise HomeUnusable(
            f"{home.root} does not exist, or is nobody's. `pynchy init` makes it."
        ) from error


def require_startable(home: Home) -> None:
    """Raises RightMissing where the home's owner can't start this Python with this pynchy, as where
    they lie in somebody else's home."""
    owner = owner_of(home)
    if os.geteuid() != 0 or owner.pw_uid == 0:
        return
    command = [sys.executable, "-P", "-c", "import pynchy_cli.stage"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            env={},
            cwd="/",
            user=owner.pw_uid,
            group=owner.pw_gid,
            extra_groups=[],
        )
        is_well = done.returncode == 0
    except OSError:
        is_well = False
    if not is_well:
        raise RightMissing(
            f"{owner.pw_name}, whose home {home.root} is, can't start {sys.executable}. Install "
            "pynchy where everybody may read it, such as in /opt, or use --user."
        )
