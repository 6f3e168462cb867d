"""`pynchy serve`: becomes the stage that is asked and told things over HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli.commands.app import become, here
from pynchy_cli.output import print_text

NAME = "serve.sock"


def command(
    ctx: typer.Context,
    socket: Annotated[
        bool, typer.Option("--socket", help="Print where its unix socket is, and do no more.")
    ] = False,
) -> None:
    """Be asked and told things over HTTP, at a unix socket and at this machine's port 8484.

    `curl localhost:8484/status` tells how everything is; messages, approvals, holds, events and
    metrics are there too, and /openapi.json describes it all. Without the token of .env the port
    lets people read, and say what is never a command; the socket is the owner's. [serve] changes
    where it listens. It runs until it is stopped; one is enough.

    Example: curl -s --unix-socket "$(pynchy serve --socket)" http://localhost/status
    """
    context = here(ctx)
    if not socket:
        become("serve", context, {})
    places = [folder / NAME for folder in context.home.all_sockets(context.environ)]
    print_text(str(next((place for place in places if place.exists()), places[0])))
