"""A chat network for tests of delivery: what it has accepted is a log on the disk that is only ever
added to, so that it outlives whoever is killed while posting. What it is able to do, and what goes
wrong with it, is a document beside that log. As a plugin it is the channel `standin`, in the folder
that the variable STAND_IN names."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pynchy_cli.channels.base import (
    Away,
    Host,
    NeverSent,
    NotSent,
    Outgoing,
    OutgoingFile,
    Piece,
    Place,
    Unsure,
)
from pynchy_cli.config.settings import Settings
from pynchy_cli.plugins import hookimpl

NAME = "standin"
PLACE = "STAND_IN"
ALL = frozenset({"edit", "history", "threads", "buttons", "files", "ordered"})
FULL = ALL - {"buttons", "files"}


@dataclass(frozen=True)
class Rules:
    """What the network can do. `until_done` is a database: the connection ends once nothing in it
    is to be brought here any more."""

    capabilities: tuple[str, ...] = tuple(sorted(FULL))
    limit: int = 100
    at_once: int = 20
    edit_interval: float = 0.05
    settle: float = 0.0
    on_unknown: str = "ask"
    until_done: str | None = None


@dataclass(frozen=True)
class Fault:
    """What happens to the next `times` calls of `call` whose text (or chat) has `match` in it.

    `kind`: reject, never, unsure-before, unsure-after, away, slow (until `release`), broken.
    """

    kind: str
    call: str = "post"
    match: str = ""
    times: int = 1
    retry_after: float | None = None


@dataclass(frozen=True)
class Shown:
    """One of the network's messages, as its chat shows it now."""

    id: str
    chat: str
    thread: str
    text: str
    mark: str


class Remote:
    """What the network has accepted."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "accepted.ndjson"

    def accept(self, call: str, **facts: Any) -> str:
        """Note it for good; its id, which is ordered as a text."""
        number = len(self.accepted()) + 1
        facts = {"call": call, "id": f"{number:08d}", **facts}
        with self.log.open("ab", buffering=0) as log:
            log.write(json.dumps(facts).encode() + b"\n")
            os.fsync(log.fileno())
        return str(facts["id"])

    def accepted(self) -> list[dict[str, Any]]:
        """All of it, in order."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def posts(self, chat: str | None = None) -> list[Shown]:
        """All that was ever posted, as it was then; also what was taken out."""
        return [
            Shown(one["id"], one["chat"], one["thread"], one["text"], one["mark"])
            for one in self.accepted()
            if one["call"] == "post" and chat in (None, one["chat"])
        ]

    def shown(self, chat: str) -> list[Shown]:
        """What a chat shows now, in the order in which it was posted."""
        now = {one.id: one for one in self.posts(chat)}
        for one in self.accepted():
            if one["call"] == "edit" and one["of"] in now:
                now[one["of"]] = replace(now[one["of"]], text=one["text"])
            elif one["call"] == "remove":
                now.pop(one["of"], None)
        return list(now.values())

    def texts(self, chat: str) -> list[str]:
        """The texts of what a chat shows now."""
        return [one.text for one in self.shown(chat)]


