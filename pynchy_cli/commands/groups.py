"""`pynchy groups`: adds, lists, shows and removes groups. A group's folder on disk is made
with it, and kept when it goes."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.config.home import make_group
from pynchy_cli.errors import EXIT_FAILED, UsageWrong
from pynchy_cli.model import Group, TriggerMode
from pynchy_cli.output import (
    print_facts,
    print_json,
    print_lines,
    print_table,
    print_text,
    say,
    wants_json,
)
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Connection

app = typer.Typer(help="Add, list, show and remove groups.\n\nExample: pynchy groups list")

NAME = typer.Argument(metavar="NAME", help="The group's name, which is its folder's too.")
JSON = typer.Option(False, "--json", help="Print JSON, on a terminal too.")


@app.command()
def add(
    ctx: typer.Context,
    name: str = NAME,
    chat: str = typer.Option("", metavar="JID", help="channel:name; else local:NAME."),
    admin: bool = typer.Option(False, "--admin", help="Trust it: it may change pynchy itself."),
    trigger: str = typer.Option("mention", help="mention (answers to @name) or always."),
    pattern: str = typer.Option("", metavar="WORD", help="A word after @ of its own."),
    allow: list[str] = typer.Option(
        ["owner"], metavar="USER", help="Who may speak to it; * is everyone. May be repeated."
    ),
    display_name: str = typer.Option("", metavar="TEXT", help="How people see it called."),
    as_json: bool = JSON,
) -> None:
    """Add a group: an agent with a folder and a memory of its own, that lives in one chat.

    Example: pynchy groups add work --chat local:work --trigger always
    """
    context = here(ctx)
    groups.require_folder(name)
    jid = chat or f"local:{name}"
    groups.require_jid(jid)
    mode, word = _trigger(trigger), groups.trigger_word(pattern) if pattern else None
    users = tuple(dict.fromkeys(_user(one) for one in allow))
    called = groups.display_name(display_name) or name.replace("-", " ").capitalize()
    with open_store(context) as store:
        groups.require_free(store.db, name, jid)
        make_group(context.home, name)
        with store.atomic() as db:
            group = groups.add(
                db,
                folder=name,
                name=called,
                jid=jid,
                is_admin=admin,
                trigger_mode=mode,
                trigger_pattern=word,
                allowed_users=users,
                now=clock.now(),
            )
        document = _document(store.db, group)
    if wants_json(as_json):
        print_json(document)
    else:
        print_text(f"Added the group {name} in {jid}. Its folder is {context.home.group(name)}.")


@app.command("list")
def list_groups(ctx: typer.Context, as_json: bool = JSON) -> None:
    """List all groups: a table, or one JSON object a line.

    Example: pynchy groups list --json | jq -r .folder
    """
    with open_store(here(ctx)) as store:
        rows = [_document(store.db, group) for group in groups.all(store.db)]
    if wants_json(as_json):
        print_lines(rows)
        return
    print_table(
        ("group", "name", "admin", "trigger", "chats"),
        [
            (row["folder"], row["name"], row["is_admin"], _answers(row), ", ".join(row["chats"]))
            for row in rows
        ],
    )


@app.command()
def show(ctx: typer.Context, name: str = NAME, as_json: bool = JSON) -> None:
    """Show one group, with where its folder is.

    Example: pynchy groups show main
    """
    context = here(ctx)
    with open_store(context) as store:
        document = _document(store.db, groups.get(store.db, name))
    document["path"] = str(context.home.group(name))
    print_facts(document, as_json)


@app.command()
def remove(
    ctx: typer.Context,
    name: str = NAME,
    yes: bool = typer.Option(False, "--yes", "-y", help="Don't ask."),
) -> int:
    """Remove a group with its runs, tasks and conversation. Its folder and what was said are kept.

    Example: pynchy groups remove work --yes
    """
    context = here(ctx)
    with open_store(context) as store:
        group = groups.get(store.db, name)
        if not yes and not _confirmed(group):
            say("Nothing was changed.")
            return EXIT_FAILED
        with store.atomic() as db:
            groups.remove(db, name)
    say(f"Removed the group {name}. Its folder {context.home.group(name)} is kept.")
    return 0


def _confirmed(group: Group) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageWrong(f"Removing {group.folder!r} needs --yes where nobody can be asked.")
    return typer.confirm(f"Remove the group {group.folder} ({group.jid})?", err=True)


def _trigger(text: str) -> TriggerMode:
    if text == "mention":
        return "mention"
    if text == "always":
        return "always"
    raise UsageWrong(f"--trigger must be mention or always, not {text!r}.")


def _user(text: str) -> str:
    if not text or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise UsageWrong(f"--allow must be *, owner or a user such as slack:U123, not {text!r}.")
    return text


def _answers(row: dict[str, Any]) -> str:
    if row["trigger_mode"] == "always":
        return "always"
    return f"@{row['trigger_pattern']}" if row["trigger_pattern"] else "mention"


def _document(db: Connection, group: Group) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(group)
    return {**document, "chats": groups.chats(db, group.folder)}
