"""`pynchy approvals`: shows what agents ask people, and says yes or no to it. What is carried out
then is the request as it is stored and shown."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import AnyLimit, OfGroup
from pynchy_cli.output import (
    print_facts,
    print_json,
    print_lines,
    print_table,
    print_text,
    say,
    wants_json,
    width,
)
from pynchy_cli.routing import verdicts
from pynchy_cli.security import senders
from pynchy_cli.store import groups, processes, waiting
from pynchy_cli.store.approvals import Outcome
from pynchy_cli.store.waiting import Waiting
from pynchy_cli.tui.follow import not_running

app = typer.Typer(
    help="List, show and decide what waits for a person's yes.\n\nExample: pynchy approvals list"
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The id that it was asked under.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")]
SHELL = f"{senders.OWNER} (shell)"
"""Who decides here, as the audit log tells it."""
DESK = "ipc-watch"
DOERS = frozenset({DESK, "run-agent"})
"""The stages of which one carries out what is approved: in a shell run-agent does so itself."""
NEWEST = 200
"""How many of those that are decided, too, are listed where nobody says."""
HEADERS = ("id", "group", "asks for", "asked", "state", "seconds left", "what")


@app.command("list")
def list_approvals(
    ctx: typer.Context,
    group: OfGroup = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was decided: the newest 200, or N.")
    ] = False,
    limit: AnyLimit = None,
    as_json: Json = False,
) -> None:
    """List what waits for a person: for a yes, or for an answer.

    The oldest comes first: a table, or one JSON object a line. Questions (kind: question) are
    answered in their chat.

    Example: pynchy approvals list --all
    """
    with open_store(here(ctx)) as store:
        folder = groups.get(store.db, group).folder if group else None
        most = limit if limit is not None else NEWEST if everything else -1
        found = waiting.newest(store.db, most, folder, pending=not everything)
    now = clock.now()
    if wants_json(as_json):
        print_lines(verdicts.as_row(one, now) for one in found)
    else:
        print_table(HEADERS, [_cells(one, now) for one in found], width())


@app.command()
def show(ctx: typer.Context, id: Id, as_json: Json = False) -> None:
    """Show all of what is asked: what would be done, who may decide, where and until when.

    `payload` is the request exactly as it is stored, and `digest` the SHA-256 of its type, a
    newline and it, by which the audit log knows it.

    Example: pynchy approvals show k7m2
    """
    with open_store(here(ctx)) as store:
        one = waiting.get(store.db, _typed(id))
    document = verdicts.as_document(one, clock.now())
    if wants_json(as_json):
        print_json(document)
        return
    print_facts({name: value for name, value in document.items() if name != "summary"}, as_json)
    # Marked, so that none of it can pass for a line of ours.
    print_text("\n".join(f"> {line}" for line in one.summary.splitlines()))


@app.command()
def approve(ctx: typer.Context, id: Id, as_json: Json = False) -> None:
    """Say yes: what was asked is carried out as it is shown.

    Ends with 3 where it is decided or expired already, or where the owner may not decide.

    Example: pynchy approvals approve k7m2
    """
    one = _decided(ctx, id, "approved", "")
    _tell(one, "approved", f"Approved: {one.type} of {one.group_folder} is carried out.", as_json)
    context = here(ctx)
    with open_store(context) as store:
        alive = {one.stage for one in processes.alive(store.db, context.home.locks)}
    if not alive & DOERS:
        say(f"That waits: {not_running([DESK])}.")


@app.command()
def deny(
    ctx: typer.Context,
    id: Id,
    reason: Annotated[
        str, typer.Argument(metavar="REASON", help="Why not, for the agent to read.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Say no: nothing of it is done, and the agent is told so, with the reason.

    Ends with 3 where it is decided or expired already, or where the owner may not decide.

    Example: pynchy approvals deny k7m2 "Not on a Sunday."
    """
    said = reason.encode("utf-8", "replace").decode()
    one = _decided(ctx, id, "denied", said)
    _tell(one, "denied", f"Denied: {one.type} of {one.group_folder} is not done.", as_json)


def _decided(ctx: typer.Context, id: str, outcome: Outcome, reason: str) -> Waiting:
    context = here(ctx)
    people = senders.People.of(context.settings)
    with open_store(context) as store, store.atomic() as db:
        return verdicts.decide(
            db, id, outcome, people=people, who=SHELL, now=clock.now(), reason=reason
        )


def _typed(id: str) -> str:
    return id.strip().lower()


def _tell(one: Waiting, state: Outcome, words: str, as_json: bool) -> None:
    if wants_json(as_json):
        told = {"ok": True, "id": one.id, "state": state, "group": one.group_folder}
        print_json({**told, "type": one.type, "decided_by": SHELL})
    else:
        print_text(words)


def _cells(one: Waiting, now: str) -> tuple[Any, ...]:
    asked = clock.parse(one.asked_at).astimezone().strftime("%m-%d %H:%M:%S")
    return (
        one.id,
        one.group_folder,
        one.type,
        asked,
        one.state,
        verdicts.left(one, now),
        verdicts.short(one),
    )
