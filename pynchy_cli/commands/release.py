"""`pynchy release`: ends what `pynchy hold`, or `stop all` in a chat, has begun."""

from __future__ import annotations

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import AllGroups, GroupOrAll, Json, require_one
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED
from pynchy_cli.output import print_json, print_text, wants_json
from pynchy_cli.store import groups, holding, holds
from pynchy_cli.store.holding import SHELL
from pynchy_cli.store.holds import Hold


def command(
    ctx: typer.Context,
    group: GroupOrAll = None,
    everything: AllGroups = False,
    as_json: Json = False,
) -> int:
    """Let a held group, or all groups, go on: what waits is taken up at once.

    A group that is held by itself and with all others must be released from both. Ends with 1
    where nothing was held.

    Example: pynchy release main
    """
    require_one(group, everything)
    with open_store(here(ctx)) as store:
        if group is not None:
            groups.get(store.db, group)
        with store.atomic() as db:
            was = holding.release(db, group, who=SHELL, now=clock.now())
            left = [one for one in holds.all(db) if group in (None, one.group_folder) or _all(one)]
    words = _words(group, was, left)
    if wants_json(as_json):
        still = [one.group_folder or "--all" for one in left]
        print_json({"ok": was is not None, "group": group, "still_held": still, "message": words})
    else:
        print_text(words)
    return EXIT_DONE if was is not None else EXIT_FAILED


def _all(hold: Hold) -> bool:
    return hold.group_folder is None


def _words(group: str | None, was: Hold | None, left: list[Hold]) -> str:
    whom, goes = (group, "goes") if group else ("All groups", "go")
    if any(map(_all, left)):
        still = " All groups are held: `pynchy release --all` ends that."
    elif left:
        names = ", ".join(str(one.group_folder) for one in left)
        still = f" Held by themselves are still: {names}."
    else:
        still = ""
    if was is None:
        held = f"{whom} is not held by itself" if group else "There is no hold on all groups"
        return f"{held}.{still}"
    if group and still:
        return f"{whom} is released, and yet waits.{still}"
    return f"{whom} {goes} on.{still}"
