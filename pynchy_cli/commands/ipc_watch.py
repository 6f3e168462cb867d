"""`pynchy ipc-watch`: becomes the stage that carries out what agents ask for."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli.commands.app import become, here


def command(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Do what waits now, then end.")] = False,
) -> None:
    """Carry out what agents ask for, as far as they may.

    Each request is a file in its sandbox's own folder, which says who asks. It is decided on by
    the table that `pynchy rights` shows, carried out, and answered; what needs a person's yes
    waits, and holds up nothing else. It runs until it is stopped; one is enough.

    Example: pynchy ipc-watch --once
    """
    become("ipc-watch", here(ctx), {"once": once})
