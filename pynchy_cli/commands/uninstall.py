"""`pynchy uninstall`: stops what `pynchy install` made, and takes it away. The home stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pynchy_cli.commands.app import here
from pynchy_cli.errors import EXIT_DONE, RightMissing
from pynchy_cli.install import launchd, systemd
from pynchy_cli.output import print_text, say


def command(
    ctx: typer.Context,
    what: Annotated[
        Literal["systemd", "launchd"] | None,
        typer.Argument(metavar="WHO", help="systemd or launchd."),
    ] = None,
    user: Annotated[
        bool, typer.Option("--user", help="What is for yourself, not for the whole machine.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Name the files, and change nothing.")
    ] = False,
) -> int:
    """Stop what `pynchy install` made, and take it away. The home and all that is in it stay.

    Safe to repeat. Files that were made by somebody else are left as they are.

    Example: pynchy uninstall --user
    """
    context = here(ctx)
    what = what or ("launchd" if sys.platform == "darwin" else "systemd")
    manager = systemd.Manager("user" if user else "system", context.environ, Path.home())
    place = manager.folder
    if what == "launchd":
        place = Path.home() / launchd.AGENTS if user else launchd.DAEMONS
    if dry_run:
        names = systemd.present(place) if what == "systemd" else launchd.present(place)
        for name in names:
            print_text(str(place / name))
        if not names:
            say(f"Nothing of pynchy is in {place}.")
        return EXIT_DONE
    if not user and os.geteuid() != 0:
        raise RightMissing("For the whole machine root is needed: sudo, or --user for your own.")
    if what == "systemd":
        told = systemd.uninstall(manager)
    else:
        told = launchd.uninstall(place, f"gui/{os.getuid()}" if user else "system")
    for line in told:
        say(line)
    return EXIT_DONE
