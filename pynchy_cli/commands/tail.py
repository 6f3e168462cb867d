"""`pynchy tail`: shows messages and replies, and with -f more of them as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Annotated

import typer

from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.model import Message
from pynchy_cli.output import print_lines, print_text, wants_json
from pynchy_cli.store import groups, messages
from pynchy_cli.store.connection import Store
from pynchy_cli.tui.follow import follow
from pynchy_cli.tui.lines import as_line, as_row, attached


def command(
    ctx: typer.Context,
    group: Annotated[
        str | None, typer.Argument(metavar="GROUP", help="The group's name; else all chats.")
    ] = None,
    keep_on: Annotated[bool, typer.Option("-f", "--follow", help="Show more as it comes.")] = False,
    number: Annotated[
        int, typer.Option("-n", "--lines", min=0, metavar="N", help="How many to begin with.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, on a terminal too.")] = False,
) -> None:
    """Show what was said, and with -f what is said, as it comes.

    Example: pynchy tail main -f
    """
    context = here(ctx)
    with open_store(context) as store:
        tail = Tail(context, store, group, wants_json(as_json))
        tail.begin(number)
        if keep_on:
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(tail.go_on())


class Tail:
    """What was shown already, and how."""

    def __init__(self, context: Context, store: Store, group: str | None, as_json: bool) -> None:
        self.home = context.home
        self.store = store
        self.as_json = as_json
        self.seen = messages.highest(store.db)
        self._jids = groups.chats(store.db, groups.get(store.db, group).folder) if group else None
        self.with_chat = self._jids is None or len(self._jids) > 1

    def begin(self, number: int) -> None:
        """Show the newest."""
        self._show(messages.last(self.store.db, self._jids, number))

    async def go_on(self) -> None:
        """Show what comes, until interrupted."""
        await follow(self.home, self.store, self._look)

    def _look(self) -> bool:
        while found := messages.after(self.store.db, self._jids, self.seen):
            self._show(found)
        return False

    def _show(self, found: Iterable[Message]) -> None:
        for message in found:
            self.seen = max(self.seen, message.seq)
            files = attached(self.store.db, self.home, message)
            if self.as_json:
                print_lines([as_row(message, files)])
            else:
                print_text(as_line(message, files, with_chat=self.with_chat))
