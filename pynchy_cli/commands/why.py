"""`pynchy why`: tells what became of something, in time order, and what will happen next."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import Json
from pynchy_cli.output import print_lines, print_text, wants_json, width
from pynchy_cli.routing import story as telling
from pynchy_cli.routing import subjects
from pynchy_cli.store import processes, story
from pynchy_cli.store.story import Facts


def command(
    ctx: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT", help="message:SEQ, run:N, task:ID, job:ID, reply:N; or the id alone."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Tell what became of a message, a run, a task, a job or a reply, and why.

    It says when it came in, whether its sender was heard, whether it was for the assistant (decided
    anew, by today's rules), which runs had it, where, what the agent did and asked, which reply was
    brought where; and at the end what will happen next, with the command that helps. Ids are as
    lists show them; a message may also be named as its network does. With --json it is one JSON
    object for each step, the last of them (kind: next) for what is to come.

    Example: pynchy why message:17
    """
    context = here(ctx)
    with open_store(context) as store, store.snapshot() as db:
        kind, id = subjects.find(db, subject)
        rows = subjects.facts(db, kind, id)
        alive = frozenset(one.stage for one in processes.alive(db, context.home.locks))
        facts = Facts(now=clock.now(), alive=alive, **rows, **story.around(db))
        reading = subjects.reading(db, facts.message, context.settings) if facts.message else None
    told = telling.tell(f"{kind}:{id}", facts, reading)
    if wants_json(as_json):
        print_lines(telling.document(told))
    else:
        print_text("\n".join(telling.lines(told, width())))
