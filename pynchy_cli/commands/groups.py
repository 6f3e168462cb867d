"""`pynchy groups`: adds, lists, shows and removes groups, and says where they live and who may
speak to them. A group's folder on disk is made with it, and kept when it goes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import typer

from pynchy_cli import clock, plugins
from pynchy_cli.commands.app import Context, here, open_store
from pynchy_cli.commands.options import AnyLimit, last
from pynchy_cli.config import phones
from pynchy_cli.config.channels import KINDS, configured, section_of
from pynchy_cli.config.home import make_group
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import EXIT_FAILED, PluginBroken, PluginUnknown, UsageWrong
from pynchy_cli.model import Chat, Group, TriggerMode
from pynchy_cli.output import (
    plain,
    print_facts,
    print_json,
    print_lines,
    print_table,
    print_text,
    say,
    wants_json,
)
from pynchy_cli.security.senders import SHELL_CHANNELS, unknown_names
from pynchy_cli.store import chats, groups, naming, offers
from pynchy_cli.store.connection import Connection

app = typer.Typer(help="Add, list, show, change and remove groups.\n\nExample: pynchy groups list")

NAME = typer.Argument(metavar="NAME", help="The group's name, which is its folder's too.")
JSON = typer.Option(False, "--json", help="Print JSON, on a terminal too.")


CHAT = typer.Argument(metavar="JID", help="The chat's address, such as slack:C0123.")
USERS = typer.Argument(metavar="USER...", help="owner, slack:U0123, a list of [people], or *.")
LISTED = 1000
"""Chats of no group that are listed at most."""


@app.command()
def add(
    ctx: typer.Context,
    name: str = typer.Argument(metavar="NAME|JID", help="The group's name, or its chat's address."),
    folder: str = typer.Option("", metavar="NAME", help="The group's name, for a chat's address."),
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

    Example: pynchy groups add slack:C0123 --folder dev
    """
    context = here(ctx)
    name, jid = _named(name, folder, chat)
    jid = phones.chat(jid)
    groups.require_folder(name)
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
            _bring(db, context, jid)
        document = _document(store.db, group)
    if wants_json(as_json):
        print_json(document)
    else:
        print_text(f"Added the group {name} in {jid}. Its folder is {context.home.group(name)}.")
    _note_users(context, group)


def _named(name: str, folder: str, chat: str) -> tuple[str, str]:
    """The group's name and its chat, however they were given. Raises UsageWrong."""
    if ":" not in name:
        if folder:
            raise UsageWrong("--folder names the group of a chat: pynchy groups add JID --folder.")
        return name, chat or f"local:{name}"
    if chat:
        raise UsageWrong(f"{name} is a chat already; leave --chat {chat} out.")
    if not folder:
        raise UsageWrong(f"How is it to be called? pynchy groups add {name} --folder NAME.")
    return folder, name


def _bring(db: Connection, context: Context, jid: str) -> None:
    """Have the network's connection deliver to a chat, and say where there is none."""
    kind, known = Chat(jid).channel, configured(context.settings)
    if kind in SHELL_CHANNELS:
        return
    alike = [channel for channel in known if section_of(channel)[0] == kind]
    if not alike and not _is_plugin(kind, context.settings):
        say(f"No channel {kind} is configured, so nothing comes from {jid} or gets there yet.")
    elif len(alike) == 1 and chats.channel_of(db, jid) not in known:
        chats.claim(db, jid, alike[0], None, clock.now())


def _is_plugin(channel: str, settings: Settings) -> bool:
    """Whether something else than a section of ours brings such a channel."""
    if channel in KINDS:
        return False
    try:
        plugins.channel(channel, settings)
    except (PluginUnknown, PluginBroken):
        return False
    return True


@app.command()
def link(ctx: typer.Context, name: str = NAME, jid: str = CHAT, as_json: bool = JSON) -> None:
    """Let a group live in a further chat: one conversation, shown in all of its chats.

    What was said there before is not read. Who may speak there are the group's users.

    Example: pynchy groups link dev slack:C0456
    """
    context, jid = here(ctx), phones.chat(jid)
    with open_store(context) as store:
        with store.atomic() as db:
            groups.link(db, name, jid, clock.now())
            _bring(db, context, jid)
        document = _document(store.db, groups.get(store.db, name))
    _tell(document, f"{name} lives in {_places(document)} now.", as_json)


@app.command()
def unlink(ctx: typer.Context, name: str = NAME, jid: str = CHAT, as_json: bool = JSON) -> None:
    """Let a group leave a chat, which belongs to no group then. What was said there is kept.

    Example: pynchy groups unlink dev slack:C0456
    """
    jid = phones.chat(jid)
    with open_store(here(ctx)) as store:
        with store.atomic() as db:
            groups.unlink(db, name, jid)
        document = _document(store.db, groups.get(store.db, name))
    _tell(document, f"{name} lives in {_places(document)} now.", as_json)


