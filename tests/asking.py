"""An agent's request as its handler gets it, over a real home and a real database, and what the
handler then does, in the order in which requests are carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from agent_runner.protocol import requests as protocol
from pynchy_cli import clock
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.context import Context
from pynchy_cli.ipc import parse
from pynchy_cli.ipc.effects import Asked, Effect, Waits
from pynchy_cli.model import Group
from pynchy_cli.owner import present
from pynchy_cli.store import groups, requests
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.watch import Watcher


@dataclass
class Asking:
    """A home with groups, of which each may ask."""

    context: Context
    runner: asyncio.Runner
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def store(self) -> Store:
        """The home's database."""
        return self.context.store

    @property
    def home(self) -> Home:
        """The home."""
        return self.context.home

    def group(self, folder: str, *, is_admin: bool = False, jid: str | None = None) -> Group:
        """A group more, with its folder."""
        self.home.group(folder).mkdir(mode=0o700, parents=True)
        with self.store.atomic() as db:
            return groups.add(
                db,
                folder=folder,
                name=folder.capitalize(),
                jid=jid or f"local:{folder}",
                is_admin=is_admin,
                trigger_mode="mention",
                trigger_pattern=None,
                allowed_users=("owner",),
                now=clock.now(),
            )

    def asked(
        self, group: Group, request: protocol.Request, chat_jid: str | None = None
    ) -> Asked[Any]:
        """The request, accepted from the group's sandbox."""
        with self.store.atomic() as db:
            row = requests.add(
                db,
                group_folder=group.folder,
                session=f"{group.folder}-session",
                request_id=f"r-{next(self.numbers)}",
                lane="chat",
                role="admin" if group.is_admin else "group",
                type=protocol.type_of(request),
                payload=parse.payload(request),
                state="accepted",
                now=clock.now(),
                chat_jid=chat_jid,
            )
        return Asked(request, row, group, self.context)

    def told(self, effect: Effect[Any], asked: Asked[Any]) -> Mapping[str, Any]:
        """What the agent is told of a request that is carried out now. Raises RequestRefused."""
        return self.runner.run(self._carry_out(effect, asked))

    async def _carry_out(self, effect: Effect[Any], asked: Asked[Any]) -> Mapping[str, Any]:
        effect.check(asked)
        if effect.outside is not None:
            return await effect.outside(asked)
        assert effect.rows is not None
        prepared = None
        if effect.prepare is not None and not effect.is_immediate(asked.request):
            prepared = await effect.prepare(asked)
        with self.store.atomic() as db:
            told = effect.rows(db, asked, clock.now(), prepared)
        assert not isinstance(told, Waits)
        return told


@contextmanager
def asking(
    root: Path,
    settings: Settings = Settings(),  # noqa: B008
    stage: str = "ipc-watch",
) -> Iterator[Asking]:
    """A new home below `root`, as a stage sees it."""
    home = Home(root / "home")
    prepare(home)
    migrate(home.database)
    with (
        asyncio.Runner() as runner,
        Store.open(home.database) as store,
        present(store, home, stage, settings, []) as owner,
        closing(runner.run(_watcher())) as watcher,
    ):
        context = Context(stage, home, settings, store, owner, watcher, once=True)
        yield Asking(context, runner)


async def _watcher() -> Watcher:
    return Watcher()
