"""`pynchy sessions`: lists and shows conversations with the model, begins them anew, and writes
down what was said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pynchy_cli import clock, locks
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import AnyLimit, Json, OfGroup, last
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import SessionUnknown
from pynchy_cli.model import CHAT_LANE, Session
from pynchy_cli.output import (
    print_facts,
    print_json,
    print_lines,
    print_table,
    print_text,
    say,
    wants_json,
)
from pynchy_cli.store import conversations, groups, outbound, processes, sessions, steering
from pynchy_cli.store.connection import Connection
from pynchy_cli.tui import export as exporting
from pynchy_cli.tui.lines import as_row

app = typer.Typer(
    help="List, show, reset and export conversations with the model.\n\n"
    "Example: pynchy sessions list"
)

Name = Annotated[str, typer.Argument(metavar="GROUP", help="The group's name.")]
Lane = Annotated[str, typer.Option(metavar="LANE", help="Which of the group's conversations.")]


@app.command("list")
def list_sessions(
    ctx: typer.Context, group: OfGroup = None, limit: AnyLimit = None, as_json: Json = False
) -> None:
    """List all conversations, with the sandboxes that are warm for them.

    The one used last comes last: a table, or one JSON object a line.

    Example: pynchy sessions list
    """
    context = here(ctx)
    with open_store(context) as store:
        folder = groups.get(store.db, group).folder if group else None
        found = sorted(sessions.all(store.db, folder), key=lambda one: one.last_used_at or "")
        rows = [_row(context.home, one) for one in last(found, limit)]
    if wants_json(as_json):
        print_lines(rows)
        return
    headers = ("group", "lane", "session", "sandbox", "owner lives", "last used")
    print_table(headers, [_cells(row) for row in rows])


@app.command()
def show(ctx: typer.Context, group: Name, lane: Lane = CHAT_LANE, as_json: Json = False) -> None:
    """Show one conversation, its sandbox and its runs.

    Example: pynchy sessions show main
    """
    context = here(ctx)
    with open_store(context) as store:
        session = _known(store.db, group, lane)
        at_work = steering.at_work(store.db, group, lane)
        waiting = steering.waiting(store.db, group, lane)
    document = {
        **_row(context.home, session),
        "folder": session.folder,
        "output_offset": session.output_offset,
        "run_at_work": at_work.id if at_work else None,
        "run_waiting": waiting.id if waiting else None,
    }
    print_facts(document, as_json)


@app.command()
def reset(ctx: typer.Context, group: Name, lane: Lane = CHAT_LANE, as_json: Json = False) -> None:
    """Forget a conversation, so that the next message begins a new one.

    What was said stays stored. It is what `reset context` does in the chat. A turn at work is
    finished still, and so is what waits; `pynchy stop` and `pynchy runs cancel` end those.

    Example: pynchy sessions reset main
    """
    with open_store(here(ctx)) as store:
        _known(store.db, group, lane)
        now = clock.now()
        with store.atomic() as db:
            # What is not routed yet comes after the reset, so that none of it is passed over.
            where = groups.get(db, group)
            conversations.reset(db, group, lane, where.routed_seq, now)
            if lane == CHAT_LANE:
                key = f"reset:{group}:{now}"
                outbound.say(
                    db,
                    key=key,
                    chat_jid=where.jid,
                    content=conversations.FORGOTTEN,
                    source="host",
                    now=now,
                    group_folder=group,
                )
        session = sessions.get(store.db, group, lane)
    if wants_json(as_json):
        print_json({"ok": True, "group": group, "lane": lane, "generation": session.generation})
    else:
        print_text(f"Forgotten. The next message to {group} begins a new conversation.")


@app.command()
def export(
    ctx: typer.Context,
    group: Name,
    file: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="A new file, else here.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON objects, one a line.")] = False,
) -> None:
    """Write down what was said in a group's chats.

    It is Markdown with tool calls as short lines, or with --json one JSON object for each row. A
    file that is there is not overwritten.

    Example: pynchy sessions export main -o talk.md
    """
    context = here(ctx)
    with open_store(context) as store:
        where = groups.get(store.db, group)
        found = exporting.said(store.db, context.home, groups.chats(store.db, group))
        if file:
            text = exporting.as_markdown(where, found, clock.now())
            exporting.write(Path(file), exporting.as_ndjson(found) if as_json else text)
            say(f"Written to {file}.")
        elif as_json:
            print_lines(as_row(*one) for one in found)
        else:
            for piece in exporting.as_markdown(where, found, clock.now()):
                print_text(piece)


def _known(db: Connection, group: str, lane: str) -> Session:
    """The conversation of a group that there is. Raises GroupUnknown, SessionUnknown."""
    groups.get(db, group)
    lanes = [one.lane for one in sessions.all(db, group)]
    if lane != CHAT_LANE and lane not in lanes:
        there = ", ".join(dict.fromkeys([CHAT_LANE, *lanes]))
        raise SessionUnknown(f"{group} has no conversation in the lane {lane!r}. Known: {there}.")
    return sessions.get(db, group, lane)


def _row(home: Home, session: Session) -> dict[str, Any]:
    owner = session.owner
    lives = None if owner is None else locks.is_held(processes.owner_lock(home.locks, owner))
    return {
        "group": session.group_folder,
        "lane": session.lane,
        "session_id": session.session_id,
        "generation": session.generation,
        "sandbox": session.sandbox,
        "owner": owner,
        "owner_alive": lives,
        "last_used_at": session.last_used_at,
    }


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    used = row["last_used_at"]
    when = clock.parse(used).astimezone().strftime("%m-%d %H:%M:%S") if used else None
    names = ("group", "lane", "session_id", "sandbox", "owner_alive")
    return (*(row[name] for name in names), when)
