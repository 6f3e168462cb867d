"""`pynchy stop`: ends the turn that a group's agent is at work on, and says what became of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED
from pynchy_cli.model import CHAT_LANE, Run
from pynchy_cli.output import print_json, print_text, wants_json
from pynchy_cli.routing import telling
from pynchy_cli.store import cancelling, groups, steering
from pynchy_cli.tui import stopping


def command(
    ctx: typer.Context,
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")],
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Wait so long for its end, at most.")
    ] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")] = False,
) -> int:
    """End what a group's agent is at work on.

    What it said so far stays, and the conversation goes on. Ends with 0 when the turn has ended,
    1 when nothing is at work or it hasn't ended yet. In the chat, the word `stop` does the same.

    Example: pynchy stop main
    """
    context = here(ctx)
    with open_store(context) as store:
        groups.get(store.db, group)
        with store.atomic() as db:
            run = cancelling.stop(db, group, clock.now())
            waiting = steering.waiting(db, group, CHAT_LANE)
            held = telling.held_now(db, group)
        if run is None:
            return _report(_nothing(group, waiting, held), as_json)
        ended = stopping.wait(context.home, store, run.id, wait)
    document = {
        "ok": ended.is_done,
        "group": group,
        "run": ended.run.id,
        "result": ended.how,
        "state": ended.run.state,
        "message": ended.words,
    }
    return _report(document, as_json)


def _nothing(group: str, waiting: Run | None, held: str | None) -> dict[str, Any]:
    words = f"{group} is not at work on anything."
    if waiting is not None:
        when = f" until {waiting.not_before}" if waiting.not_before else ""
        again = "to be tried again" if waiting.attempts else "to be taken up"
        words += (
            f" Run {waiting.id} waits{when} {again}; `pynchy runs cancel {waiting.id}` ends it."
        )
    if held is not None:
        words += f" {held}"
    return {
        "ok": False,
        "group": group,
        "run": waiting.id if waiting else None,
        "result": "nothing",
        "state": waiting.state if waiting else None,
        "not_before": waiting.not_before if waiting else None,
        "message": words,
    }


def _report(document: dict[str, Any], as_json: bool) -> int:
    if wants_json(as_json):
        print_json(document)
    else:
        print_text(document["message"])
    return EXIT_DONE if document["ok"] else EXIT_FAILED
