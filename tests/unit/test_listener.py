"""Waiting for the answers to many messages: each is looked at when it can have been answered,
and not whenever another one comes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.owner import present
from pynchy_cli.pipeline.listen import Listener, make
from pynchy_cli.store import groups, messages, outbound, runs, steering
from pynchy_cli.store.connection import Connection, Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Watcher

NOW = "2026-01-31T08:00:00.000Z"


@contextmanager
def waiting(place: Path, lines: str, **options: object) -> Iterator[tuple[Store, Listener]]:
    """A listener that reads these lines and waits for the answers."""
    home, settings = Home(place / "home"), Settings()
    prepare(home)
    migrate(home.database)
    (place / "lines").write_text(lines)
    descriptor = os.open(place / "lines", os.O_RDONLY)
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
                now=NOW,
            )
        with present(store, home, "listen@stdin", settings) as owner:
            context = Context("listen@stdin", home, settings, store, owner, watcher, once=True)
            given = {"channel": "stdin", "chat": "team", "wait": True, **options}
            yield store, make(context, {**given, "descriptor": descriptor})
    os.close(descriptor)


def questions(place: Path, count: int) -> int:
    """How many SQL statements it takes to take in so many messages, and wait for answers."""

    async def listen() -> int:
        asked: list[str] = []
        with waiting(place, "hello\n" * count, timeout=0) as (store, listener):
            store.db.set_trace_callback(asked.append)
            while listener.is_busy():
                listener.drain()
                await asyncio.sleep(0)
            store.db.set_trace_callback(None)
            assert store.db.execute("SELECT count(*) FROM messages").fetchone()[0] == count
        return len(asked)

    place.mkdir()
    return asyncio.run(listen())


def test_twice_as_many_messages_cost_twice_as_much(tmp_path: Path) -> None:
    assert questions(tmp_path / "some", 200) < 2.5 * questions(tmp_path / "half", 100)


def test_each_answer_of_a_run_that_gives_several_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(db: Connection, number: int, text: str) -> None:
        key = f"run:1:{number}"
        outbound.say(
            db,
            key=key,
            chat_jid="local:team",
            content=text,
            source="agent",
            now=NOW,
            group_folder="team",
            run_id=1,
        )

    async def story() -> None:
        with waiting(tmp_path, "one\ntwo\n") as (store, listener):
            while messages.highest(store.db) < 2:
                listener.drain()
                await asyncio.sleep(0)
            with Store.open(store.path) as other, other.atomic() as db:
                groups.route_through(db, "team", 2)
                runs.queue_chat(db, "team", 1, 2, "local:team", NOW)
                run = runs.claim(db, 9, 1, NOW)
                assert run is not None
                say(db, 0, "to the first")
                run = steering.replied(db, run, 1)
            listener.drain()
            with Store.open(store.path) as other, other.atomic() as db:
                say(db, 1, "to the second")
                runs.finish(db, run, "done", NOW)
            while listener.is_busy():
                listener.drain()
                await asyncio.sleep(0)

    asyncio.run(story())
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["content"] for one in printed] == ["to the first", "to the second"]
    assert printed[0]["reply_to"] != printed[1]["reply_to"]
