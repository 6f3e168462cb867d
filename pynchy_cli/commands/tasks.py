"""`pynchy tasks`: adds, shows, changes and ends tasks: prompts that a group's agent is given when
they are due."""

from __future__ import annotations

from typing import Annotated, Literal

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
    OfGroup,
    Paused,
    Tz,
)
from pynchy_cli.output import say
from pynchy_cli.scheduling import asking, changing, telling
from pynchy_cli.scheduling.making import Maker, TaskWish
from pynchy_cli.store import processes, tasks
from pynchy_cli.store.timetable import TASKS
from pynchy_cli.tui import timetable
from pynchy_cli.tui.follow import not_running

app = typer.Typer(
    help="Have agents do something later, or again and again.\n\nExample: pynchy tasks list"
)

Prompt = Annotated[
    str | None,
    typer.Option(metavar="TEXT|-", help="What the agent is to do; - is standard input."),
]
InGroup = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose agent; else the only group's, or the admin's."),
]
Chat = Annotated[
    str | None,
    typer.Option(metavar="JID", help="Which of the group's chats it speaks in; else the first."),
]
ContextMode = Annotated[
    Literal["isolated", "group"] | None,
    typer.Option("--context", help="A conversation of its own each time, or the group's."),
]
Overlap = Annotated[
    Literal["skip", "queue"] | None,
    typer.Option(help="Due while the last run is at work: left out, or done after it."),
]
Condition = Annotated[
    str | None,
    typer.Option(metavar="CMD", help="Run on the host first; where it fails, nothing is done."),
]
ConditionTimeout = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="So long the condition may take; else 60."),
]
SHOWN = 5
"""Firings that `show` tells of."""
WORKER = "run-agent"
"""The stage that takes up what is queued."""


@app.command("list")
def list_tasks(
    ctx: typer.Context,
    group: OfGroup = None,
    named: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="The same as GROUP.")
    ] = None,
    ended: Ended = False,
    limit: AnyLimit = None,
    as_json: Json = False,
) -> None:
    """List the tasks, the one that is due next first: of all, or of the first N.

    A table, with times as this machine's clock shows them, or one JSON object a line.

    Example: pynchy tasks list family
    """
    with open_store(here(ctx)) as store:
        group = group or named
        folder = asking.group(store.db, group) if group is not None else None
        last = tasks.last_results(store.db)
        found = tasks.all(store.db, folder, ended=ended, limit=limit)
    timetable.print_list([telling.row(one, last.get(one.id)) for one in found], as_json)


@app.command()
def show(ctx: typer.Context, id: Id, as_json: Json = False) -> None:
    """Show one task: all of it, when it is due, and what came of its last firings.

    Example: pynchy tasks show task-k2m4p6
    """
    with open_store(here(ctx)) as store:
        one = changing.get(store.db, TASKS, id)
        document = telling.document(store.db, one, clock.now())
        log = telling.log(store.db, one, SHOWN)
    timetable.print_shown(document, log, as_json)


@app.command()
def add(
    ctx: typer.Context,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    tz: Tz = None,
    group: InGroup = None,
    prompt: Prompt = None,
    name: Name = None,
    chat: Chat = None,
    context_mode: ContextMode = None,
    catch_up: CatchUp = None,
    overlap: Overlap = None,
    condition: Condition = None,
    condition_timeout: ConditionTimeout = None,
    paused: Paused = False,
    as_json: Json = False,
) -> None:
    """Add a task, and tell the next three times at which it is due.

    It needs a prompt and exactly one of --cron, --every and --at. Each run begins a conversation of
    its own, unless --context group has it continue the group's.

    Example: pynchy tasks add --cron "0 18 * * 1-5" --group family --prompt "Remind us to eat."
    """
    wish = TaskWish(
        schedule=asking.required(asking.when(cron, every, at)),
        timezone=tz,
        name=name,
        catch_up=catch_up,
        timeout_seconds=condition_timeout,
        prompt=asking.prompt(prompt) if prompt is not None else None,
        group=group,
        chat=chat,
        context=context_mode,
        overlap=overlap,
        condition=condition,
    )
    context = here(ctx)
    with open_store(context) as store:
        now = clock.now()
        with store.atomic() as db:
            task = Maker(db, context.settings, context.environ, now).add_task(wish, paused=paused)
        document = telling.document(store.db, task, now)
    words = f"Added the task {task.id} of {task.group_folder}."
    timetable.print_made(document, words, as_json)
    if not paused:
        timetable.tell_absent(context.home)


