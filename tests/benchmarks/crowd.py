"""Twenty chats that talk at once: how many answers a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.model import NewMessage
from pynchy_cli.store import Store, messages
from pynchy_cli.watch import Watcher
from tests.benchmarks.place import Place, place

CHATS = 20
ROUNDS = 10


def figures() -> Iterator[str]:
    """The lines to print."""
    crowd = {
        "PYNCHY_QUEUE__MAX_CONCURRENT": str(CHATS),
        "PYNCHY_SANDBOX__MAX_WARM": str(CHATS),
    }
    for words, environ in (("as set by default", {}), ("room for all", crowd)):
        with place("echo", **environ) as made:
            for number in range(CHATS):
                made.run("groups", "add", f"chat{number}", "--trigger", "always")
            made.start("route", "run-agent")
            first, later = asyncio.run(talked(made))
            yield (
                f"{CHATS} chats at once, {words}: {first:.0f} answers a second with the start"
                f" of the sandboxes, {later:.0f} after that (goal 20)"
            )


async def talked(made: Place) -> tuple[float, float]:
    """Answers a second, in the first round and in those after it."""
    home, watcher = Home(made.home), Watcher()
    with Store.open(home.database) as store:
        first = CHATS / await rounds(store, watcher, home, range(1))
        later = CHATS * ROUNDS / await rounds(store, watcher, home, range(1, ROUNDS + 1))
    watcher.close()
    return first, later


async def rounds(store: Store, watcher: Watcher, home: Home, numbers: range) -> float:
    """Seconds in which every chat says so many things, each once the last was answered."""
    rung = asyncio.Event()
    watcher.add(home.data, rung.set, name=home.bell.name)
    start = time.monotonic()
    said = dict.fromkeys(range(CHATS), numbers.start)
    for chat in said:
        say(store, chat, numbers.start)
    while said:
        rung.clear()
        counts = answered(store)
        for chat, number in list(said.items()):
            if counts.get(f"local:chat{chat}", 0) <= number:
                continue
            if number + 1 in numbers:
                said[chat] = number + 1
                say(store, chat, number + 1)
            else:
                del said[chat]
        if said:
            await asyncio.wait_for(rung.wait(), 120)
    return time.monotonic() - start


def answered(store: Store) -> dict[str, int]:
    """Answers in each chat."""
    return dict(
        store.db.execute(
            "SELECT chat_jid, count(*) FROM outbound_ledger WHERE is_final = 1 GROUP BY 1"
        ).fetchall()
    )


def say(store: Store, chat: int, number: int) -> None:
    """A person says one thing in a chat."""
    now = clock.now()
    message = NewMessage(
        f"crowd-{chat}-{number}", f"local:chat{chat}", "owner", "You", f"Hello {number}", now
    )
    with store.atomic() as db:
        messages.add(db, message, now)
