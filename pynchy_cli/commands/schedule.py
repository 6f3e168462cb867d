"""`pynchy schedule`: becomes the stage that starts tasks and host jobs when they are due."""

from __future__ import annotations

from typing import Annotated

import typer

from pynchy_cli.commands.app import become, here


def command(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Start what is due now, then end.")] = False,
) -> None:
    """Start tasks and host jobs when they are due.

    Each due time of a task becomes a queued run, and each of a host job a child process, once and
    never twice, also after a crash. What was missed while nothing ran is made up for once, or left
    out, as each of them says. Those in config.toml are taken over at its start. With --once it ends
    when the jobs that it started have. It runs until it is stopped; one is enough.

    Example: pynchy schedule --once
    """
    become("schedule", here(ctx), {"once": once})
