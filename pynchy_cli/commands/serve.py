"""`pynchy serve`: becomes the stage that is asked and told things over HTTP."""

from __future__ import annotations

import typer

from pynchy_cli.commands.app import become, here


def command(ctx: typer.Context) -> None:
    """Be asked and told things over HTTP, on a unix socket and on this machine's port 8484.

    `curl localhost:8484/status` tells how everything is; messages, approvals, holds, events and
    metrics are there too, and /openapi.json describes it all. What over the port shows no token may
    read, and say something that is never a command. [serve] and docs/http.md tell more. One is
    enough.

    Example: pynchy serve
    """
    become("serve", here(ctx), {})
