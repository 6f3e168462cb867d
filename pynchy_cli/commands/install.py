"""`pynchy install`: has systemd or launchd start pynchy with the machine, and keep it running."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from pynchy_cli.commands.app import Context, here
from pynchy_cli.config.stages import wanted
from pynchy_cli.errors import EXIT_DONE, RightMissing, UsageWrong
from pynchy_cli.install import launchd, systemd, units
from pynchy_cli.install.facts import gather, require_startable
from pynchy_cli.install.parts import Facts, Flavour
from pynchy_cli.output import print_text, say

User = Annotated[bool, typer.Option("--user", help="For yourself, not for the whole machine.")]


def command(
    ctx: typer.Context,
    what: Annotated[
        Literal["systemd", "launchd"], typer.Argument(metavar="WHO", help="systemd or launchd.")
    ],
    user: User = False,
    each_stage: Annotated[
        bool, typer.Option("--each-stage", help="Each stage a unit of its own, below a target.")
    ] = False,
    loose_jobs: Annotated[
        bool, typer.Option("--loose-jobs", help="Host jobs may do whatever their user may.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the files, and change nothing.")
    ] = False,
) -> int:
    """Have systemd or launchd start pynchy with the machine, and keep it running.

    Without --user it is for the whole machine, needs root, and runs as the home's owner. Units
    take from pynchy what it doesn't need; host jobs are held to that too, unless --loose-jobs
    is given. Safe to repeat: what is there already is left as it is, and what changed is written.

    Example: pynchy install systemd --user --dry-run
    """
    context = here(ctx)
    flavour: Flavour = "user" if user else "system"
    if what == "launchd":
        return _launchd(context, flavour, each_stage, dry_run)
    manager = systemd.Manager(flavour, context.environ, Path.home())
    facts = gather(
        flavour,
        context.home,
        context.settings,
        context.environ,
        can_isolate=dry_run or manager.can_isolate(),
        loose_jobs=loose_jobs,
    )
    files = units.rendered(facts, each_stage=each_stage)
    if dry_run:
        return _shown(manager.folder, files)
    _require_rights(flavour)
    if facts.is_system:
        require_startable(context.home)
    starting = systemd.first_units(wanted(context.settings), each_stage=each_stage)
    for line in systemd.install(manager, files, starting):
        say(line)
    _advise(facts, units.TARGET if each_stage else "pynchy")
    return EXIT_DONE


def _launchd(context: Context, flavour: Flavour, each_stage: bool, dry_run: bool) -> int:
    found = gather(flavour, context.home, context.settings, context.environ)
    facts = replace(found, python=sys.executable, home=str(context.home.root))
    files = launchd.rendered(facts, wanted(context.settings), each_stage=each_stage)
    place = launchd.folder(facts, Path.home())
    if dry_run:
        return _shown(place, files)
    if platform.system() != "Darwin":
        raise UsageWrong("launchd is macOS's. `pynchy install systemd` is for Linux.")
    _require_rights(flavour)
    (context.home.data / "logs").mkdir(parents=True, exist_ok=True)
    for line in launchd.install(place, files, launchd.domain(facts)):
        say(line)
    say("It runs, and is started with your login. `pynchy status` tells how it is.")
    return EXIT_DONE


def _shown(folder: Path, files: dict[str, str]) -> int:
    for name, text in files.items():
        print_text(f"# {folder / name}\n{text}")
    return EXIT_DONE


def _require_rights(flavour: Flavour) -> None:
    if flavour == "system" and os.geteuid() != 0:
        raise RightMissing(
            "For the whole machine root is needed: do it with sudo, naming your home by --home, "
            "or say --user to have it for yourself."
        )


def _advise(facts: Facts, unit: str) -> None:
    """What to type next."""
    user = "" if facts.is_system else " --user"
    say(f"Next: systemctl{user} start {unit}")
    say(f"Then: systemctl{user} status {unit}; journalctl{user} -t pynchy -f; pynchy status")
    if not facts.is_system:
        say("`loginctl enable-linger` keeps it running while you are not logged in.")
        if not facts.can_isolate:
            say("This kernel lets your systemd make no namespaces: the units are hardened less.")
    if facts.user == "root":
        say(
            "The home is root's, so everything runs as root. Better is a user of its own: "
            "`useradd --system pynchy`, `chown -R pynchy: HOME`, and this command again."
        )
    if facts.loose_jobs:
        say("Host jobs may do whatever their user may.")
    else:
        say(
            "Host jobs can write to the home alone, and can't become root; "
            "--loose-jobs changes that."
        )
