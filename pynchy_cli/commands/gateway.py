"""`pynchy gateway`: becomes the stage that is the agents' only way to a model."""

from __future__ import annotations

import typer

from pynchy_cli.commands.app import become, here


def command(ctx: typer.Context) -> None:
    """Be the agents' only way to a model: a socket for each sandbox, and the real key behind it.

    With ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN in .env it passes calls on to the model;
    without, it rehearses: a script answers, and says so. The log tells which. A key that takes
    another's place in .env is used from the next call on. One gateway is enough.

    Example: pynchy gateway
    """
    become("gateway", here(ctx), {})
