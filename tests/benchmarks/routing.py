"""A thousand messages to twenty groups, through route."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.model import NewMessage
from pynchy_cli.store import Store, groups, messages
from tests.benchmarks.place import place


def figures() -> Iterator[str]:
    """The lines to print."""
    with place() as made, Store.open(Home(made.home).database) as store:
        now = clock.now()
        with store.atomic() as db:
            for number in range(20):
                groups.add(
                    db,
                    folder=f"group-{number}",
                    name=f"Group {number}",
                    jid=f"local:group-{number}",
                    is_admin=False,
                    trigger_mode="always",
                    trigger_pattern=None,
                    allowed_users=("*",),
                    now=now,
                )
        with store.atomic() as db:
            for number in range(1000):
                jid = f"local:group-{number % 20}"
                messages.add(db, NewMessage(f"m{number}", jid, "a", "A", "Hello", now), now)
        start = time.monotonic()
        made.run("route", "--once")
        took = time.monotonic() - start
        queued = store.db.execute("SELECT count(*) FROM runs WHERE state = 'queued'").fetchone()[0]
        assert queued == 20
        yield f"1,000 messages to 20 groups: {took:.2f} s with the process's start (goal 1)"
