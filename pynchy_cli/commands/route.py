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
    one that is always answered, becomes a queued run. What is said to the host itself is carried
    out, and the agent never reads it: `reset context`, `end session` and their like; `stop` (or
    `/stop`), which ends the turn that the group's agent is at work on; `approve ID` and
    `deny ID [reason]`, by whoever may; and, where the assistant is meant, `pending`, `status`,
    `help` and `todo TEXT`. With `shell` below [commands], `!COMMAND` by the owner in the admin
    group's chat has the host run a command. What answers an agent's question goes to that agent.
    It runs until it is stopped; one is enough.

    Example: pynchy route --once
    """
    become("route", here(ctx), {"once": once})
