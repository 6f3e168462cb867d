"""`pynchy prune`: removes old traces, gives room back, and looks the database over."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import Json
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED
from pynchy_cli.keeping.prune import Pruned, Pruning
from pynchy_cli.output import print_json, print_text, say, wants_json
from pynchy_cli.store import check, findings


def command(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be removed.")
    ] = False,
    vacuum: Annotated[
        bool,
        typer.Option("--vacuum", help="Write the file anew, however large; nobody writes then."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what is wrong.")] = False,
    as_json: Json = False,
) -> int:
    """Remove old traces, and look the database over.

    `schedule` does it once a day. How long what is kept says [retention] in config.toml: steps of
    agents, firings of tasks and jobs, runs that are over, processes that ended. Messages, replies
    and the log of decisions stay for ever, and so does whatever something else still needs. Then
    session folders and files that belong to nothing go, free room of the file is given back, and
    the database is looked over; the exit code is 1 where it is damaged.

    Example: pynchy prune --dry-run
    """
    context, now = here(ctx), clock.now()
    progress = _nothing if quiet or wants_json(as_json) else _tell
    with open_store(context) as store:
        work = Pruning(context.home, store, context.settings.retention, now, dry_run=dry_run)
        work.rows(progress)
        work.disk(progress, time.time())
        work.room(progress, at_once=vacuum)
        if not dry_run:
            work.integrity(progress)
            with store.atomic() as db:
                findings.note(db, "prune", "ok", work.told.document(), now)
    told = work.told
    spoiled = [one.message for one in told.findings if one.check in check.SPOILED]
    if wants_json(as_json):
        error = {"error": {"code": "database_damaged", "message": spoiled[0]}} if spoiled else {}
        print_json({"ok": not spoiled, "dry_run": dry_run, **told.document(), **error})
    elif not quiet:
        print_text(_words(told, dry_run))
    for one in told.findings:
        say(f"pynchy: {one.message}")
    return EXIT_FAILED if spoiled else EXIT_DONE


def _words(told: Pruned, dry_run: bool) -> str:
    verb = "would be removed" if dry_run else "removed"
    rows = [f"{count} {name.replace('_', ' ')}" for name, count in told.rows.items() if count]
    rest = [
        f"{count} {name}"
        for name, count in (("session folders", told.folders), ("files", told.files))
        if count
    ]
    size, free = told.size / 1024**2, told.free / 1024**2
    found = ", ".join([*rows, *rest]) or "nothing"
    return f"{found} {verb}. The file has {size:.1f} MiB, of which {free:.1f} are free."


def _tell(text: str) -> None:
    say(f"{text} …")


def _nothing(text: str) -> None:
    """Tell nothing."""
