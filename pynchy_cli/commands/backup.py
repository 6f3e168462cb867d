"""`pynchy backup`: makes a backup of everything while it runs; or, with --every, becomes the stage
that makes them again and again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pynchy_cli import clock, recurrence
from pynchy_cli.commands.app import Context, become, here, open_store
from pynchy_cli.commands.options import Json
from pynchy_cli.config.load import secrets
from pynchy_cli.errors import (
    DatabaseMissing,
    HomeUnusable,
    PynchyError,
    ScheduleInvalid,
    UsageWrong,
)
from pynchy_cli.keeping import making, rotation
from pynchy_cli.keeping.making import Made
from pynchy_cli.output import plain, print_json, print_text, say, wants_json
from pynchy_cli.store import findings

WITHOUT = (
    "Credentials are not in it: keep .env elsewhere, too, and link WhatsApp again after a restore;"
    " or use --secrets."
)


def command(
    ctx: typer.Context,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|FOLDER", help="Where; in a folder it gets a name. Else [backup] folder."
        ),
    ] = None,
    secret: Annotated[
        bool, typer.Option("--secrets", help="With .env and the WhatsApp account.")
    ] = False,
    verify: Annotated[bool, typer.Option(help="Read it again before it gets its name.")] = True,
    keep: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of those in the folder remove all but the last N."),
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Make one so often, until stopped: 6h, 1d.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what is wrong.")] = False,
    as_json: Json = False,
) -> None:
    """Make a backup of everything, while everything runs.

    It is one archive: the databases as they stand at one moment, the groups' folders, what agents
    remember, files, skills, directives and the configuration. It is for you alone (rights 0600),
    is read again before it gets its name, and nothing is ever overwritten. Credentials are in it
    only with --secrets. `pynchy restore` brings it back.

    Example: pynchy backup /mnt/backups --keep 14   or again and again: … --every 6h
    """
    context = here(ctx)
    if every is not None:
        _become(context, target, secret, keep, every)
    place = target if target is not None else _configured(context)
    if keep is not None and not place.is_dir():
        raise UsageWrong(f"There is no folder {place}, and --keep is for one. Make it first.")
    if keep is not None and not verify:
        raise UsageWrong("--keep removes old backups, so the new one must be read again.")
    if not context.home.database.exists():
        raise DatabaseMissing(f"{context.home.database} does not exist: nothing is to be kept yet.")
    now = clock.now()
    path = making.place(context.home, place.absolute(), now)
    with Line(quiet) as line:
        made = making.make(
            context.home,
            path,
            now,
            uid_base=context.settings.sandbox.uid_base,
            secret=secret,
            verify=verify,
            progress=line,
            credentials=secrets(context.settings),
        )
    gone = [] if keep is None else rotation.remove_old(context.home, made.path, keep)
    told = document(made, gone, now)
    _note(context, "warning" if made.warnings else "ok", told)
    if wants_json(as_json):
        print_json({"ok": True, **told})
    elif not quiet:
        print_text(_words(made, gone, secret))
    for warning in made.warnings:
        say(f"pynchy: {warning}")


class Line:
    """Tells on a terminal what goes on, in a line that is written again and again."""

    def __init__(self, quiet: bool) -> None:
        self._tells = not quiet and sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Show what goes on now."""
        if self._tells:
            sys.stderr.write(f"\r\x1b[K{plain(text)[:70]}\r")
            sys.stderr.flush()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self("")


def document(made: Made, gone: list[Path], now: str) -> dict[str, Any]:
    """What a backup is told to be, as JSON."""
    told: dict[str, Any] = {
        "path": str(made.path),
        "made_at": now,
        "size": made.size,
        "files": len(made.contents.files),
        "bytes": made.contents.size,
        "verified": made.is_verified,
        **{key: made.facts[key] for key in ("schema", "commit")},
        "left_out": made.contents.left,
        "removed": [str(one) for one in gone],
    }
    if made.warnings:
        told["message"] = " ".join(made.warnings)
    return told


def _words(made: Made, gone: list[Path], secret: bool) -> str:
    count, mega = len(made.contents.files), made.size / 1024**2
    lines = [f"{made.path}: {count} files in {mega:.1f} MiB, until commit {made.facts['commit']}."]
    lines += [f"  left out: {path} ({why})" for path, why in [*made.contents.left_out.items()][:10]]
    if made.contents.left > 10:
        lines.append(f"  and {made.contents.left - 10} more")
    lines += [f"  removed: {one}" for one in gone]
    return "\n".join([*lines, *([] if secret else [WITHOUT])])


def _note(context: Context, state: findings.State, told: dict[str, Any]) -> None:
    """Have `status` tell of it, where that can be noted; it is made all the same."""
    try:
        with open_store(context) as store, store.atomic() as db:
            findings.note(db, "backup", state, told, clock.now())
    except PynchyError as error:
        say(f"pynchy: the backup is made, but `status` won't tell of it: {error}")


def _configured(context: Context) -> Path:
    """The folder that is configured. Raises UsageWrong where none is."""
    folder = context.settings.backup.folder
    if not folder:
        raise UsageWrong("Where to? Name a file or a folder, or set [backup] folder.")
    return rotation.place(context.home, folder)


def _become(
    context: Context, target: Path | None, secret: bool, keep: int | None, every: str
) -> None:
    try:
        seconds = recurrence.seconds_of(every)
    except ScheduleInvalid as error:
        raise UsageWrong(str(error)) from error
    folder = target if target is not None else _configured(context)
    if not folder.is_dir():
        raise HomeUnusable(f"There is no folder {folder}. Make it first.")
    options = {"folder": os.fspath(folder.absolute()), "every": seconds, "keep": keep}
    become("backup", context, {**options, "secrets": secret})
