"""`pynchy jobs`: adds, shows, changes and ends host jobs: commands that this machine runs when they
are due. Nothing here runs one."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import (
    AnyLimit,
    At,
    CatchUp,
    Cron,
    Ended,
    Every,
    Id,
    Ids,
    Json,
    Limit,
    Name,
    Paused,
    Tz,
)
from pynchy_cli.scheduling import asking, changing, telling
from pynchy_cli.scheduling.making import JobWish, Maker
from pynchy_cli.store import jobs
from pynchy_cli.store.timetable import JOBS
from pynchy_cli.tui import timetable

app = typer.Typer(help="Have this machine run commands on a schedule.\n\nExample: pynchy jobs list")

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="WORD", help="The command after --, in place of --command."),
]
Command = Annotated[
    str | None, typer.Option(metavar="CMD", help="What /bin/sh is to run on this machine.")
]
Cwd = Annotated[
    str | None, typer.Option(metavar="DIR", help="The folder that it runs in; else the home.")
]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="So long it may take; else 600.")
]
SHOWN = 5
"""Firings that `show` tells of."""


@app.command("list")
def list_jobs(
    ctx: typer.Context, ended: Ended = False, limit: AnyLimit = None, as_json: Json = False
) -> None:
    """List the host jobs, the one that is due next first: of all, or of the first N.

    A table, with times as this machine's clock shows them, or one JSON object a line.

    Example: pynchy jobs list --all
    """
    with open_store(here(ctx)) as store:
        last = jobs.last_results(store.db)
        found = jobs.all(store.db, ended=ended, limit=limit)
    timetable.print_list([telling.row(one, last.get(one.id)) for one in found], as_json)


@app.command()
def show(ctx: typer.Context, id: Id, as_json: Json = False) -> None:
    """Show one host job: all of it, when it is due, and what came of its last firings.

    Example: pynchy jobs show job-k2m4p6
    """
    with open_store(here(ctx)) as store:
        one = changing.get(store.db, JOBS, id)
        document = telling.document(store.db, one, clock.now())
        log = telling.log(store.db, one, SHOWN)
    timetable.print_shown(document, log, as_json)


@app.command()
def add(
    ctx: typer.Context,
    words: Words = None,
    command: Command = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    tz: Tz = None,
    cwd: Cwd = None,
    timeout: Timeout = None,
    name: Name = None,
    catch_up: CatchUp = None,
    paused: Paused = False,
    as_json: Json = False,
) -> None:
    """Add a host job, and tell the next three times at which it is due.

    It needs a command and exactly one of --cron, --every and --at. `schedule` runs it then, by
    /bin/sh, as whoever started that, with few variables of the environment and no input. Of
    several words each stays one word; a single one may be a whole line.

    Example: pynchy jobs add --cron "30 3 * * *" --name backup -- rsync -a notes /mnt/backup
    """
    schedule = asking.required(asking.when(cron, every, at))
    text = asking.command(command, words or ())
    wish = JobWish(schedule, tz, name, catch_up, timeout, text, cwd)
    context = here(ctx)
    with open_store(context) as store:
        now = clock.now()
        with store.atomic() as db:
            job = Maker(db, context.settings, context.environ, now).add_job(wish, paused=paused)
        document = telling.document(store.db, job, now)
    timetable.print_made(document, f"Added the host job {job.id}.", as_json)
    if not paused:
        timetable.tell_absent(context.home)


@app.command()
def edit(
    ctx: typer.Context,
    id: Id,
    words: Words = None,
    command: Command = None,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    tz: Tz = None,
    cwd: Cwd = None,
    timeout: Timeout = None,
    name: Name = None,
    catch_up: CatchUp = None,
    as_json: Json = False,
) -> None:
    """Change what is given of a host job, and nothing else.

    A new schedule counts from now. An empty --name or --cwd takes it away.

    Example: pynchy jobs edit job-k2m4p6 --timeout 60
    """
    text = asking.command(command, words or ())
    wish = JobWish(asking.when(cron, every, at), tz, name, catch_up, timeout, text, cwd)
    context = here(ctx)
    with open_store(context) as store:
        now = clock.now()
        with store.atomic() as db:
            job = Maker(db, context.settings, context.environ, now).edit_job(id, wish)
        document = telling.document(store.db, job, now)
    timetable.print_made(document, f"Changed the host job {id}.", as_json)


@app.command()
def pause(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Leave host jobs out until they are resumed. What is at work goes on.

    Example: pynchy jobs pause job-k2m4p6
    """
    _change(ctx, ids, changing.pause, as_json)


@app.command()
def resume(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Take paused host jobs up again, from now on: what was due meanwhile stays left out.

    Example: pynchy jobs resume job-k2m4p6
    """
    _change(ctx, ids, changing.resume, as_json)


@app.command()
def cancel(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """End host jobs for good. What is at work goes on; the log is kept for 30 days.

    Example: pynchy jobs cancel job-k2m4p6 job-z7y8x9
    """
    _change(ctx, ids, changing.cancel, as_json)


@app.command()
def run(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Have `schedule` run host jobs now, whatever is due.

    Refused while the last run of a job waits or is at work.

    Example: pynchy jobs run job-k2m4p6
    """
    _change(ctx, ids, changing.run, as_json)
    timetable.tell_absent(here(ctx).home)


@app.command()
def log(ctx: typer.Context, id: Id, limit: Limit = 20, as_json: Json = False) -> None:
    """Show what came of a host job's firings, the oldest of them first.

    A table, or one JSON object a line, with what is kept of the output.

    Example: pynchy jobs log job-k2m4p6 --json | jq -r .output
    """
    with open_store(here(ctx)) as store:
        rows = telling.log(store.db, changing.get(store.db, JOBS, id), limit)
    timetable.print_log(rows, as_json)


def _change(ctx: typer.Context, ids: list[str], change: changing.Change, as_json: bool) -> None:
    with open_store(here(ctx)) as store, store.atomic() as db:
        changed = changing.each(db, JOBS, ids, change, clock.now())
    timetable.print_changed(changed, as_json)
