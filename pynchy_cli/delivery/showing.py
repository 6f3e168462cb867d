"""Has one chat show one reply as it is: parts that are missing are posted, those that look
otherwise are edited, those too many are taken out. What is about to be posted is noted before, and
what was posted after: between the two a crash leaves it unknown, and then the chat's history is
asked. An edit may be made twice, and needs no such note."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from pynchy_cli import clock
from pynchy_cli.channels.base import (
    Button,
    Network,
    NeverSent,
    NotSent,
    Outgoing,
    OutgoingFile,
    Piece,
    Place,
)
from pynchy_cli.context import Context
from pynchy_cli.delivery import presence
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, PynchyError
from pynchy_cli.model import Attachment, Delivery, Part, Reply
from pynchy_cli.store import outbound, outbox
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.outbox import FILES

PAUSE = 0.5
"""Seconds between attempts to write to a full or locked database."""
LATE = 600.0
"""Seconds after which a reply says when it was written."""
AGAIN = "(Sent again, since nobody knows whether it came.)"
WRITTEN = "*(Written at {time}, and held up since.)*"
UNKNOWN = "nobody knows whether it got there: {why}"
Buttons = Callable[[Reply], tuple[Button, ...]]


class Held(PynchyError):
    """Whether something got there can't be found out, and a person is to decide."""


