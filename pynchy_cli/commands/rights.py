"""`pynchy rights`: shows the one table of who may ask for what; and what of it holds for a group's
agents, as the configuration has it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.ipc import authorise
from pynchy_cli.ipc.facts import facts
from pynchy_cli.ipc.handlers import services
from pynchy_cli.model import Group
from pynchy_cli.output import print_lines, print_table, print_text, wants_json
from pynchy_cli.store import groups

LEGEND = {
    "allow": "for any group's chats and tasks",
    "own": "for the group's own",
    "gate": "likewise, when a person has approved it",
    "deny": "never",
}
SERVICE = "service:"


def command(
    ctx: typer.Context,
    group: Annotated[
        str | None, typer.Argument(metavar="GROUP", help="What this group's agents may ask.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON objects, one a line, on a terminal too.")
    ] = False,
) -> None:
    """Show what agents may ask for: each kind of request, and the rule for who asks.

    Of an admin group, of any other, and of a child, which is a sandbox that an agent has started.
    allow: for any group's chats and tasks; own: for the group's own; gate: likewise, when a person
    has approved it; deny: never. With GROUP it is what holds for that one, with the `tools` and the
    `gate` of its configuration.

    Example: pynchy rights work
    """
    if group is None:
        rows = [{"type": kind, **_rules(kind)} for kind in authorise.RIGHTS]
        headers = ("request", *authorise.ROLES)
    else:
        context = here(ctx)
        with open_store(context) as store:
            found = groups.get(store.db, group)
        rows = _of_group(context, found)
        headers = ("request", "admin" if found.is_admin else "group", "child")
    if wants_json(as_json):
        print_lines(rows)
        return
    print_table(headers, [tuple(row.values()) for row in rows])
    print_text("\n" + "\n".join(f"{rule:<6} {words}" for rule, words in LEGEND.items()))


def _rules(kind: str) -> dict[str, Any]:
    return {role: authorise.rule(role, kind) for role in authorise.ROLES}


def _of_group(context: Context, group: Group) -> list[dict[str, Any]]:
    gated = facts(None, context.settings, group.folder).gated
    role: authorise.Role = "admin" if group.is_admin else "group"
    of_agent = _services(context, group, is_admin=group.is_admin)
    of_child = _services(context, group, is_admin=False)
    named = {name for name in gated if name.startswith(SERVICE)}
    return [
        {
            "type": kind,
            "agent": authorise.effective(role, kind, gated, of_agent),
            "child": authorise.effective("child", kind, gated, of_child),
        }
        for kind in (*authorise.RIGHTS, *sorted(named | of_agent.keys()))
    ]


def _services(context: Context, group: Group, *, is_admin: bool) -> dict[str, authorise.Rule]:
    found = services.rules_of(context.settings, group.folder, is_admin=is_admin)
    return {SERVICE + name: rule for name, rule in found.items()}
