"""`pynchy outbox`: shows replies that didn't get to their chats, has them be sent again, and gives
them up."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from pynchy_cli import clock
from pynchy_cli.commands.app import here, open_store
from pynchy_cli.commands.options import Json, Limit, OfGroup
from pynchy_cli.delivery import orders, telling
from pynchy_cli.delivery.orders import Ordered
from pynchy_cli.errors import EXIT_DONE, EXIT_FAILED, UsageWrong
from pynchy_cli.model import Delivery
from pynchy_cli.output import (
    in_words,
    plain,
    print_json,
    print_lines,
    print_table,
    print_text,
    say,
    wants_json,
    width,
)
from pynchy_cli.store import groups, processes, undelivered
from pynchy_cli.store.connection import Connection, Store
from pynchy_cli.tui.follow import not_running

app = typer.Typer(
    help="See to replies that didn't get to their chats.\n\nExample: pynchy outbox list"
)

State = Literal["pending", "sending", "sent", "unknown", "dead", "dropped"]
Number = Annotated[
    int,
    typer.Argument(metavar="ID", min=1, max=sys.maxsize, help="Its number, as `list` shows it."),
]
SomeNumber = Annotated[
    int | None,
    typer.Argument(metavar="ID", min=1, max=sys.maxsize, help="Its number, as `list` shows it."),
]
Chat = Annotated[str | None, typer.Option(metavar="JID", help="Only to this chat.")]
Everything = Annotated[
    bool, typer.Option("--all", help="All that are dead, or of which nobody knows.")
]
HEADERS = ("id", "state", "chat", "age", "tries", "next try", "error", "content")
STAGE = "listen@"
ERROR = 60
"""Characters of an error, in a table."""
WORDS = {
    "sent": "Reply {id} is sent to {chat}.",
    "sought": (
        "Reply {id} may be in {chat} already: it is looked for there first, and sent where it "
        "isn't. If {chat} can't be asked, it goes on waiting; --again sends it all the same."
    ),
    "again": "Reply {id} is sent to {chat}, though it may be there already.",
    "dropped": "Reply {id} is given up for {chat}.",
}


@app.command("list")
def list_deliveries(
    ctx: typer.Context,
    group: OfGroup = None,
    state: Annotated[
        State | None, typer.Option(help="Those in this state; else all not sent or dropped.")
    ] = None,
    chat: Chat = None,
    limit: Limit = 200,
    as_json: Json = False,
) -> None:
    """List the replies that didn't get to their chats yet, or never will.

    The oldest comes first: a table, or one JSON object a line. `pending` ones wait for their next
    try; of `unknown` ones nobody knows whether they got there; `dead` ones are not tried any more.

    Example: pynchy outbox list --state dead
    """
    with open_store(here(ctx)) as store:
        folder = groups.get(store.db, group).folder if group else None
        found = undelivered.listed(store.db, state=state, folder=folder, chat_jid=chat, limit=limit)
    rows = [telling.row(one) for one in found]
    if wants_json(as_json):
        print_lines(rows)
    else:
        print_table(HEADERS, [_cells(row, clock.now()) for row in rows], width())


@app.command()
def show(ctx: typer.Context, id: Number, as_json: Json = False) -> None:
    """Show one reply, how it stands in each chat, and the messages by which it is shown there.

    Example: pynchy outbox show 12
    """
    with open_store(here(ctx)) as store:
        document = telling.document(store.db, orders.of_reply(store.db, id))
    if wants_json(as_json):
        print_json(document)
    else:
        _print(document)


@app.command()
def retry(
    ctx: typer.Context,
    id: SomeNumber = None,
    chat: Chat = None,
    everything: Everything = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send it even if it may be there already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have a reply be tried again now.

    What may be in its chat already is looked for there first. Where a chat can't be asked, a reply
    of which nobody knows goes on waiting, unless you say --again.

    Example: pynchy outbox retry 12 --again
    """
    _require_choice(id, everything)
    with open_store(here(ctx)) as store:
        with store.atomic() as db:
            done = orders.retry(db, _wanted(db, id, chat), again=again)
        _tell(done, as_json)
        _tell_absent(ctx, store, done)


