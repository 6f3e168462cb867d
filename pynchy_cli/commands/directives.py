"""`pynchy directives`: what agents are told, read by the same function as when they run."""

from __future__ import annotations

import typer

from pynchy_cli.agent import directives
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import AnyLimit, OfGroup
from pynchy_cli.output import print_json, print_lines, print_table, print_text, say, wants_json
from pynchy_cli.store import groups

app = typer.Typer(
    help="Show what agents are told about where they are.\n\nExample: pynchy directives show main"
)


@app.command()
def show(
    ctx: typer.Context,
    group: str = typer.Argument(metavar="GROUP", help="The group's folder."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Print exactly what a group's agents are told besides their core's own instructions.

    A directive that is missing is left out, and said on standard error.

    Example: pynchy directives show main
    """
    context = here(ctx)
    with open_store(context) as store:
        found = groups.get(store.db, group)
    names = directives.names(context.settings, found.folder, is_admin=found.is_admin)
    text = directives.system_prompt(context.home, context.settings, found, say)
    if as_json:
        print_json({"group": found.folder, "directives": names, "text": text})
    else:
        print_text(text)


@app.command("list")
def list_(
    ctx: typer.Context,
    group: OfGroup = None,
    limit: AnyLimit = None,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """List the directives, where each is read from, and the groups that have it.

    Example: pynchy directives list
    """
    context = here(ctx)
    with open_store(context) as store:
        everybody = groups.all(store.db)
        only = groups.get(store.db, group).folder if group else None
    have = {
        group.folder: directives.names(context.settings, group.folder, is_admin=group.is_admin)
        for group in everybody
    }
    rows = []
    for name in directives.available(context.home):
        found = directives.read(context.home, name, say)
        told = [folder for folder, names in have.items() if name in names]
        path = str(found.path) if found is not None else None
        if only is not None and only not in told:
            continue
        rows.append({"name": name, "path": path, "groups": told})
    rows = rows[:limit]
    if wants_json(as_json):
        print_lines(rows)
    else:
        cells = ([row["name"], ", ".join(row["groups"] or []), row["path"]] for row in rows)
        print_table(("name", "groups", "path"), cells)
