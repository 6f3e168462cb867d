"""`pynchy skills`: which skills there are, and which of them a group's agents have."""

from __future__ import annotations

from typing import Any

import typer

from pynchy_cli.agent import skills
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import AnyLimit, Id, Json, OfGroup
from pynchy_cli.config.files import read_text
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import UsageWrong
from pynchy_cli.output import print_facts, print_lines, print_table, say, wants_json, width
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
    group: OfGroup = None,
    limit: AnyLimit = None,
    as_json: Json = False,
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
    found = found[:limit]
    if wants_json(as_json):
        print_lines(_row(one) for one in found)
    else:
        print_table(
            ("name", "tier", "path", "description"),
            ((s.name, s.tier, s.folder, s.description) for s in found),
            width(),
        )


@app.command()
def show(ctx: typer.Context, id: Id, as_json: Json = False) -> None:
    """Show one skill: what it is for, where it is, who has it, and its text.

    Example: pynchy skills show python
    """
    context = here(ctx)
    found = skills.available(context.home, say)
    one = next((skill for skill in found if skill.name == id), None)
    if one is None:
        names = ", ".join(skill.name for skill in found)
        raise UsageWrong(f"There is no skill {id!r}. Known: {names or 'none'}.")
    with open_store(context) as store:
        folders = [group.folder for group in groups.all(store.db)]
    have = [
        folder
        for folder in folders
        if one in skills.chosen(found, for_group(context.settings, folder).skills)
    ]
    text = read_text(one.folder / skills.FILE)
    print_facts({**_row(one), "groups": have, "text": text}, as_json)


def _row(skill: skills.Skill) -> dict[str, Any]:
    about = {"name": skill.name, "tier": skill.tier, "description": skill.description}
    return {**about, "path": str(skill.folder)}
