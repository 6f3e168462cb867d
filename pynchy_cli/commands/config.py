"""`pynchy config`: tells whether the configuration is well, and what is in force."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pynchy_cli.agent import advice
from pynchy_cli.changes import look, note, require_usable
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.commands.options import Json, named
from pynchy_cli.config.load import config_hash, shown, shown_rules
from pynchy_cli.config.sections import NAMED
from pynchy_cli.errors import ConfigInvalid, PynchyError
from pynchy_cli.model import Group
from pynchy_cli.output import print_json, print_line, print_text, say, wants_json
from pynchy_cli.store import groups

app = typer.Typer(help="Check and show the configuration.\n\nExample: pynchy config check")


@app.command()
def check(
    ctx: typer.Context,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Read config.toml, .env and the environment, and say what is wrong with them.

    Directives, skills, tools and groups that they name and that aren't there are said, too.

    Ends with 0 where all is well, with 100 where something can't be used.

    Example: pynchy config check
    """
    context = here(ctx)
    digest = config_hash(context.settings)
    home = context.home
    require_usable(context.settings, home.root)
    if home.env.exists() and home.env.stat().st_mode & 0o077:
        say(f"{home.env} can be read by others. `chmod 600 {home.env}` keeps it to yourself.")
    notes = advice.notes(home, context.settings, _groups(context))
    for sentence in notes:
        say(sentence)
    read = [str(path) for path in (home.config, home.env) if path.exists()]
    if wants_json(as_json):
        found = {"home": str(home.root), "files": read, "config_hash": digest, "notes": notes}
        print_json({"ok": True, **found})
    else:
        print_text(f"The configuration is well ({', '.join(read) or 'all defaults'}).")


@app.command()
def changed(
    ctx: typer.Context,
    tell: Annotated[
        bool, typer.Option("--tell", help="Note it for `status`, and tell the admin group.")
    ] = False,
    only: Annotated[str | None, typer.Option(metavar="STAGES", help="As in `pynchy up`.")] = None,
    left_out: Annotated[
        str | None, typer.Option("--except", metavar="STAGES", help="As in `pynchy up`.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Look so long at what is wrong.")
    ] = 0.0,
    as_json: Json = False,
) -> None:
    """Tell which stages should run by the configuration as it is now, and which of those that run
    must start again because they have read something else.

    `pynchy up` asks this whenever a file of the configuration was changed. Ends with 100 where it
    can't be used; nothing is restarted then.

    Example: pynchy config changed
    """
    context = here(ctx)
    with open_store(context) as store:
        try:
            stages = named(only), named(left_out) or ()
            found = look(context.home, context.environ, store, *stages, patience=wait)
        except ConfigInvalid as error:
            if tell:
                note(context.home, store, error)
            raise
        if tell:
            note(context.home, store, None)
    if wants_json(as_json):
        print_line(found.document())
        return
    print_text(f"Should run: {', '.join(found.services) or 'nothing'}.")
    print_text(f"To be started again: {', '.join(found.concerned) or 'nothing'}.")


@app.command()
def show(
    ctx: typer.Context,
    group: str | None = typer.Option(None, metavar="NAME", help="Only what holds for this group."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show every setting that is in force. Secrets are only said to be set, or not.

    With --group, what holds for that group of what can be said by [defaults], a profile and
    the group's own section.

    Example: pynchy config show --json
    """
    settings = here(ctx).settings
    document = shown(settings) if group is None else shown_rules(settings, group)
    if wants_json(as_json):
        print_json(document)
        return
    for section, values in _flat(document).items():
        print_text(f"[{section}]")
        for key, value in values.items():
            if value is not None:
                # A string, a number and a list of them look the same in TOML as in JSON.
                print_text(f"{key} = {json.dumps(value, ensure_ascii=False)}")


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """The sections by the names that they are written with."""
    found = {}
    for section, values in document.items():
        if section in NAMED:
            found.update({f"{section}.{name}": rules for name, rules in values.items()})
        else:
            found[section] = values
    return found


def _groups(context: Context) -> list[Group] | None:
    """The groups that there are; None where there is no database that can tell."""
    try:
        with open_store(context) as store:
            return groups.all(store.db)
    except PynchyError:
        return None
