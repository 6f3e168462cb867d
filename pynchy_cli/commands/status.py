"""`pynchy status`: how everything is. Nearly always the fast path answers before this is
loaded; here are its help and the wrong options."""

from __future__ import annotations

import typer

from pynchy_cli import status_quick
from pynchy_cli.commands.app import here


def command(
    ctx: typer.Context,
    json: bool = typer.Option(False, "--json", help="One JSON object, on a terminal too."),
    watch: bool = typer.Option(
        False, "--watch", help="Go on: a table that is redrawn, or a line of JSON for each change."
    ),
) -> int:
    """Tell how everything is: a table on a terminal, one JSON object in a pipe.

    What is wrong stands first, each with the command that shows more. Ends with 0 when all is well,
    1 when something is wrong, 4 when nothing runs. --watch goes on until Ctrl-C.

    Example: pynchy status | jq .queue
    """
    return status_quick.show(str(here(ctx).home.root), json, watch=watch)
