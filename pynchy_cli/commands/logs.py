"""`pynchy logs`: shows what the stages have logged, and with -f what they log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Annotated, Literal

import typer

from pynchy_cli import log_lines
from pynchy_cli.commands.app import Context, here
from pynchy_cli.commands.options import Json, Limit
from pynchy_cli.output import print_line, print_text, say, wants_json
from pynchy_cli.tui import logs
from pynchy_cli.tui.logs import Line, Wanted

NOWHERE = (
    "There is no log yet: `pynchy up` keeps one in {path}, and units write to the journal. A stage "
    "that is started by hand writes to its standard error."
)


def command(
    ctx: typer.Context,
    stage: Annotated[
        str | None,
        typer.Argument(metavar="STAGE", help="Such as route or listen@slack; else all."),
    ] = None,
    keep_on: Annotated[bool, typer.Option("-f", "--follow", help="Show more as it comes.")] = False,
    limit: Limit = 50,
    level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="From this level on.")
    ] = "debug",
    as_json: Json = False,
) -> None:
    """Show what the stages have logged, the newest last.

    It is read from what `pynchy up` keeps in data/logs, or where units are installed from systemd's
    journal. With --json it is one JSON object a line, as it was logged. docs/logs.md tells what
    each event means.

    Example: pynchy logs route -f --level warning
    """
    context, wanted, as_json = here(ctx), Wanted(stage, level), wants_json(as_json)
    asked = logs.journal(context.environ)
    if asked is not None:
        _of_journal(context, asked, wanted, limit, keep_on=keep_on, as_json=as_json)
        return
    path = logs.file_of(context.home)
    follower = logs.Follower(path) if keep_on else None
    found = logs.files(path)
    if not found:
        say(NOWHERE.format(path=path))
    _show(logs.newest(found, wanted, limit), as_json)
    if follower is not None:
        with contextlib.closing(follower), contextlib.suppress(KeyboardInterrupt):
            _follow(follower, wanted, as_json)


def _of_journal(
    context: Context,
    asked: list[str],
    wanted: Wanted,
    limit: int,
    *,
    keep_on: bool,
    as_json: bool,
) -> None:
    """The journal knows nothing of our stages, so that it gives all lines, and we choose."""
    from collections import deque

    lines = logs.from_journal([*asked, "--lines=10000"], context.environ)
    _show(deque(filter(wanted.has, lines), maxlen=limit), as_json)
    if keep_on:
        with contextlib.suppress(KeyboardInterrupt):
            more = logs.from_journal([*asked, "--lines=0", "--follow"], context.environ)
            _show(filter(wanted.has, more), as_json)


def _follow(follower: logs.Follower, wanted: Wanted, as_json: bool) -> None:
    # Only who waits needs an event loop, which takes a while to load.
    import asyncio

    from pynchy_cli.watch import Watcher

    async def wait() -> None:
        folder, woken = follower.path.parent, asyncio.Event()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.closing(Watcher()) as watcher:
            watcher.add(folder, woken.set)
            while True:
                woken.clear()
                _show(filter(wanted.has, follower.more()), as_json)
                await woken.wait()

    asyncio.run(wait())


def _show(lines: Iterable[Line], as_json: bool) -> None:
    for line in lines:
        if as_json:
            print_line(line)
        else:
            print_text(log_lines.as_text(line, False))
