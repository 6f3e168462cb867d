"""`pynchy route`: becomes the stage that decides what is for the assistant."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli.commands.app import become, here


def command(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Do what waits now, then end.")] = False,
) -> None:
    """Decide what is for the assistant, and queue runs.

    A message that begins with @ and the assistant's name, or any message of an admin group or of
    one that is always answered, becomes a queued run. `reset context`, `end session` and their
    like are carried out; `stop` (or `/stop`) ends the turn that the group's agent is at work on,
    and is a message like any other where there is none. It runs until it is stopped; one is
    enough.

    Example: pynchy route --once
    """
    become("route", here(ctx), {"once": once})