class Showing:
    """Shows replies in the chats of one network."""

    def __init__(self, context: Context, network: Network, buttons: Buttons) -> None:
        self.context = context
        self.network = network
        self.buttons = buttons

    async def show(self, delivery: Delivery) -> None:
        """Have the chat show the reply. Raises Held, and what the network's `post` raises; then
        what was posted before is noted."""
        await self._settle(delivery)
        parts = {part.number: part for part in self._parts(delivery)}
        for number, piece in enumerate(self._pieces(delivery, parts.get(0))):
            await self._piece(delivery, number, piece, parts.pop(number, None))
        for number in [number for number in parts if number < FILES]:
            await self._take_out(delivery, parts.pop(number))
        if delivery.reply.is_final and "files" in self.network.capabilities:
            await self._files(delivery, parts)

    async def write(self, step: Callable[[Connection], None]) -> None:
        """Do it in a transaction, as soon as the database can be written: what was sent can't be
        taken back, and must be noted."""
        while True:
            try:
                with self.context.store.atomic() as db:
                    return step(db)
            except (DatabaseBusy, DatabaseFull) as error:
                self.context.log.warning("a note waits", error=str(error))
                await asyncio.sleep(PAUSE)

    async def _settle(self, delivery: Delivery) -> None:
        """Find out what became of the parts of which that isn't known."""
        for part in self._parts(delivery):
            if part.state != "sent":
                await self._find(delivery, part)

    async def _find(self, delivery: Delivery, part: Part) -> None:
        if "history" not in self.network.capabilities:
            return self._decide(part, "the network can't be asked")
        waited = clock.seconds_between(part.begun_at, clock.now())
        if 0 <= waited < self.network.settle:
            raise NotSent("it is looked for first", self.network.settle - waited)
        try:
            found = await self._look_for(delivery, part)
        except NeverSent as error:
            return self._decide(part, str(error))
        self.context.log.info(
            "looked for a reply in the chat",
            reply=delivery.reply.id,
            chat=delivery.chat_jid,
            part=part.number,
            found=found is not None,
        )
        if found is not None:
            await self._placed(delivery, part.number, found, part.digest)
        else:
            await self.write(lambda db: outbox.gone(db, delivery, part.number))
        return None

    async def _look_for(self, delivery: Delivery, part: Part) -> str | None:
        place, since = _place(delivery), part.begun_at
        if part.number < FILES:
            mark = self._mark(delivery, part.number)
            return await self.network.find(place, mark, part.after_id, since)
        db = self.context.store.db
        sent = outbox.files_sent(db, delivery.chat_jid)
        file = self._outgoing(outbound.files(db, delivery.reply.id)[part.number - FILES])
        return await self.network.find_file(place, file, sent, part.after_id, since)

    def _decide(self, part: Part, why: str) -> None:
        """Nothing can tell whether a part got there: as is configured. Raises NeverSent, Held."""
        error = UNKNOWN.format(why=why)
        if self.network.on_unknown == "drop":
            raise NeverSent(error)
        if self.network.on_unknown == "ask" or part.again:
            raise Held(error)

    def _pieces(self, delivery: Delivery, first: Part | None) -> Sequence[Piece]:
        """What the chat is to show."""
        reply = delivery.reply
        if reply.source == outbound.WITHDRAWN:
            return []
        content = reply.content
        begun = first.begun_at if first is not None else clock.now()
        if reply.is_final and clock.seconds_between(reply.created_at, begun) > LATE:
            time = f"{reply.created_at[:10]} {reply.created_at[11:16]} UTC"
            content = f"{WRITTEN.format(time=time)}\n\n{content}"
        outgoing = Outgoing(
            content,
            doing=None if reply.is_final else reply.doing,
            is_open=not reply.is_final,
            buttons=self.buttons(reply),
        )
        return self.network.render(outgoing)

    async def _piece(
        self, delivery: Delivery, number: int, piece: Piece, part: Part | None
    ) -> None:
        again = part is not None and (part.again or part.state == "unknown")
        if again:
            piece = replace(piece, text=f"{AGAIN}\n{piece.text}")
        digest = _digest(piece)
        if part is None or part.state == "unknown" or part.remote_id is None:
            await self._post(delivery, number, piece, again=again)
        elif part.digest != digest and "edit" in self.network.capabilities:
            if await self._edit(delivery, part.remote_id, piece):
                await self._placed(delivery, number, part.remote_id, digest)
            elif delivery.reply.is_final:
                await self._post(delivery, number, piece)

    async def _post(
        self, delivery: Delivery, number: int, piece: Piece, *, again: bool = False
    ) -> None:
        digest = _digest(piece)
        await self._begun(delivery, number, digest, again=again)
        mark = self._mark(delivery, number)
        place = _place(delivery)
        if number == 0 and "quotes" in self.network.capabilities:
            place = replace(place, answers=presence.answered(self.context, delivery))
        remote_id = await self.network.post(place, piece, mark)
        await self._placed(delivery, number, remote_id, digest)

    async def _edit(self, delivery: Delivery, remote_id: str, piece: Piece) -> bool:
        """Whether it could be changed. It may be gone, or too old for that: then an answer that is
        still being written is left as it is, and its end is posted anew, lest it be lost."""
        outbox.require_free(self.context.store.db, delivery)
        try:
            await self.network.edit(_place(delivery), remote_id, piece)
        except NeverSent as error:
            self.context.log.warning(
                "a reply can't be changed any more",
                reply=delivery.reply.id,
                chat=delivery.chat_jid,
                error=str(error),
            )
            return False
        return True

    async def _begun(
        self, delivery: Delivery, number: int, digest: str, *, again: bool = False
    ) -> None:
        after_id = None
        if "ordered" in self.network.capabilities:
            after_id = outbox.newest_id(self.context.store.db, delivery.chat_jid)
        now = clock.now()
        await self.write(
            lambda db: outbox.begin(
                db, delivery, number, digest, now, after_id=after_id, again=again
            )
        )

    async def _placed(self, delivery: Delivery, number: int, remote_id: str, digest: str) -> None:
        await self.write(lambda db: outbox.placed(db, delivery, number, remote_id, digest))

    async def _take_out(self, delivery: Delivery, part: Part) -> None:
        if part.remote_id is not None and "edit" in self.network.capabilities:
            outbox.require_free(self.context.store.db, delivery)
            await self.network.remove(_place(delivery), part.remote_id)
        await self.write(lambda db: outbox.gone(db, delivery, part.number))

    async def _files(self, delivery: Delivery, parts: dict[int, Part]) -> None:
        """Files follow, each as a part of its own."""
        for at, one in enumerate(outbound.files(self.context.store.db, delivery.reply.id), FILES):
            if (part := parts.get(at)) is not None and part.remote_id is not None:
                continue
            await self._begun(delivery, at, one.sha256)
            remote_id = await self.network.send_file(_place(delivery), self._outgoing(one))
            await self._placed(delivery, at, remote_id, one.sha256)

    def _outgoing(self, file: Attachment) -> OutgoingFile:
        return OutgoingFile(file.name, self.context.home.files / file.sha256, file.size)

    def _parts(self, delivery: Delivery) -> list[Part]:
        return outbox.parts(self.context.store.db, delivery)

    def _mark(self, delivery: Delivery, number: int) -> str:
        return f"{self.context.home.id}:{delivery.reply.id}.{number}"


def _place(delivery: Delivery) -> Place:
    return Place(delivery.chat_jid, delivery.thread)


def _digest(piece: Piece) -> str:
    return hashlib.sha256(repr(piece).encode("utf-8", "surrogatepass")).hexdigest()