@app.command()
def allow(
    ctx: typer.Context, name: str = NAME, users: list[str] = USERS, as_json: bool = JSON
) -> None:
    """Let people speak to a group, from their next message on.

    Example: pynchy groups allow dev slack:U0123 family
    """
    _let_speak(here(ctx), name, users, (), as_json)


@app.command()
def deny(
    ctx: typer.Context, name: str = NAME, users: list[str] = USERS, as_json: bool = JSON
) -> None:
    """Let people no longer speak to a group. What they said before stays said.

    Example: pynchy groups deny dev slack:U0123
    """
    _let_speak(here(ctx), name, (), users, as_json)


def _let_speak(
    context: Context, name: str, more: Sequence[str], less: Sequence[str], as_json: bool
) -> None:
    more, less = [_user(one) for one in more], [_user(one) for one in less]
    with open_store(context) as store:
        with store.atomic() as db:
            before = groups.get(db, name).allowed_users
            if strange := [user for user in less if user not in before]:
                raise UsageWrong(
                    f"{', '.join(strange)} can't be taken off: {name} listens to {_listed(before)}."
                )
            kept = [user for user in dict.fromkeys((*before, *more)) if user not in less]
            group = groups.let_speak(db, name, kept)
        document = _document(store.db, group)
    _tell(document, f"{name} listens to {_listed(kept)} now.", as_json)
    _note_users(context, group)


def _note_users(context: Context, group: Group) -> None:
    """Say which of a group's users mean somebody else than one may think."""
    for note in unknown_names(Settings(people=context.settings.people), [group]):
        if note.startswith("The users"):
            say(note)


def _tell(document: dict[str, Any], words: str, as_json: bool) -> None:
    if wants_json(as_json):
        print_json(document)
    else:
        print_text(words)


def _listed(users: Sequence[str]) -> str:
    return ", ".join(users) or "nobody"


@app.command("chats")
def list_chats(ctx: typer.Context, as_json: bool = JSON) -> None:
    """List the chats of no group: somebody spoke there, or we were invited. Nobody is answered.

    `approval` is the id under which the admin group was asked, while it is undecided.

    Example: pynchy groups chats
    """
    with open_store(here(ctx)) as store:
        asked = offers.undecided(store.db)
        rows = [
            {
                "jid": chat.jid,
                "name": chat.name,
                "last_message_at": last,
                "approval": asked.get(chat.jid),
            }
            for chat, last in chats.of_nobody(store.db, LISTED)
        ]
    if wants_json(as_json):
        print_lines(rows)
        return
    print_table(
        ("chat", "name", "last spoken in", "approval"), [tuple(row.values()) for row in rows]
    )


@app.command()
def sync(ctx: typer.Context, as_json: bool = JSON) -> None:
    """Have channels be asked for the names of their chats now; each is asked once a day anyway.

    Example: pynchy groups sync; pynchy groups chats
    """
    with open_store(here(ctx)) as store, store.atomic() as db:
        asked = naming.ask(db, clock.now())
    if wants_json(as_json):
        print_json({"channels": asked})
    elif asked:
        print_text(f"{', '.join(asked)}: asked, as soon as it is connected.")
    else:
        print_text("No channel can be asked yet: names come with its first connection.")


@app.command("list")
def list_groups(ctx: typer.Context, limit: AnyLimit = None, as_json: bool = JSON) -> None:
    """List the groups, the newest last: a table, or one JSON object a line.

    Example: pynchy groups list --json | jq -r .folder
    """
    with open_store(here(ctx)) as store:
        rows = [_document(store.db, group) for group in last(groups.all(store.db), limit)]
        free = [chat for chat, _ in chats.of_nobody(store.db, LISTED)]
    if away := [chat for chat in free if chat.channel not in SHELL_CHANNELS]:
        many = "1 chat belongs" if len(away) == 1 else f"{len(away)} chats belong"
        say(f"{many} to no group: `pynchy groups chats` lists them.")
    if wants_json(as_json):
        print_lines(rows)
        return
    print_table(
        ("group", "name", "admin", "trigger", "chats"),
        [
            (row["folder"], row["name"], row["is_admin"], _answers(row), _places(row))
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
    text = phones.require_user(text)
    if not text or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise UsageWrong(f"--allow must be *, owner or a user such as slack:U123, not {text!r}.")
    return text


def _answers(row: dict[str, Any]) -> str:
    if row["trigger_mode"] == "always":
        return "always"
    return f"@{row['trigger_pattern']}" if row["trigger_pattern"] else "mention"


def _document(db: Connection, group: Group) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(group)
    found = groups.chats(db, group.folder)
    return {"group": group.folder, **document, "chats": found, "chat_names": chats.names(db, found)}


def _places(row: dict[str, Any]) -> str:
    """A group's chats, with what their networks call them."""
    names = row["chat_names"]
    called = [f"{jid} ({names[jid]})" if jid in names else jid for jid in row["chats"]]
    return plain(", ".join(called))
