"""Waiting for the answers to many messages: each is looked at when it can have been answered,
and not whenever another one comes."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from pathlib import Path

from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.owner import present
from pynchy_cli.pipeline.listen import make
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Watcher


def questions(place: Path, count: int) -> int:
    """How many SQL statements it takes to take in so many messages, and wait for answers."""

    async def listen() -> int:
        home, settings = Home(place / "home"), Settings()
        prepare(home)
        migrate(home.database)
        (place / "lines").write_text("hello\n" * count)
        descriptor = os.open(place / "lines", os.O_RDONLY)
        asked: list[str] = []
        with Store.open(home.database) as store, closing(Watcher()) as watcher:
            with store.atomic() as db:
                groups.add(
                    db,
                    folder="team",
                    name="team",
                    jid="local:team",
                    is_admin=True,
                    trigger_mode="always",
                    trigger_pattern=None,
                    allowed_users=("owner",),
                    now="2026-01-31T08:00:00.000Z",
                )
            with present(store, home, "listen@stdin", settings) as owner:
                context = Context("listen@stdin", home, settings, store, owner, watcher, once=True)
                store.db.set_trace_callback(asked.append)
                options = {"channel": "stdin", "chat": "team", "wait": True, "timeout": 0}
                listener = make(context, {**options, "descriptor": descriptor})
                while listener.is_busy():
                    listener.drain()
                    await asyncio.sleep(0)
                store.db.set_trace_callback(None)
            assert store.db.execute("SELECT count(*) FROM messages").fetchone()[0] == count
        os.close(descriptor)
        return len(asked)

    place.mkdir()
    return asyncio.run(listen())


def test_twice_as_many_messages_cost_twice_as_much(tmp_path: Path) -> None:
    assert questions(tmp_path / "some", 200) < 2.5 * questions(tmp_path / "half", 100)
