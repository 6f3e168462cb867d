"""`pynchy run-agent`: the stage, or with a group's name one prompt in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli.commands.app import become, here
from pynchy_cli.errors import UsageWrong


def command(
    ctx: typer.Context,
    group: Annotated[
        str | None,
        typer.Argument(metavar="GROUP", help="Its prompt is read from standard input."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Do what waits now, then end.")] = False,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, metavar="N", help="Runs at once in this process."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="With a group: each record of the agent, as NDJSON.")
    ] = False,
) -> None:
    """Run agents in sandboxes; or one, in a shell.

    Without a group it claims queued runs, drives each in its group's sandbox and stores what
    the agent says. With one it is the same thing in the foreground: the prompt comes from
    standard input, the answer goes to standard output, and to no chat. Where the agent waits for
    a person, standard error tells what for.

    Example: echo "What is in my folder?" | pynchy run-agent main
    """
    context = here(ctx)
    if group is None:
        if json:
            raise UsageWrong("--json belongs to a group's prompt: pynchy run-agent GROUP --json.")
        become("run-agent", context, {"once": once, "concurrency": concurrency})
    become("run-agent", context, {"once": True, "group": group, "json": json})