@app.command()
def drop(
    ctx: typer.Context,
    id: SomeNumber = None,
    chat: Chat = None,
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> int:
    """Give a reply up: it is not tried any more, and not listed. What is in its chat stays.

    Refused while it is just being sent.

    Example: pynchy outbox drop --all --chat slack:C0123456789 --yes
    """
    _require_choice(id, everything)
    with open_store(here(ctx)) as store:
        wanted = _wanted(store.db, id, chat)
        if wanted and not yes and not _confirmed(wanted):
            say("Nothing was changed.")
            return EXIT_FAILED
        with store.atomic() as db:
            done = orders.drop(db, wanted, _running(ctx, db))
    _tell(done, as_json)
    return EXIT_DONE


def _require_choice(id: int | None, everything: bool) -> None:
    if (id is None) != everything:
        raise UsageWrong("Name a reply by its number, or say --all.")


def _wanted(db: Connection, id: int | None, chat: str | None) -> list[Delivery]:
    return undelivered.given_up(db, chat_jid=chat) if id is None else orders.chosen(db, id, chat)


def _confirmed(wanted: Sequence[Delivery]) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageWrong("Giving replies up needs --yes where nobody can be asked.")
    chats = ", ".join(dict.fromkeys(one.chat_jid for one in wanted))
    what = f"reply {wanted[0].reply.id}" if len(wanted) == 1 else f"{len(wanted)} deliveries"
    return typer.confirm(plain(f"Give up {what} to {chats}?"), err=True)


def _tell(done: Sequence[Ordered], as_json: bool) -> None:
    if wants_json(as_json):
        print_lines(
            {"ok": True, "id": one.delivery.reply.id, "chat": one.delivery.chat_jid}
            | {"was": one.delivery.state, "becomes": one.becomes}
            for one in done
        )
    elif not done:
        print_text("Nothing waits for you.")
    for one in () if wants_json(as_json) else done:
        words = WORDS[one.becomes]
        print_text(words.format(id=one.delivery.reply.id, chat=one.delivery.chat_jid))


def _tell_absent(ctx: typer.Context, store: Store, done: Sequence[Ordered]) -> None:
    needed = sorted({one.delivery.channel for one in done} - _running(ctx, store.db))
    if needed:
        say(f"That waits: {not_running([STAGE + channel for channel in needed])}.")


def _running(ctx: typer.Context, db: Connection) -> set[str]:
    """The channels that somebody runs."""
    stages = [one.stage for one in processes.alive(db, here(ctx).home.locks)]
    return {stage.removeprefix(STAGE) for stage in stages if stage.startswith(STAGE)}


def _cells(row: dict[str, Any], now: str) -> tuple[Any, ...]:
    due, error = row["next_attempt_at"], row["error"]
    return (
        *(row["id"], row["state"], row["chat"], _span(row["created_at"], now), row["attempts"]),
        f"in {_span(now, due)}" if due is not None and due > now else None,
        error if error is None or len(error) <= ERROR else f"{error[:ERROR]}…",
        row["content"],
    )


def _span(since: str, until: str) -> str:
    """A time span in its largest unit, such as `5 min`."""
    seconds = max(0, int(clock.seconds_between(since, until)))
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {word}"
    return f"{seconds} s"


def _print(document: dict[str, Any]) -> None:
    for name, value in document.items():
        if name not in ("content", "deliveries"):
            print_text(f"{name}: {in_words(value)}")
    for one in document["deliveries"]:
        print_text(f"to {one['chat']}: {one['state']}")
        for name, value in one.items():
            if name not in ("chat", "state", "parts") and value is not None:
                print_text(f"  {name}: {in_words(value)}")
        for part in one["parts"]:
            again = ", sent once more" if part["again"] else ""
            print_text(f"  part {part['number']}: {part['state']} {part['remote_id'] or ''}{again}")
    # Marked, so that none of it can pass for a line of ours.
    print_text("\n".join(f"> {line}" for line in document["content"].splitlines()))
