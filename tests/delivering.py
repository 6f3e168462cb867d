"""A home with chats of the stand-in network, and the engine that brings replies to them, in this
process: for faults that must fall at one exact moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pynchy_cli import clock
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.delivery.deliverer import Deliverer
from pynchy_cli.model import Delivery, Part
from pynchy_cli.owner import present
from pynchy_cli.store import chats, groups, outbound, outbox, undelivered
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Watcher
from tests.stand_in_network import NAME, Fault, Remote, StandIn, make

CHAT, OTHER = f"{NAME}:one", f"{NAME}:two"
LIMIT = 100.0
"""Seconds that anything may take."""


class Delivering:
    """What is said, brought and shown."""

    def __init__(self, context: Context, network: StandIn) -> None:
        self.context = context
        self.network = network
        self.deliverer = Deliverer(context, network)

    @property
    def store(self) -> Store:
        """The home's database."""
        return self.context.store

    @property
    def remote(self) -> Remote:
        """What the network has accepted."""
        return self.network.remote

    def say(self, text: str, chat: str = CHAT, key: str = "", **more: Any) -> int:
        """A finished reply; its number."""
        now = clock.now()
        facts = {"key": key or f"say:{text}", "source": "agent", "now": now, **more}
        with self.store.atomic() as db:
            chats.seen(db, chat, None, now)
            return outbound.say(db, chat_jid=chat, content=text, **facts)

    def grow(
        self, text: str, chat: str = CHAT, key: str = "open", doing: str | None = None
    ) -> None:
        """An open reply says this by now."""
        now = clock.now()
        with self.store.atomic() as db:
            chats.seen(db, chat, None, now)
            outbound.grow(
                db,
                key=key,
                chat_jid=chat,
                content=text,
                now=now,
                group_folder="",
                run_id=1,
                doing=doing,
            )

    def found(self, number: int, chat: str = CHAT) -> Delivery:
        """How a reply stands."""
        one = outbox.get(self.store.db, number, chat)
        assert one is not None
        return one

    def parts(self, number: int, chat: str = CHAT) -> list[Part]:
        """The network's messages of a reply."""
        return outbox.parts(self.store.db, self.found(number, chat))

    def states(self) -> list[str]:
        """How each reply stands that is to be brought to the network, in order."""
        rows = self.store.db.execute(
            "SELECT state || iif(held, ' held', '') FROM outbound_deliveries WHERE channel = ?"
            " ORDER BY ledger_id, chat_jid",
            (NAME,),
        )
        return [row[0] for row in rows]

    def is_over(self) -> bool:
        """Whether there is nothing to be done."""
        return not outbox.chats(self.store.db, NAME) and not self.deliverer.is_busy()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Drain as the loop does, until something is so."""
        limit = time.monotonic() + LIMIT
        while not is_so():
            assert time.monotonic() < limit, (self.states(), self.remote.accepted()[-5:])
            self.deliverer.drain()
            await asyncio.sleep(0.002)

    async def done(self) -> None:
        """Drain until nothing is to be done."""
        await self.until(self.is_over)

    def anew(self) -> None:
        """Another process has the channel now."""
        self.deliverer = Deliverer(self.context, self.network)


@contextmanager
def delivering(place: Path, *faults: Fault, **rules: Any) -> Iterator[Delivering]:
    """The engine in a home of its own; the network can do what `rules` say."""
    home, settings = Home(place / "home"), Settings()
    prepare(home)
    migrate(home.database)
    with Store.open(home.database) as store, closing(Watcher()) as watcher:
        with store.atomic() as db:
            _admin(db)
        stage = f"listen@{NAME}"
        with present(store, home, stage, settings) as owner:
            context = Context(stage, home, settings, store, owner, watcher, once=False)
            yield Delivering(context, StandIn(make(place / "network", *faults, **rules)))


def _admin(db: Any) -> None:
    groups.add(
        db,
        folder="main",
        name="Main",
        jid="local:main",
        is_admin=True,
        trigger_mode="always",
        trigger_pattern=None,
        allowed_users=("owner",),
        now=clock.now(),
    )


def run(
    story: Callable[[Delivering], Awaitable[None]], place: Path, *faults: Fault, **rules: Any
) -> None:
    """Let a story happen, and end what it has begun."""

    async def told() -> None:
        with delivering(place, *faults, **rules) as made:
            try:
                await story(made)
            finally:
                await made.context.end_tasks()

    asyncio.run(told())


def order(made: Delivering, number: int, *, again: bool = False) -> None:
    """A person has one tried again."""
    with made.store.atomic() as db:
        undelivered.retry(db, made.found(number), again=again)
