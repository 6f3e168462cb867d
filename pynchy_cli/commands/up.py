"""`pynchy up`: all stages together. It hands the supervisor a list and becomes it."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated

import typer

from pynchy_cli.commands.app import here
from pynchy_cli.config.channels import enabled
from pynchy_cli.config.home import prepare
from pynchy_cli.errors import ConfigInvalid, DatabaseMissing, UsageWrong
from pynchy_cli.supervise.services import services, with_channels

SPARE_GRACE = 10.0
"""Seconds that a stage gets to stop beyond what its agents get."""


def command(
    ctx: typer.Context,
    only: Annotated[
        str | None, typer.Option("--only", metavar="STAGES", help="These stages: route,run-agent.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Each line of output as a JSON object.")
    ] = False,
) -> None:
    """Run all stages together, in this terminal.

    They are started in order, started again when they end, and stopped in reverse by Ctrl-C or
    SIGTERM; a second Ctrl-C stops them sooner.

    Example: pynchy up   and elsewhere: pynchy chat
    """
    context = here(ctx)
    home, settings = context.home, context.settings
    if not home.database.exists():
        raise DatabaseMissing(f"{home.database} does not exist. `pynchy init` makes it.")
    names = list(settings.supervise.stages) if only is None else _names(only)
    try:
        services(list(names), home.root)  # what can't be is said before anything is started
    except UsageWrong as error:
        raise (
            error if only is not None else ConfigInvalid(f"[supervise] stages: {error}")
        ) from error
    if only is None and not settings.backup.folder:
        names = [name for name in names if name != "backup"]
    names = with_channels(names, enabled(settings))
    if not names:
        raise UsageWrong("No channel is configured, so there is nothing to listen to.")
    prepare(home)
    document = {
        "home": str(home.root),
        "stages": names,
        "lock": str(home.locks / "up.lock"),
        "sockets": str(home.sockets(context.environ)),
        "json": as_json or settings.log.format == "json",
        "grace": settings.sandbox.stop_grace + SPARE_GRACE,
    }
    command = [sys.executable, "-P", "-m", "pynchy_cli.supervise", json.dumps(document)]
    os.execv(sys.executable, command)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
