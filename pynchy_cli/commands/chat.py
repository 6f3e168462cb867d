"""`pynchy chat`: a talk with a group in this terminal, or in a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Annotated, TextIO

import typer

from pynchy_cli.commands.app import here, open_store
from pynchy_cli.errors import GroupUnknown
from pynchy_cli.model import Group
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Store
from pynchy_cli.tui import chat
from pynchy_cli.tui.talk import Talk


def command(
    ctx: typer.Context,
    group: Annotated[
        str | None, typer.Argument(metavar="GROUP", help="The group's name; else the admin's.")
    ] = None,
) -> None:
    """Talk with a group in this terminal. Ctrl-D or Ctrl-C ends; the group goes on.

    Into a pipe it says each line, prints the answers, and ends when all have come.

    Example: pynchy chat
    """
    context = here(ctx)
    with open_store(context) as store:
        talk = Talk(store, context.home, context.settings, _group(store, group))
        with contextlib.suppress(KeyboardInterrupt):
            if _is_terminal(sys.stdin) and _is_terminal(sys.stdout):
                asyncio.run(chat.in_terminal(talk, talk.last(chat.HISTORY)))
            else:
                asyncio.run(chat.in_pipe(talk))


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _group(store: Store, name: str | None) -> Group:
    if name is not None:
        return groups.get(store.db, name)
    found = groups.all(store.db)
    if not found:
        raise GroupUnknown("There is no group yet. `pynchy init` makes the first.")
    return next((one for one in found if one.is_admin), found[0])
