"""`pynchy db`: brings the schema up, checks the file, tells where it lies, opens a shell on it."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated

import typer

from pynchy_cli.commands.app import here, open_store
from pynchy_cli.config.home import prepare
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, DatabaseMissing, PynchyError
from pynchy_cli.output import print_json, print_text, say, wants_json
from pynchy_cli.store import check as checks
from pynchy_cli.store.connection import BUSY_SECONDS, SCHEMA
from pynchy_cli.store.migrate import migrate as bring_up

app = typer.Typer(help="Look after the database.\n\nExample: pynchy db check")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")]


@app.command()
def migrate(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Bring the schema to that of this version; makes the database where there is none.

    It is safe beside running stages, and several at once wait for each other.

    Example: pynchy db migrate
    """
    context = here(ctx)
    prepare(context.home)
    applied = bring_up(context.home.database)
    if wants_json(as_json):
        print_json({"schema": SCHEMA, "applied": applied})
    elif applied:
        print_text(f"Applied: {', '.join(applied)}.")
    else:
        print_text(f"Nothing to do: the schema is {SCHEMA} already.")


@app.command()
def check(
    ctx: typer.Context,
    forget: Annotated[
        bool, typer.Option("--forget", help="Stop reporting commits that were lost before.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Look for damage, broken references, lost commits and runs that nobody drives.

    It repairs nothing. The exit code is 1 where something was found.

    Example: pynchy db check || pynchy db check --json | jq .findings
    """
    context = here(ctx)
    path = context.home.database
    if forget:
        with open_store(context) as store, store.atomic() as db:
            checks.forget_lost(db)
    found = checks.check(path, context.home.locks)
    if wants_json(as_json):
        rows = [{"check": one.check, "message": one.message} for one in found]
        print_json({"ok": not found, "path": str(path), "findings": rows})
    elif found:
        print_text("\n".join(one.message for one in found))
    else:
        print_text(f"{path} is well: {checks.commits(path)} commits, nothing missing.")
    return EXIT_FAILED if found else EXIT_DONE


@app.command()
def path(ctx: typer.Context) -> None:
    """Print where the database lies.

    Example: sqlite3 "$(pynchy db path)" "SELECT name FROM registered_groups"
    """
    print_text(str(here(ctx).home.database))


@app.command()
def shell(
    ctx: typer.Context,
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="One statement; else it asks for them.")
    ] = None,
) -> None:
    """Open SQLite's own shell on the database, with its rules switched on.

    Example: pynchy db shell "SELECT id, state, error FROM runs ORDER BY id DESC LIMIT 5"
    """
    database = here(ctx).home.database
    if not database.exists():
        raise DatabaseMissing(f"{database} does not exist. `pynchy init` makes it.")
    more = [sql] if sql is not None else []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if found := shutil.which("sqlite3"):
        rules = ["-cmd", f".timeout {BUSY_SECONDS * 1000:.0f}", "-cmd", "PRAGMA foreign_keys=ON"]
        os.execv(found, [found, *rules, str(database), *more])
    if sys.version_info >= (3, 12):
        say("sqlite3 isn't installed; this is Python's shell, without its rules.")
        os.execv(sys.executable, [sys.executable, "-m", "sqlite3", str(database), *more])
    raise PynchyError("No SQLite shell is installed. Install the package sqlite3, and try again.")
