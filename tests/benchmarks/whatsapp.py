"""From WhatsApp's message to its row and its receipt, from a reply to the server, a burst, and
the memory that it takes. Times are of one clock: the server is a process on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.store import Store, outbound
from tests.benchmarks.place import summary
from tests.process.test_run_agent import wait_for
from tests.whatsapp_home import WhatsAppHome, linked

BOB = "4915550100"
COUNT = 200
BURST = 300
REPLIES = 100


def figures() -> Iterator[str]:
    """The lines to print."""
    with tempfile.TemporaryDirectory() as folder, linked(Path(folder)) as home:
        whatsapp = home.whatsapp
        chat = whatsapp.person(BOB, "Bob")
        home.group("bob", chat)
        listener = psutil.Process(home.listen().pid)
        whatsapp.wait_online()
        whatsapp.say(BOB, "so that keys are known")
        whatsapp.wait_received()
        begun = megabytes(listener)
        rows, receipts = taken(home)
        yield f"WhatsApp's message to its row: {summary(rows)}"
        yield f"and to its receipt: {summary(receipts)}"
        yield f"a reply's row to the server: {summary(list(posted(home, chat)))}"
        yield burst(home)
        yield replies(home, chat)
        yield f"memory: {begun:.0f} MB when connected, {megabytes(listener):.0f} MB now (bound 120)"


def megabytes(process: psutil.Process) -> float:
    """What a process takes up."""
    return float(process.memory_info().rss) / 2**20


def stored(home: WhatsAppHome) -> int:
    """How many messages of people have rows."""
    return int(home.rows("SELECT count(*) FROM messages WHERE message_type = 'user'")[0])


def taken(home: WhatsAppHome) -> tuple[list[float], list[float]]:
    """Milliseconds from the server's being asked to deliver a message to its row, and to its
    receipt, which comes after that."""
    said: dict[str, float] = {}
    for number in range(COUNT):
        at = time.time()
        said[home.whatsapp.say(BOB, f"message {number}")] = at
        time.sleep(0.02)
    home.whatsapp.wait_received()
    rows = home.rows("SELECT id, received_at FROM messages WHERE message_type = 'user'")
    times = {id: clock.parse(at).timestamp() for id, at in rows}
    receipts = home.whatsapp.log("receipt")
    confirmed = {id: one["at"] for one in receipts for id in one["ids"]}
    return (
        [(times[id] - at) * 1000 for id, at in said.items()],
        [(confirmed[id] - at) * 1000 for id, at in said.items()],
    )


def say(store: Store, chat: str, text: str) -> None:
    """A reply for a chat."""
    with store.atomic() as db:
        outbound.say(
            db,
            key=f"bench:{text}",
            chat_jid=f"whatsapp:{chat}",
            content=text,
            source="host",
            now=clock.now(),
        )


def posted(home: WhatsAppHome, chat: str) -> Iterator[float]:
    """Milliseconds from a reply's commit until the server has it, one after the other."""
    committed: dict[str, float] = {}
    unsent = "SELECT 1 FROM outbound_deliveries WHERE state <> 'sent'"
    with Store.open(Home(home.home).database) as store:
        for number in range(COUNT):
            say(store, chat, text := f"reply {number}")
            committed[text] = time.time()
            wait_for(lambda: not home.rows(unsent), text)
    for row in home.whatsapp.wait_outbound(COUNT, chat):
        yield (row["at"] - committed[row["text"]]) * 1000


def burst(home: WhatsAppHome) -> str:
    """Many messages at once."""
    before, began = stored(home), time.monotonic()
    home.whatsapp.flood(BOB, [f"burst {number}" for number in range(BURST)])
    wait_for(lambda: stored(home) >= before + BURST, "the burst's rows")
    took = time.monotonic() - began
    return f"{BURST} messages at once: {stored(home) - before} rows in {took:.1f} s"


def replies(home: WhatsAppHome, chat: str) -> str:
    """Many replies at once."""
    before, began = len(home.whatsapp.outbound(chat)), time.monotonic()
    with Store.open(Home(home.home).database) as store:
        for number in range(REPLIES):
            say(store, chat, f"one of many {number}")
    home.whatsapp.wait_outbound(before + REPLIES, chat)
    took = time.monotonic() - began
    return f"{REPLIES} replies to one chat at once: sent in {took:.1f} s"