class StandIn:
    """A connection to the network that lies in a folder."""

    name = title = NAME

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.remote = Remote(folder)
        self.release = asyncio.Event()
        self.calls: dict[str, int] = defaultdict(int)
        self.under_way = self.most_at_once = 0
        document = json.loads((folder / "rules.json").read_text())
        self.faults = [Fault(**one) for one in document["faults"]]
        rules = Rules(**document["rules"])
        self.until_done = rules.until_done
        self.capabilities = frozenset(rules.capabilities)
        self.limit, self.edit_interval = rules.limit, rules.edit_interval
        self.at_once = rules.at_once
        self.settle, self.on_unknown = rules.settle, rules.on_unknown

    async def run(self, host: Host) -> None:
        """Be connected, for ever or until nothing is to be done."""
        host.state(True, None)
        while True:
            if self.until_done is not None and not _is_undone(self.until_done):
                return
            await asyncio.sleep(0.01)

    def render(self, reply: Outgoing) -> list[Piece]:
        """As many letters in each message as it takes, and below an open one what is done."""
        text = reply.content + (f"\n[{reply.doing or 'writing'}]" if reply.is_open else "")
        cut = [text[at : at + self.limit] for at in range(0, len(text), self.limit)] or [" "]
        last = len(cut) - 1
        return [Piece(one, reply.buttons if at == last else ()) for at, one in enumerate(cut)]

    async def post(self, place: Place, piece: Piece, mark: str) -> str:
        """Accept a message, if nothing is wrong."""
        fault = await self._called("post", place, piece.text)
        accepted = self.remote.accept(
            "post", chat=place.chat_jid, thread=place.thread, text=piece.text, mark=mark
        )
        if fault == "unsure-after":
            raise Unsure("the answer was lost")
        return accepted

    async def edit(self, place: Place, remote_id: str, piece: Piece) -> None:
        """Change a message that is there."""
        assert "edit" in self.capabilities
        fault = await self._called("edit", place, piece.text)
        if remote_id not in {one.id for one in self.remote.shown(place.chat_jid)}:
            raise NeverSent("the message is gone")
        self.remote.accept("edit", of=remote_id, text=piece.text)
        if fault == "unsure-after":
            raise NotSent("the answer was lost")

    async def remove(self, place: Place, remote_id: str) -> None:
        """Take a message out."""
        assert "edit" in self.capabilities
        await self._called("remove", place, remote_id)
        self.remote.accept("remove", of=remote_id)

    async def find(self, place: Place, mark: str, after_id: str | None, since: str) -> str | None:
        """Look a message up by its mark."""
        assert "history" in self.capabilities
        await self._called("find", place, mark)
        for one in self.remote.shown(place.chat_jid):
            if one.mark == mark and one.id > (after_id or ""):
                return one.id
        return None

    async def find_file(
        self,
        place: Place,
        file: OutgoingFile,
        sent: Collection[str],
        after_id: str | None,
        since: str,
    ) -> str | None:
        """Look a file up by its name and size."""
        assert "history" in self.capabilities
        await self._called("find_file", place, file.name)
        for one in self.remote.accepted():
            is_such = one["call"] == "file" and (one["chat"], one["name"], one["size"]) == (
                place.chat_jid,
                file.name,
                file.size,
            )
            if is_such and one["id"] not in sent and one["id"] > (after_id or ""):
                return str(one["id"])
        return None

    async def send_file(self, place: Place, file: OutgoingFile) -> str:
        """Accept a file."""
        assert "files" in self.capabilities
        fault = await self._called("send_file", place, file.name)
        accepted = self.remote.accept("file", chat=place.chat_jid, name=file.name, size=file.size)
        if fault == "unsure-after":
            raise Unsure("the answer was lost")
        return accepted

    async def _called(self, call: str, place: Place, text: str) -> str | None:
        """Count the call, and have go wrong what is to; what goes wrong after it was accepted."""
        self.calls[call] += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.sleep(0)
            fault = self._fault(call, f"{place.chat_jid} {text}")
            if fault is not None and fault.kind == "slow":
                await self.release.wait()
            return _raised(fault) if fault is not None else None
        finally:
            self.under_way -= 1

    def _fault(self, call: str, text: str) -> Fault | None:
        for at, fault in enumerate(self.faults):
            if fault.times and fault.call == call and fault.match in text:
                self.faults[at] = replace(fault, times=fault.times - 1)
                return fault
        return None


def _raised(fault: Fault) -> str:
    if fault.kind == "reject":
        raise NotSent("slow down", fault.retry_after)
    if fault.kind == "never":
        raise NeverSent("no such chat")
    if fault.kind == "unsure-before":
        raise (Unsure if fault.call in ("post", "send_file") else NotSent)("the answer was lost")
    if fault.kind == "away":
        raise Away("the network is away")
    if fault.kind == "broken":
        raise RuntimeError("a fault of the code")
    return fault.kind


def _is_undone(database: str) -> bool:
    db = sqlite3.connect(database)
    try:
        return bool(
            db.execute(
                "SELECT 1 FROM outbound_deliveries WHERE channel = ? AND held = 0"
                " AND state IN ('pending', 'sending', 'unknown') LIMIT 1",
                (NAME,),
            ).fetchone()
        )
    finally:
        db.close()


def make(folder: Path, *faults: Fault, **rules: Any) -> Path:
    """A network in a folder, which is made where it isn't there."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"rules": asdict(Rules(**rules)), "faults": [asdict(one) for one in faults]}
    (folder / "rules.json").write_text(json.dumps(document))
    return folder


class Plugin:
    """The door by which a stage finds the network."""

    @hookimpl
    def pynchy_channel(self, name: str, settings: Settings) -> StandIn | None:
        """The network of the folder that the environment names."""
        return StandIn(Path(os.environ[PLACE])) if name == NAME else None


plugin = Plugin()
