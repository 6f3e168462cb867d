"""`pynchy skills`: which skills there are, and which of them a group's agents have."""

from __future__ import annotations

import typer

from pynchy_cli.agent import skills
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.config.tiers import for_group
from pynchy_cli.output import print_lines, print_table, say, wants_json, width
from pynchy_cli.store import groups

app = typer.Typer(help="Show which skills agents have.\n\nExample: pynchy skills list main")


@app.callback()
def skills_of_agents() -> None:
    """Show which skills agents have.

    Example: pynchy skills list main
    """


@app.command("list")
def list_(
    ctx: typer.Context,
    group: str | None = typer.Argument(None, metavar="GROUP", help="Only those it has."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """List all skills, or those of one group.

    The home's own lie in skills/NAME/SKILL.md and go before those that come with pynchy. A
    group has those of the tier core, and what its `skills` name: tiers, skills, or *.

    Example: pynchy skills list main
    """
    context = here(ctx)
    found = skills.available(context.home, say)
    if group is not None:
        with open_store(context) as store:
            folder = groups.get(store.db, group).folder
        wanted = for_group(context.settings, folder).skills
        for name in skills.unknown(found, wanted):
            say(f"There is no skill and no tier of skills called {name}.")
        found = skills.chosen(found, wanted)
    if wants_json(as_json):
        print_lines(
            {"name": s.name, "tier": s.tier, "description": s.description, "path": str(s.folder)}
            for s in found
        )
    else:
        print_table(
            ("name", "tier", "path", "description"),
            ((s.name, s.tier, s.folder, s.description) for s in found),
            width(),
        )
