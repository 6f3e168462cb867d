"""`pynchy runs`: lists and shows what agents were at work on, tries it again, and ends it."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Annotated, Any, Literal

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import Json, Number, OfGroup
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, UsageWrong
from pynchy_cli.output import (
    in_words,
    print_json,
    print_line,
    print_lines,
    print_table,
    print_text,
    wants_json,
    width,
)
from pynchy_cli.store import cancelling, groups, history, runs
from pynchy_cli.store.connection import Connection
from pynchy_cli.tui import run_log, stopping
from pynchy_cli.tui.lines import as_row

app = typer.Typer(
    help="List, show, retry and cancel runs: units of agent work.\n\nExample: pynchy runs list"
)


def _storable(number: int) -> int:
    """Raises UsageWrong where no row can have such a number."""
    if number > sys.maxsize:
        raise UsageWrong(f"{number} is too large a number.")
    return number


Id = Annotated[
    int, typer.Argument(metavar="ID", min=1, callback=_storable, help="The run's number.")
]
State = Literal["queued", "running", "done", "failed", "cancelled", "superseded"]
SHOWN = 100
"""Messages, answers and tool calls that `show` prints at most, each; the log has them all."""
HEADERS = ("id", "group", "lane", "state", "tries", "messages", "created", "seconds", "error")


@app.command("list")
def list_runs(
    ctx: typer.Context,
    group: OfGroup = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    number: Number = 20,
    as_json: Json = False,
) -> None:
    """List the newest runs.

    The oldest of them comes first: a table, or one JSON object a line.

    Example: pynchy runs list main --state failed
    """
    with open_store(here(ctx)) as store:
        folder = groups.get(store.db, group).folder if group else None
        rows = [_timed(row) for row in history.newest(store.db, folder, state, number)]
    if wants_json(as_json):
        print_lines(rows)
    else:
        print_table(HEADERS, [_cells(row) for row in rows], width())


@app.command()
def show(
    ctx: typer.Context,
    run_id: Id,
    log: Annotated[bool, typer.Option("--log", help="All that happened, a line each.")] = False,
    as_json: Json = False,
) -> None:
    """Show one run: its row, its messages, answers and tool calls.

    With --log it is the whole trace, a line for each thing that happened (with --json too: one
    JSON object a line).

    Example: pynchy runs show 12 --log > run.log
    """
    with open_store(here(ctx)) as store:
        row = history.row(store.db, run_id)
        if log:
            for line in run_log.lines(store.db, row, clock.now()):
                if as_json:
                    print_line({"at": line.at, "kind": line.kind, "text": line.text})
                else:
                    print_text(str(line))
        elif wants_json(as_json):
            print_json(_document(store.db, row))
        else:
            _print(store.db, row)


@app.command()
def retry(ctx: typer.Context, run_id: Id, as_json: Json = False) -> None:
    """Queue once more what a failed run left unanswered.

    Example: pynchy runs retry 12
    """
    with open_store(here(ctx)) as store, store.atomic() as db:
        new = runs.retry(db, run_id, clock.now())
    if wants_json(as_json):
        print_json({"ok": True, "retried": run_id, "run": new})
    else:
        print_text(f"Run {run_id} is queued again, as run {new}.")


@app.command()
def cancel(
    ctx: typer.Context,
    run_id: Id,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Wait so long for one at work, at most.")
    ] = 15.0,
    as_json: Json = False,
) -> int:
    """End a run for good.

    One that waits is never taken up, one at work is stopped. Its messages count as dealt with,
    and the chat is told. Ends with 1 when the run is at work and hasn't ended yet.

    Example: pynchy runs cancel 12
    """
    context = here(ctx)
    with open_store(context) as store:
        with store.atomic() as db:
            run = cancelling.cancel(db, run_id, clock.now())
        is_done, words = True, f"Cancelled run {run_id} of {run.group_folder}."
        if run.state == "running":
            ended = stopping.wait(context.home, store, run_id, wait)
            run, is_done, words = ended.run, ended.is_done, ended.words
    if wants_json(as_json):
        print_json({"ok": is_done, "run": run_id, "state": run.state, "message": words})
    else:
        print_text(words)
    return EXIT_DONE if is_done else EXIT_FAILED


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the seconds of its last attempt, as far as it is."""
    until = row["finished_at"] or (clock.now() if row["state"] == "running" else None)
    if until is None or row["started_at"] is None:
        return {**row, "seconds": None}
    seconds = clock.seconds_between(row["started_at"], until)
    return {**row, "seconds": round(max(0.0, seconds), 3)}


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    created = clock.parse(row["created_at"]).astimezone().strftime("%m-%d %H:%M:%S")
    ended = ["held"] if row["held"] else []
    ended += [row["error"]] if row["error"] else []
    if row["superseded_by"] is not None:
        ended.append(f"see run {row['superseded_by']}")
    return (
        *(row["id"], row["group"], row["lane"], row["state"], row["attempts"]),
        f"{row['first_seq']}..{row['last_seq']}" if row["last_seq"] else None,
        *(created, row["seconds"], "; ".join(ended) or None),
    )


def _document(db: Connection, row: dict[str, Any]) -> dict[str, Any]:
    messages = run_log.prompt(db, row) if row["kind"] == "chat" else iter(())
    tools = (step for step in history.steps(db, row["id"]) if step["kind"] == "tool_use")
    return {
        **_timed(row),
        "messages": [as_row(one) for one in islice(messages, SHOWN)],
        "answers": list(islice(history.replies(db, row["id"]), SHOWN)),
        "tools": [{"at": one["at"], **one["payload"]} for one in islice(tools, SHOWN)],
    }


def _print(db: Connection, row: dict[str, Any]) -> None:
    for key, value in _timed(row).items():
        if value is not None:
            print_text(f"{key}: {in_words(value)}")
    kinds = ("prompt", "message", "tool_use", "answer", "answering", "host")
    found = (line for line in run_log.lines(db, row, clock.now()) if line.kind in kinds)
    for line in islice(found, 3 * SHOWN):
        print_text(f"  {line}")
