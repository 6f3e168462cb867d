"""`pynchy status`: how everything is. Nearly always the fast path answers before this is
loaded; here are its help and the wrong options."""

from __future__ import annotations

import typer

from pynchy_cli import status_quick
from pynchy_cli.commands.app import here


def command(
    ctx: typer.Context,
    json: bool = typer.Option(False, "--json", help="One JSON object, on a terminal too."),
) -> int:
    """Tell how everything is: a table on a terminal, one JSON object in a pipe.

    Ends with 0 when all is well, 1 when something needs a person, 4 when nothing runs.

    Example: pynchy status | jq .queue
    """
    return status_quick.show(str(here(ctx).home.root), json)