@app.command()
def edit(
    ctx: typer.Context,
    id: Id,
    cron: Cron = None,
    every: Every = None,
    at: At = None,
    tz: Tz = None,
    group: InGroup = None,
    prompt: Prompt = None,
    name: Name = None,
    chat: Chat = None,
    context_mode: ContextMode = None,
    catch_up: CatchUp = None,
    overlap: Overlap = None,
    condition: Condition = None,
    condition_timeout: ConditionTimeout = None,
    as_json: Json = False,
) -> None:
    """Change what is given of a task, and nothing else.

    A new schedule counts from now. An empty --name, --chat or --condition takes it away.

    Example: pynchy tasks edit task-k2m4p6 --every 2h --condition ""
    """
    wish = TaskWish(
        schedule=asking.when(cron, every, at),
        timezone=tz,
        name=name,
        catch_up=catch_up,
        timeout_seconds=condition_timeout,
        prompt=asking.prompt(prompt) if prompt is not None else None,
        group=group,
        chat=chat,
        context=context_mode,
        overlap=overlap,
        condition=condition,
    )
    context = here(ctx)
    with open_store(context) as store:
        now = clock.now()
        with store.atomic() as db:
            task = Maker(db, context.settings, context.environ, now).edit_task(id, wish)
        document = telling.document(store.db, task, now)
    timetable.print_made(document, f"Changed the task {id}.", as_json)


@app.command()
def pause(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Leave tasks out until they are resumed. A run at work goes on.

    Example: pynchy tasks pause task-k2m4p6
    """
    _change(ctx, ids, changing.pause, as_json)


@app.command()
def resume(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Take paused tasks up again, from now on: what was due meanwhile stays left out.

    Example: pynchy tasks resume task-k2m4p6
    """
    _change(ctx, ids, changing.resume, as_json)


@app.command()
def cancel(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """End tasks for good. A run that is queued or at work goes on; the log is kept for 30 days.

    Example: pynchy tasks cancel task-k2m4p6 task-z7y8x9
    """
    _change(ctx, ids, changing.cancel, as_json)


@app.command()
def run(ctx: typer.Context, ids: Ids, as_json: Json = False) -> None:
    """Run tasks now, whatever is due, and without asking their conditions.

    Refused while the last run of a task is queued or at work.

    Example: pynchy tasks run task-k2m4p6
    """
    _change(ctx, ids, changing.run, as_json)
    context = here(ctx)
    with open_store(context) as store:
        alive = {one.stage for one in processes.alive(store.db, context.home.locks)}
    if WORKER not in alive:
        say(f"That waits: {not_running([WORKER])}.")


@app.command()
def log(ctx: typer.Context, id: Id, limit: Limit = 20, as_json: Json = False) -> None:
    """Show what came of a task's firings, the oldest of them first.

    A table, or one JSON object a line, with the whole answers.

    Example: pynchy tasks log task-k2m4p6 --json | jq -r .answer
    """
    with open_store(here(ctx)) as store:
        rows = telling.log(store.db, changing.get(store.db, TASKS, id), limit)
    timetable.print_log(rows, as_json)


def _change(ctx: typer.Context, ids: list[str], change: changing.Change, as_json: bool) -> None:
    with open_store(here(ctx)) as store, store.atomic() as db:
        changed = changing.each(db, TASKS, ids, change, clock.now())
    timetable.print_changed(changed, as_json)
