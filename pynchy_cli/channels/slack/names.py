"""What Slack's ids stand for: people, channels and user groups, asked for once and remembered for a
while. Whoever can't be asked about keeps the name that is known, or goes by the id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pynchy_cli.channels.base import NotSent
from pynchy_cli.channels.seen import line
from pynchy_cli.errors import PynchyError

KEPT = 3600.0
"""Seconds for which a name is believed."""
PAUSE = 60.0
"""Seconds after which is asked again about what could not be told."""
MOST = 10_000
"""Names that are remembered."""


class Ask(Protocol):
    """A question to Slack's Web API."""

    async def __call__(self, method: str, **arguments: str) -> Mapping[str, Any]:
        """The answer, which is ok. Raises a PynchyError."""


@dataclass(frozen=True)
class _Entry:
    name: str | None
    until: float
    is_bot: bool = False


class Names:
    """Remembers names, `most` at most. `tell` gives seconds that only go forward."""

    def __init__(
        self, ask: Ask, tell: Callable[[], float] = time.monotonic, most: int = MOST
    ) -> None:
        self._ask = ask
        self._tell = tell
        self._most = most
        self._entries: dict[str, _Entry] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._groups_until = float("-inf")

    def called(self, id: str) -> str | None:
        """The name of a user, a channel (`#dev`, or the person of a direct message) or a user
        group, where it is known; old ones too."""
        entry = self._entries.get(id)
        return entry.name if entry else None

    def is_bot(self, id: str) -> bool:
        """Whether a user is known to be a program."""
        entry = self._entries.get(id)
        return entry is not None and entry.is_bot

    def is_wanted(self, id: str) -> bool:
        """Whether it is worth asking about an id: it isn't known, or not any more, and nobody
        tried just now."""
        entry = self._entries.get(id)
        if entry is not None and entry.until > self._tell():
            return False
        return not id.startswith("S") or self._groups_until <= self._tell()

    async def fetch(self, ids: Collection[str]) -> None:
        """Ask about those that are wanted, each once however many wait for it. Never raises but
        CancelledError: what can't be told goes without a name for a minute."""
        tasks = [self._task(id) for id in dict.fromkeys(ids) if self.is_wanted(id)]
        if tasks:  # whoever gives up waiting takes the answer from nobody else
            await asyncio.shield(asyncio.gather(*tasks))

    async def close(self) -> None:
        """Ask nothing more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _task(self, id: str) -> asyncio.Task[None]:
        # The list of user groups holds them all.
        key = "S" if id.startswith("S") else id
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._find(id))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return task

    async def _find(self, id: str) -> None:
        pause = PAUSE
        try:
            match id[:1]:
                case "U" | "W":
                    await self._user(id)
                case "C" | "G" | "D":
                    await self._channel(id)
                case "S":
                    await self._groups()
        except NotSent as error:
            pause = max(PAUSE, error.retry_after or 0.0)
        except PynchyError:
            pass
        if id.startswith("S"):
            self._groups_until = self._tell() + pause
        elif self.is_wanted(id):
            self._keep(id, self.called(id), pause, is_bot=self.is_bot(id))

    async def _user(self, id: str) -> None:
        answer = await self._ask("users.info", user=id)
        user = _dict(answer.get("user"))
        profile = _dict(user.get("profile"))
        name = _first(
            profile.get("real_name"),
            user.get("real_name"),
            profile.get("display_name"),
            user.get("name"),
        )
        if name:
            self._keep(id, name, KEPT, is_bot=user.get("is_bot") is True)

    async def _channel(self, id: str) -> None:
        channel = _dict((await self._ask("conversations.info", channel=id)).get("channel"))
        person = channel.get("user")
        if channel.get("is_im") is True and isinstance(person, str) and person[:1] in ("U", "W"):
            await self.fetch([person])
            name = self.called(person)
        else:
            name = _first(channel.get("name_normalized"), channel.get("name"))
            name = f"#{name}" if name and channel.get("is_mpim") is not True else name
        if name:
            self._keep(id, name, KEPT)

    async def _groups(self) -> None:
        found = (await self._ask("usergroups.list")).get("usergroups")
        for group in found if isinstance(found, list) else []:
            id, name = _dict(group).get("id"), _first(_dict(group).get("handle"))
            if isinstance(id, str) and name:
                self._keep(id, name, KEPT)

    def _keep(self, id: str, name: str | None, seconds: float, *, is_bot: bool = False) -> None:
        self._entries.pop(id, None)
        while len(self._entries) >= self._most:
            del self._entries[next(iter(self._entries))]
        self._entries[id] = _Entry(name, self._tell() + seconds, is_bot)


def _first(*names: object) -> str | None:
    """The first that is a name."""
    return next((line(one) for one in names if isinstance(one, str) and line(one)), None)


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
