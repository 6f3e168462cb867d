"""`pynchy config`: tells whether the configuration is well, and what is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pynchy_cli.agent import advice
from pynchy_cli.changes import look, note, unusable
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.commands.options import Json, named
from pynchy_cli.config import origins, rights, template
from pynchy_cli.config.load import config_hash, problems, read, shown, shown_rules
from pynchy_cli.config.values import as_toml
from pynchy_cli.errors import EXIT_BROKEN, EXIT_DONE, ConfigInvalid, PynchyError
from pynchy_cli.install import applying, systemd
from pynchy_cli.model import Group
from pynchy_cli.output import print_json, print_line, print_text, say, wants_json
from pynchy_cli.store import groups

app = typer.Typer(help="Check and show the configuration.\n\nExample: pynchy config check")


@app.command()
def check(
    ctx: typer.Context,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> int:
    """Read config.toml, .env and the environment, and say all that is wrong with them.

    Directives, skills, tools and groups that they name and that aren't there are said, too, and
    who else may read or change the files.

    Ends with 0 where all is well, with 100 where something can't be used.

    Example: pynchy config check
    """
    context = here(ctx)
    home = context.home
    files = [str(path) for path in (home.config, home.env) if path.exists()]
    told = {"ok": True, "home": str(home.root), "files": files, **_checked(context)}
    for problem in told["problems"]:
        say(f"pynchy: {problem}")
    for sentence in told["notes"]:
        say(sentence)
    if told["problems"]:
        message = told["problems"][0]
        told |= {"ok": False, "error": {"code": ConfigInvalid().name, "message": message}}
    if wants_json(as_json):
        print_json(told)
    elif told["ok"]:
        print_text(f"The configuration is well ({', '.join(files) or 'all defaults'}).")
    return EXIT_DONE if told["ok"] else EXIT_BROKEN


def _checked(context: Context) -> dict[str, Any]:
    """What can't be used (`problems`), and what should be looked at (`notes`)."""
    home = context.home
    wrong = problems(home, context.environ)
    if wrong:
        return {"config_hash": None, "problems": wrong, "notes": rights.notes(home, {})}
    settings, origins = read(home, context.environ)
    wrong = [*unusable(settings, home.root)]
    notes = rights.notes(home, origins) + advice.notes(home, settings, _groups(context))
    digest = None if wrong else config_hash(settings)
    return {"config_hash": digest, "problems": wrong, "notes": notes}


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
    """Tell which stages a changed configuration concerns.

    Those that should run by the configuration as it is now, and which of those that run
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
    origin: bool = typer.Option(False, "--origin", help="Say where each value comes from, too."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show every setting that is in force. Secrets are only said to be set, or not.

    With --origin, each with where it comes from: default, a line of config.toml or .env, or a
    variable of the environment. With --group, what holds for that group of what can be said by
    [defaults], a profile and the group's own section.

    Example: pynchy config show --origin
    """
    context = here(ctx)
    settings, found = read(context.home, context.environ)
    if origin:
        document = (
            origins.of_all(settings, found)
            if group is None
            else origins.of_group(settings, found, group)
        )
    else:
        document = shown(settings) if group is None else shown_rules(settings, group)
    if wants_json(as_json):
        print_json(document)
        return
    for section, values in [*document.items()] if group else [*origins.tables(document)]:
        print_text(f"[{section}]")
        for key, value in values.items():
            print_text(_line(section, key, value, told=origin))


def _line(section: str, key: str, value: Any, *, told: bool) -> str:
    """A setting as TOML has it; one that isn't set as a comment."""
    plain = value["value"] if told else value
    line = f"# {key}: not set" if plain is None else f"{key} = {as_toml(plain)}"
    return f"{line}  # {origins.in_words(value, section)}" if told else line


@app.command("template")
def full_template() -> None:
    """Print a config.toml that changes nothing, and has every setting with its explanation.

    Example: pynchy config template > config.toml
    """
    print_text(template.config_toml().rstrip("\n"))


def _groups(context: Context) -> list[Group] | None:
    """The groups that there are; None where there is no database that can tell."""
    try:
        with open_store(context) as store:
            return groups.all(store.db)
    except PynchyError:
        return None


@app.command()
def apply(
    ctx: typer.Context,
    user: bool = typer.Option(False, "--user", help="The units of your own systemd."),
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Leave there what is to be done, for a unit to do it."),
    ] = None,
) -> None:
    """Have systemd's units take over what was changed in the configuration.

    It is checked first; where something is wrong everything stays as it is, and the exit code is
    100. `pynchy install systemd` makes a unit that does this by itself after each change, and
    `pynchy up` needs nothing.

    Example: pynchy config apply --user
    """
    context = here(ctx)
    manager = systemd.Manager("user" if user else "system", context.environ, Path.home())
    if plan is not None:
        applying.begin(plan)
    found = applying.changed(context.home, context.environ)
    each_stage = manager.is_each_stage()
    orders = applying.orders(found, manager.enabled(), each_stage=each_stage)
    if plan is not None:
        applying.leave(plan, found, orders, each_stage=each_stage)
        return
    for verb, unit in orders:
        manager.call(verb, unit)
    concerned = ", ".join(found["concerned"])
    say(f"Applied; started again: {concerned}." if concerned else "Applied; nothing is concerned.")
