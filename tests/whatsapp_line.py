"""neonize with something in the place of its Go library: above the boundary between the two all is
real, below it calls are kept in a list and answered as the library would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pynchy_cli.channels.base import Away
from pynchy_cli.model import Message

LOST = "timed out waiting for message send response"


@dataclass(frozen=True)
class Call:
    """A call of the library, with what it was given after the client's name."""

    name: str
    arguments: tuple[Any, ...]


class Go:
    """The library. What is put into `errors` fails the next messages; while it `holds` a function,
    calls of it don't return."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.errors: deque[str] = deque()
        self.holds: set[str] = set()
        self._released = asyncio.Event()
        self._sent = 0

    def __getattr__(self, name: str) -> Callable[..., Awaitable[bytes]]:
        async def call(client: bytes, *arguments: Any) -> bytes:
            self.calls.append(Call(name, arguments))
            while name in self.holds:
                self._released.clear()
                await self._released.wait()
            return self._answer() if name == "SendMessage" else b""

        return call

    def release(self) -> None:
        """Have all calls return."""
        self.holds.clear()
        self._released.set()

    def named(self, *names: str) -> list[Call]:
        """The calls of these functions, in order."""
        return [call for call in self.calls if call.name in names]

    def sent(self) -> list[tuple[str, Any]]:
        """What was to be sent: the address and the message."""
        from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message as Sent

        return [
            (address(call.arguments[0]), Sent.FromString(call.arguments[2]))
            for call in self.named("SendMessage")
        ]

    def _answer(self) -> bytes:
        from neonize.proto.Neonize_pb2 import (
            MessageDebugTimings,
            SendMessageReturnFunction,
            SendResponse,
        )

        if self.errors:
            return bytes(SendMessageReturnFunction(Error=self.errors.popleft()).SerializeToString())
        self._sent += 1
        timings = MessageDebugTimings(**{f.name: 0 for f in MessageDebugTimings.DESCRIPTOR.fields})
        response = SendResponse(
            Timestamp=1, ID=f"3EB0OUT{self._sent}", ServerID=0, DebugTimings=timings
        )
        return bytes(SendMessageReturnFunction(SendResponse=response).SerializeToString())


class Line:
    """A connection by way of a real client of neonize."""

    def __init__(self) -> None:
        self.go = Go()
        self.client = _client(self.go)
        self.why_away: str | None = None
        self.refused = 0
        self.renewed: list[str] = []

    def require(self) -> Any:
        """The client, unless there is a reason why we are away."""
        if self.why_away is not None:
            self.refused += 1
            raise Away(self.why_away)
        return self.client

    def renew(self, why: str) -> None:
        """Note that another connection is wanted; `anew` makes it."""
        self.renewed.append(why)

    def anew(self) -> Go:
        """Be connected by another client; its library."""
        self.go = Go()
        self.client = _client(self.go)
        return self.go


def address(jid: bytes) -> str:
    """An address as people write it."""
    from neonize.proto.Neonize_pb2 import JID

    found = JID.FromString(jid)
    return f"{found.User}@{found.Server}"


def said(
    id: str = "3EB0AA",
    content: str = "@pynchy hello",
    *,
    chat: str = "4912345@s.whatsapp.net",
    sender: str = "4912345",
    jid: str = "4912345@s.whatsapp.net",
) -> Message:
    """What somebody said, as it stands in the file."""
    return Message(
        id=id,
        chat_jid=f"whatsapp:{chat}",
        sender=sender,
        sender_name="Bob",
        content=content,
        timestamp="2026-03-01T08:00:00.000Z",
        metadata=json.dumps({"jid": jid}),
    )


def by_owner(message: Message, jid: str = "4900001@s.whatsapp.net") -> Message:
    """The same, said by the account itself."""
    return replace(message, sender="owner", metadata=json.dumps({"jid": jid}))


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something to be so."""
    while not condition():  # noqa: ASYNC110 - whatever it is, nobody tells of it
        await asyncio.sleep(0)


def _client(go: Go) -> Any:
    with _quietly():
        from neonize.aioze.client import NewAClient
    client = NewAClient("nowhere.db")
    client._NewAClient__client = go
    return client


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Import neonize, which configures the logging of whoever does, and leaves files open."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        # It asks `uname`, and leaves that process to whoever begins the next one.
        while getattr(subprocess, "_active", None):
            getattr(subprocess, "_cleanup")()  # noqa: B009 - types know nothing of it
    root.handlers[:] = handlers
    root.setLevel(level)
