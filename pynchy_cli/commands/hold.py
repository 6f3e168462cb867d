"""`pynchy hold`: has a group, or all of them, begin nothing until it is released."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import AllGroups, GroupOrAll, Json, require_one
from pynchy_cli.output import print_json, print_text, wants_json
from pynchy_cli.store import groups, holding
from pynchy_cli.store.holding import SHELL, Held


def command(
    ctx: typer.Context,
    group: GroupOrAll = None,
    everything: AllGroups = False,
    outbound: Annotated[
        bool, typer.Option("--outbound", help="Nothing goes out to its chats, either.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, for whoever wonders.")
    ] = None,
    stop: Annotated[
        bool, typer.Option("--stop", help="End what is at work, too; else that goes on.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have a group, or all groups, begin nothing until it is released.

    It is in force at once and across restarts: no run is taken up, and with --outbound no reply is
    sent. What is said meanwhile is stored and waits, and so do runs of tasks; host jobs go on. Said
    again, it takes the new reason, and what goes out is held if either says so. In a chat, the
    owner's `stop all` is `pynchy hold --all --stop`.

    Example: pynchy hold main --reason "moving house" --stop
    """
    require_one(group, everything)
    with open_store(here(ctx)) as store:
        if group is not None:
            groups.get(store.db, group)
        with store.atomic() as db:
            held = holding.hold(
                *(db, group),
                who=SHELL,
                now=clock.now(),
                outbound=outbound,
                reason=reason.strip() or None if reason else None,
                stop=stop,
            )
    if wants_json(as_json):
        print_json(_document(held))
    else:
        print_text(_words(held))


def _document(held: Held) -> dict[str, Any]:
    hold = held.hold
    return {
        "ok": True,
        "group": hold.group_folder,
        "outbound": hold.outbound,
        "reason": hold.reason,
        "held_by": hold.held_by,
        "held_at": hold.held_at,
        "stopped": [run.id for run in held.stopped],
    }


def _words(held: Held) -> str:
    whom = held.hold.group_folder
    out = ", and nothing goes out" if held.hold.outbound else ""
    words = f"{whom or 'All groups'} {'begins' if whom else 'begin'} nothing from now on{out}."
    if held.stopped:
        numbers = ", ".join(str(run.id) for run in held.stopped)
        words += f" Asked to stop: run {numbers}."
    return f"{words} `pynchy release {whom or '--all'}` ends that."
