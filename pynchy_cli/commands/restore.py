"""`pynchy restore`: brings a backup back, into a home where nothing runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here
from pynchy_cli.commands.options import Json
from pynchy_cli.keeping import restoring
from pynchy_cli.keeping.restoring import Restored
from pynchy_cli.output import print_json, print_text, say, wants_json


def command(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    force: Annotated[
        bool, typer.Option("--force", help="Move aside what stands in the home.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a backup back.

    All of it is unpacked and checked before anything is changed, and then takes its place as a
    whole. Nothing is deleted: with --force what stood there is moved into a folder of the home,
    before-restore-…. What was begun, or due, when the backup was made and may have been done since
    is not done again by itself: approved requests, host jobs, due times.

    Example: pynchy --home ~/pynchy restore /mnt/backups/pynchy-3f2a1b9c-20310514T031500000Z.tar.gz
    """
    home = here(ctx).home
    done = restoring.restore(home, archive.absolute(), clock.now(), force=force, progress=_tell)
    told = document(done, str(home.root))
    if wants_json(as_json):
        print_json({"ok": True, **told})
    else:
        print_text(_words(done, str(home.root)))
    for warning in done.warnings:
        say(f"pynchy: {warning}")


def document(done: Restored, home: str) -> dict[str, Any]:
    """What was restored, as JSON."""
    return {
        "home": home,
        "made_at": done.manifest.facts.get("made_at"),
        "files": len(done.manifest.files),
        "commit": done.commit,
        "migrated": list(done.migrated),
        "unknown": {
            "requests": done.settled.requests,
            "host_jobs": done.settled.jobs,
            "due": done.settled.due,
        },
        "aside": str(done.aside) if done.aside is not None else None,
    }


def _words(done: Restored, home: str) -> str:
    made, number = done.manifest.facts.get("made_at"), len(done.manifest.files)
    lines = [f"{home} is as it was at {made}: {number} files, until commit {done.commit}."]
    if done.migrated:
        lines.append(f"Its database was brought up: {', '.join(done.migrated)}.")
    if done.aside is not None:
        lines.append(f"What stood there before is in {done.aside}.")
    its = done.settled
    if its.requests or its.jobs or its.due:
        lines.append(
            "Not done again, since it may have been done after the backup was made:"
            f" {its.requests} requests, {its.jobs} host jobs, {its.due} due times."
        )
    if done.manifest.facts.get("secrets") is not True:
        lines.append("Credentials were not in it: .env and the WhatsApp account are as they were.")
    return "\n".join([*lines, "Next: pynchy up"])


def _tell(text: str) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        say(f"{text} …")
