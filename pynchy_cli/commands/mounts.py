"""`pynchy mounts`: tells what of the host agents may see, and what of it stays hidden. It only
asks; what is mounted is said by the configuration and by the allowlist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from pynchy_cli.agent import extra_mounts
from pynchy_cli.agent.extra_mounts import Checked
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.commands.options import AnyLimit, OfGroup
from pynchy_cli.config.settings import MountRule
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import EXIT_DONE, EXIT_REFUSED
from pynchy_cli.model import Group
from pynchy_cli.output import print_json, print_lines, print_table, print_text, wants_json
from pynchy_cli.store import groups

app = typer.Typer(help="Tell what of the host agents may see.\n\nExample: pynchy mounts list")

COLUMNS = ("group", "host_path", "allowed", "readonly", "container_path", "reason")
JSON = typer.Option(False, "--json", help="Print JSON, on a terminal too.")


@app.command()
def check(
    ctx: typer.Context,
    path: str = typer.Argument(metavar="PATH", help="A folder or file of this machine."),
    group: str = typer.Option(..., metavar="NAME", help="Whose agents would see it."),
    write: bool = typer.Option(False, "--write", help="Ask to write there, too."),
    container_path: str = typer.Option(
        "", "--as", metavar="NAME", help="Its path below /workspace/extra; else its own name."
    ),
    as_json: bool = JSON,
) -> int:
    """Say whether a group's agents may see a path, or why not, and what of it would be hidden.

    Ends with 0 where it is allowed and with 3 where it is refused.

    Example: pynchy mounts check ~/notes --group work --write
    """
    context = here(ctx)
    with open_store(context) as store:
        found = groups.get(store.db, group)
    given = str(Path(path).absolute()) if not path.startswith("~") else path
    name = container_path or Path(given).expanduser().resolve().name or "root"
    rule = MountRule(host_path=given, container_path=name, readonly=not write)
    (checked,) = _checked(context, found, (rule,))
    if wants_json(as_json):
        print_json(_document(found, checked))
    else:
        _tell(checked, write)
    return EXIT_DONE if checked.verdict.allowed else EXIT_REFUSED


@app.command("list")
def list_mounts(
    ctx: typer.Context,
    group: OfGroup = None,
    named: str = typer.Option("", "--group", metavar="NAME", help="The same as GROUP."),
    limit: AnyLimit = None,
    as_json: bool = JSON,
) -> None:
    """List the mounts that the configuration names, and what becomes of each now.

    Example: pynchy mounts list --json | jq 'select(.allowed | not)'
    """
    context = here(ctx)
    with open_store(context) as store:
        whose = group or named
        chosen = [groups.get(store.db, whose)] if whose else groups.all(store.db)
    rows = [
        _document(one, checked)
        for one in chosen
        for checked in _checked(context, one, for_group(context.settings, one.folder).mounts)
    ]
    rows = rows[:limit]
    if wants_json(as_json):
        print_lines(rows)
        return
    print_table(
        ("group", "host path", "allowed", "read-only", "seen as", "why"),
        [[row[name] for name in COLUMNS] for row in rows],
    )


def _checked(context: Context, group: Group, rules: tuple[MountRule, ...]) -> list[Checked]:
    return extra_mounts.check(
        rules,
        extra_mounts.listed(context.home, context.environ),
        extra_mounts.places(context.home, context.environ),
        is_admin=group.is_admin,
        uid=context.settings.sandbox.uid_base + group.number,
    )


def _document(group: Group, checked: Checked) -> dict[str, Any]:
    verdict = checked.verdict
    return {
        "group": group.folder,
        "host_path": checked.rule.host_path,
        "allowed": verdict.allowed,
        "readonly": verdict.readonly,
        "container_path": verdict.target,
        "reason": verdict.reason,
        "masked": [path.removeprefix(f"{verdict.target}/") for path in checked.masks],
    }


def _tell(checked: Checked, write: bool) -> None:
    verdict = checked.verdict
    if not verdict.allowed:
        print_text(f"Refused: {verdict.reason}")
        return
    how = "read-only" if verdict.readonly else "read and write"
    print_text(f"Allowed, {how}, as {verdict.target}. {verdict.reason}")
    for path in checked.masks:
        print_text(f"  hidden: {path.removeprefix(f'{verdict.target}/')}")
