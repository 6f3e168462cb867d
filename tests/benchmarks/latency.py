"""From a commit to another process's step, and from a message's row to its reply's row."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.model import NewMessage
from pynchy_cli.store import Store, messages
from pynchy_cli.watch import Watcher
from tests.benchmarks.place import Place, place, summary

LISTENER = """
import asyncio, sys, time
from pathlib import Path
from pynchy_cli.config.paths import Home
from pynchy_cli.store import Store
from pynchy_cli.watch import Doorbell, Watcher
async def main():
    home = Home(Path(sys.argv[1])); store = Store.open(home.database)
    woken = asyncio.Event(); bell = Doorbell(Watcher(), home, store.version, woken.set)
    last = store.db.execute("SELECT max(seq) FROM messages").fetchone()[0] or 0
    print("ready", flush=True)
    while True:
        await woken.wait(); woken.clear(); bell.look()
        row = store.db.execute("SELECT max(seq) FROM messages").fetchone()[0] or 0
        if row != last:
            last = row; print(time.monotonic(), flush=True)
asyncio.run(main())
"""


def say(store: Store, number: object) -> float:
    """Store a message; when its commit was done."""
    with store.atomic() as db:
        now = clock.now()
        message = NewMessage(f"bench-{number}", "local:main", "owner", "You", "Hello", now)
        messages.add(db, message, now)
    return time.monotonic()


def figures() -> Iterator[str]:
    """The lines to print."""
    with place() as made:
        yield f"commit to another process's step: {summary(list(doorbell(made)))} (goals 1, 5)"
    with place() as made:
        yield f"message to reply, cold in the sandbox: {summary(asyncio.run(cold(made)))}"
        " (goal 400)"
        yield f"message to reply, live agent: {summary(asyncio.run(live(made)))} (goal 25)"


def doorbell(made: Place, count: int = 300) -> Iterator[float]:
    """Milliseconds from a commit here to a query over there that sees it."""
    command = [sys.executable, "-c", LISTENER, str(made.home)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    with Store.open(Home(made.home).database) as store:
        for number in range(count):
            time.sleep(0.01)
            done = say(store, number)
            yield max(0.0, (float(child.stdout.readline()) - done) * 1000)
    child.terminate()
    child.wait(10)
    child.stdout.close()


async def replied(store: Store, watcher: Watcher, home: Home, count: int) -> float:
    """When so many replies were there."""
    rung = asyncio.Event()
    watcher.add(home.data, rung.set, name=home.bell.name)
    while True:
        rung.clear()
        row = store.db.execute("SELECT count(*) FROM outbound_ledger WHERE is_final = 1").fetchone()
        if row[0] >= count:
            return time.monotonic()
        await asyncio.wait_for(rung.wait(), 60)


async def gone(store: Store, watcher: Watcher, home: Home) -> None:
    """Wait until no sandbox is left."""
    rung = asyncio.Event()
    watcher.add(home.data, rung.set, name=home.bell.name)
    while store.db.execute("SELECT 1 FROM sessions WHERE owner IS NOT NULL").fetchone():
        await asyncio.wait_for(rung.wait(), 60)
        rung.clear()


async def timed(made: Place, label: str, count: int, *, is_cold: bool = False) -> list[float]:
    """Milliseconds from each of `count` messages to its reply, one after the other."""
    home = Home(made.home)
    values = []
    watcher = Watcher()
    with Store.open(home.database) as store:
        before = store.db.execute("SELECT count(*) FROM outbound_ledger").fetchone()[0]
        for number in range(count):
            start = say(store, f"{label}-{number}")
            end = await replied(store, watcher, home, before + number + 1)
            values.append((end - start) * 1000)
            if is_cold:
                await gone(store, watcher, home)
            await asyncio.sleep(0.02)
    watcher.close()
    return values


async def cold(made: Place, count: int = 8) -> list[float]:
    """With a new sandbox for each message."""
    made.environ["PYNCHY_SANDBOX__IDLE_TIMEOUT"] = "0"
    made.start("route", "run-agent")
    values = await timed(made, "cold", count, is_cold=True)
    made.stop(2)
    return values


async def live(made: Place, count: int = 60) -> list[float]:
    """Through an agent that is there already."""
    made.environ["PYNCHY_SANDBOX__IDLE_TIMEOUT"] = "600"
    made.start("route", "run-agent")
    await timed(made, "first", 1)
    values = await timed(made, "live", count)
    made.stop(2)
    return values
