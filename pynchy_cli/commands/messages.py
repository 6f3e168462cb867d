"""`pynchy messages`: lists and shows what was said, as rows."""

from __future__ import annotations

from typing import Any

import typer

from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import Id, Json, Limit, OfGroup
from pynchy_cli.model import Message
from pynchy_cli.output import (
    print_facts,
    print_json,
    print_lines,
    print_table,
    print_text,
    wants_json,
    width,
)
from pynchy_cli.store import groups, messages, runs
from pynchy_cli.store.connection import Connection
from pynchy_cli.tui.lines import as_row, attached

app = typer.Typer(help="List and show what was said.\n\nExample: pynchy messages list main")
HEADERS = ("id", "at", "chat", "sender", "type", "run", "what")


@app.command("list")
def list_messages(
    ctx: typer.Context, group: OfGroup = None, limit: Limit = 20, as_json: Json = False
) -> None:
    """List the newest messages: what people said, what was answered, and what agents do.

    The oldest of them comes first: a table, or one JSON object a line. `pynchy tail` shows them
    as a talk, and as they come.

    Example: pynchy messages list main -n 100
    """
    context = here(ctx)
    with open_store(context) as store:
        jids = groups.chats(store.db, groups.get(store.db, group).folder) if group else None
        found = messages.last(store.db, jids, limit)
        rows = [as_row(one, attached(store.db, context.home, one)) for one in found]
    if wants_json(as_json):
        print_lines(rows)
    else:
        print_table(HEADERS, [_cells(row) for row in rows], width())


@app.command()
def show(ctx: typer.Context, id: Id, as_json: Json = False) -> None:
    """Show one message: its row, what it says now if it was edited, and the runs that have it.

    ID is its place (`list` shows it; message:17 means the same), or what its network calls it.
    `pynchy why` tells what became of it.

    Example: pynchy messages show 17
    """
    # What names something is known to what tells its story, which takes a while to load.
    from pynchy_cli.routing import subjects

    context = here(ctx)
    with open_store(context) as store:
        name = id if id.startswith("message:") else f"message:{id}"
        found = messages.get(store.db, int(subjects.find(store.db, name)[1]))
        assert found is not None, "a message that was found"
        (message,) = messages.with_files(store.db, [found])
        files = attached(store.db, context.home, message)
        document = {**as_row(message, files), **_more(store.db, message)}
    if wants_json(as_json):
        print_json(document)
        return
    said = document.pop("content")
    print_facts(document, as_json)
    # Marked, so that none of it can pass for a line of ours.
    print_text("\n".join(f"> {line}" for line in str(said).splitlines()))


def _more(db: Connection, message: Message) -> dict[str, Any]:
    group = groups.by_chat(db, message.chat_jid)
    covering = runs.covering(db, group.folder, message) if group is not None else []
    done = messages.changes(db, message.seq)
    return {
        "group": group.folder if group is not None else None,
        "received_at": message.received_at,
        "thread": message.thread or None,
        "audience": message.audience,
        "replaces": message.replaces,
        "changes": [{"seq": one.seq, "type": one.message_type} for one in done],
        "runs": [run.id for run in covering],
        "shared": [
            {"name": one.name, "state": one.state, "path": one.path} for one in message.files
        ],
    }


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    kind = row["type"] if row["verdict"] == "allowed" else f"{row['type']} ({row['verdict']})"
    at = str(row["timestamp"])[5:19].replace("T", " ")
    return (row["seq"], at, row["chat"], row["sender_name"], kind, row["run"], row["content"])
