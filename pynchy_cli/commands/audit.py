"""`pynchy audit`: shows what was decided, tells whether the log was tampered with, as far as it can
tell, and takes old decisions away."""

from __future__ import annotations

import json
import re
import sys
from typing import Annotated, Any

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, UsageWrong
from pynchy_cli.output import (
    print_json,
    print_line,
    print_lines,
    print_table,
    print_text,
    wants_json,
    width,
)
from pynchy_cli.security import senders
from pynchy_cli.store import audit
from pynchy_cli.store.audit import Entry

app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")

NEWEST = 50
"""Decisions that are shown where nobody says how many, nor since when."""
HEADERS = ("id", "at", "group", "who", "decided on", "decision", "reason")
Json = Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")]
WHEN = "An ISO time, or so long ago: 2h, 7d."


def _moment(text: str | None) -> str | None:
    """Raises UsageWrong where it is no time."""
    try:
        return clock.moment(text, clock.now()) if text is not None else None
    except ValueError as error:
        raise UsageWrong(f"{error}.") from error


def _head(text: str | None) -> str | None:
    """Raises UsageWrong where it is no head."""
    if text is not None and not re.fullmatch(r"\d{1,18}:[0-9a-f]{64}", text):
        raise UsageWrong(f"{text!r} is no head: ID:HASH, as --verify prints it.")
    return text


def _number(number: int | None) -> int | None:
    """Raises UsageWrong where there can't be so many."""
    if number is not None and number > sys.maxsize:
        raise UsageWrong(f"{number} is too large a number.")
    return number


@app.callback()
def command(
    ctx: typer.Context,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the chain; 1 where something is wrong.")
    ] = False,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="ID:HASH", callback=_head, help="With --verify: is this noted head still there?"
        ),
    ] = None,
    group: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this group.")] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", callback=_moment, help=WHEN)] = None,
    number: Annotated[
        int | None,
        typer.Option(
            *("-n", "--limit", "--number"),
            min=0,
            metavar="N",
            callback=_number,
            help="How many, the newest; else 50, or all since WHEN.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Show what was decided: by whom or which rule, on what, and why.

    The oldest comes first: a table, or one JSON object a line.

    With --verify it checks the chain that the rows make, and prints how many there are and the
    head (number and hash of the newest). It finds a row that was changed, moved, put in or left
    out. It can't find that somebody who may write the file made the whole chain anew, or pruned
    it, or added decisions that nobody took: note the head elsewhere now and then, and compare it
    with --head. ipc-watch writes it to its log hourly.

    Example: pynchy audit --group work --since 2h; pynchy audit --verify
    """
    if ctx.invoked_subcommand is not None:
        return EXIT_DONE
    if verify or head is not None:
        noted = None if head is None else (int(head.partition(":")[0]), head.partition(":")[2])
        return _verify(here(ctx), noted, as_json)
    limit = number if number is not None else (NEWEST if since is None else -1)
    with open_store(here(ctx)) as store:
        found = list(audit.entries(store.db, _storable(group), since, limit))
    if wants_json(as_json):
        print_lines(_row(one) for one in found)
    else:
        print_table(HEADERS, [_cells(one) for one in found], width())
    return EXIT_DONE


@app.command()
def prune(
    ctx: typer.Context,
    before: Annotated[
        str, typer.Option(metavar="WHEN", callback=_moment, help=WHEN, show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """Take the decisions before a time away for good.

    A row is left that says through which one, so that the rest of the chain can be checked still.

    Example: pynchy audit prune --before 365d
    """
    who = f"{senders.OWNER} (shell)"
    with open_store(here(ctx)) as store, store.atomic() as db:
        pruned = audit.prune(db, before, clock.now(), who)
        id, hash = audit.head(db)
    if wants_json(as_json):
        print_json({"ok": True, "pruned": pruned, "head": f"{id}:{hash}"})
    else:
        print_text(f"{pruned} rows were taken away; the head is {id}:{hash}.")


def _verify(context: Context, noted: tuple[int, str] | None, as_json: bool) -> int:
    with open_store(context) as store:
        chain = audit.check(store.db, noted)
    faults = list(chain.faults)
    head = f"{chain.id}:{chain.hash}"
    if wants_json(as_json):
        told = {"ok": not faults, "rows": chain.rows, "head": head}
        print_line({**told, "pruned_through": chain.pruned_through or None, "faults": faults})
    elif faults:
        print_text("\n".join(faults))
    else:
        pruned = f", pruned through {chain.pruned_through}" if chain.pruned_through else ""
        print_text(f"The chain is whole: {chain.rows} rows{pruned}, head {head}.")
    return EXIT_FAILED if faults else EXIT_DONE


def _storable(text: str | None) -> str | None:
    return text.encode("utf-8", "replace").decode() if text is not None else None


def _row(one: Entry) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": one.at,
        "kind": one.kind,
        "decision": one.decision,
        "group": one.group_folder,
        "who": one.who,
        "subject": one.subject,
        "request": one.request,
        "run": one.run_id,
        "reason": one.reason,
        "digest": one.digest,
        "detail": _detail(one.detail),
        "previous": one.previous,
        "hash": one.hash,
    }


def _detail(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _cells(one: Entry) -> tuple[Any, ...]:
    what = f"{one.kind}: {one.subject}" if one.kind != one.subject else one.kind
    return (one.id, one.at, one.group_folder, one.who, what, one.decision, one.reason)
