"""`pynchy up`: all stages together. It hands the supervisor a list and becomes it."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from pynchy_cli.changes import grace, note
from pynchy_cli.commands.app import Context, here
from pynchy_cli.commands.options import named
from pynchy_cli.config.accepted import accept
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.stages import wanted
from pynchy_cli.errors import (
    ConfigInvalid,
    DatabaseBusy,
    DatabaseFull,
    DatabaseMissing,
    HomeUnusable,
    SchemaTooOld,
    UsageWrong,
)
from pynchy_cli.store.connection import Store
from pynchy_cli.supervise.services import services

PYTHON = (sys.executable, "-P", "-m")
PATIENCE = 2.0
"""Seconds that a configuration may be wrong, while somebody writes it, before people are told."""
ASK = ("config", "changed", "--json", "--tell", f"--wait={PATIENCE:g}")


def command(
    ctx: typer.Context,
    only: Annotated[
        str | None, typer.Option("--only", metavar="STAGES", help="These stages: route,run-agent.")
    ] = None,
    left_out: Annotated[
        str | None,
        typer.Option("--except", metavar="STAGES", help="Not these: listen@slack,schedule."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Each line of output as a JSON object.")
    ] = False,
) -> None:
    """Run all stages together, in this terminal.

    They are started in order, started again when they end, and stopped in reverse by Ctrl-C or
    SIGTERM; a second Ctrl-C stops them sooner. When config.toml or .env is changed, the stages that
    this concerns start again; a configuration that can't be used changes nothing. SIGHUP has it
    looked at at once.

    Example: pynchy up   and elsewhere: pynchy chat
    """
    context = here(ctx)
    home = context.home
    if not home.database.exists():
        raise DatabaseMissing(f"{home.database} does not exist. `pynchy init` makes it.")
    prepare(home)
    _require_schema(home)
    chosen, without = named(only), named(left_out) or []
    _require_known(context, chosen, without)
    try:
        settings, accepted = accept(home, context.environ)
    except OSError as error:
        raise HomeUnusable(f"{home.locks} can't be written: {error.strerror}.") from error
    _note(home)
    names = wanted(settings, chosen, without)
    if not names:
        raise UsageWrong(
            "No stage is left to run."
            if without
            else "No channel is configured, so there is nothing to listen to."
        )
    selection = [f"--only={only}"] if only is not None else []
    selection += [f"--except={left_out}"] if left_out is not None else []
    document = {
        "home": str(home.root),
        "data": str(home.data),
        "stages": names,
        "sockets": str(home.sockets(context.environ)),
        "json": as_json or settings.log.format == "json",
        "grace": grace(settings),
        "accepted": str(accepted),
        "ask": [*PYTHON, "pynchy_cli", "--home", str(home.root), *ASK, *selection],
        "files": [home.config.name, home.env.name, "litellm_config.yaml"],
    }
    os.execv(sys.executable, [*PYTHON, "pynchy_cli.supervise", json.dumps(document)])


def _require_schema(home: Home) -> None:
    """Bring an older file up, once and before there are several who would. Who can't write now may
    later: each stage sees to that itself, too."""
    with suppress(DatabaseBusy, DatabaseFull):
        try:
            Store.open(home.database).close()
        except SchemaTooOld:
            from pynchy_cli.store.migrate import migrate  # rarely needed, and not free to load

            migrate(home.database)


def _note(home: Home) -> None:
    """Note what is in force, for `status` and for whoever looks at the next change."""
    with suppress(DatabaseBusy, DatabaseFull), Store.open(home.database) as store:
        note(home, store, None)


def _require_known(context: Context, only: list[str] | None, left_out: list[str]) -> None:
    """Say what can't be before anything is started. Raises UsageWrong and ConfigInvalid."""
    home = context.home
    if left_out:
        services(left_out, home.root)
    if only is not None:
        services(only, home.root)
        return
    try:
        services(list(context.settings.supervise.stages), home.root)
    except UsageWrong as error:
        raise ConfigInvalid(f"[supervise] stages: {error}") from error
