"""`pynchy tail`: shows messages and replies, with -f more of them as they come, and with --trace
all that agents do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.commands.options import Json, OfGroup
from pynchy_cli.errors import UsageWrong
from pynchy_cli.model import Message
from pynchy_cli.output import print_line, print_text, wants_json
from pynchy_cli.store import events, groups, messages
from pynchy_cli.store.connection import Store
from pynchy_cli.store.events import Event
from pynchy_cli.tui import lines


def _storable(number: int) -> int:
    """Raises UsageWrong where there can't be so many."""
    if number > sys.maxsize:
        raise UsageWrong(f"{number} is too large a number.")
    return number


def command(
    ctx: typer.Context,
    group: OfGroup = None,
    keep_on: Annotated[bool, typer.Option("-f", "--follow", help="Show more as it comes.")] = False,
    number: Annotated[
        int,
        typer.Option(
            *("-n", "--limit", "--lines"),
            min=0,
            metavar="N",
            callback=_storable,
            help="How many to begin with.",
        ),
    ] = 10,
    trace: Annotated[
        bool, typer.Option("--trace", help="All that agents do, too, of every run.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what was said, and with -f what is said, as it comes.

    With --trace it is also each step of the agents: tools with what they were given and gave,
    thoughts, notices; of tasks and children, too, of which no chat is shown anything.

    Example: pynchy tail main -f
    """
    context = here(ctx)
    with open_store(context) as store:
        tail = Tail(context, store, group, wants_json(as_json), trace=trace)
        tail.begin(number)
        if keep_on:
            # Only who waits needs an event loop, which takes a while to load.
            import asyncio

            from pynchy_cli.tui.follow import follow

            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(follow(tail.home, store, tail.look))


class Tail:
    """What was shown already, and how."""

    def __init__(
        self, context: Context, store: Store, group: str | None, as_json: bool, *, trace: bool
    ) -> None:
        self.home = context.home
        self.store = store
        self.as_json = as_json
        self.trace = trace
        self.seen = messages.highest(store.db)
        self.seen_event = events.highest(store.db) if trace else 0
        self._folder = groups.get(store.db, group).folder if group else None
        self._jids = groups.chats(store.db, self._folder) if self._folder else None
        self.with_chat = self._jids is None or len(self._jids) > 1

    def begin(self, number: int) -> None:
        """Show the newest."""
        said = messages.last(self.store.db, self._jids, number)
        done = events.last(self.store.db, self._folder, number) if self.trace else []
        self._show(said, done, number)

    def look(self) -> bool:
        """Show what came since; never the last of it."""
        while True:
            said = messages.after(self.store.db, self._jids, self.seen)
            done: list[Event] = []
            if self.trace:
                done = events.after(self.store.db, self._folder, self.seen_event)
            if not said and not done:
                return False
            self._show(said, done)

    def _show(
        self, said: Sequence[Message], done: Sequence[Event], number: int | None = None
    ) -> None:
        """Both in the order in which they came; what a step shows of itself in a chat is left out
        where the step itself is shown."""
        self.seen = max([self.seen, *(one.seq for one in said)])
        self.seen_event = max([self.seen_event, *(one.id for one in done)])
        shown: list[tuple[str, Message | Event]] = [
            (one.received_at, one)
            for one in said
            if not (self.trace and one.message_type in lines.MARKS)
        ]
        shown += [(one.timestamp, one) for one in done]
        shown.sort(key=lambda one: one[0])
        for _, one in shown if number is None else shown[max(0, len(shown) - number) :]:
            self._line(one)

    def _line(self, one: Message | Event) -> None:
        if isinstance(one, Event):
            if self.as_json:
                print_line(lines.event_row(one))
            else:
                print_text(lines.event_line(one))
            return
        files = lines.attached(self.store.db, self.home, one)
        if self.as_json:
            print_line(lines.as_row(one, files))
        else:
            print_text(lines.as_line(one, files, with_chat=self.with_chat))
