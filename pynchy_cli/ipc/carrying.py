"""Carries out what was accepted, or approved, in the order of each group: as the one who asked,
with what was stored, and never what a file says by now. An effect outside of the file is begun
once; whoever dies meanwhile leaves it `unknown`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from agent_runner.protocol import Error, read_answer
from pynchy_cli import clock, locks
from pynchy_cli.channels.meeting import Offered
from pynchy_cli.context import Context
from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseFull,
    DatabaseReplaced,
    GroupUnknown,
    RequestRefused,
)
from pynchy_cli.ipc import applying, approving, parse, telling
from pynchy_cli.ipc.effects import Asked, Effect
from pynchy_cli.ipc.handlers.shell import CHAT_TYPES
from pynchy_cli.store import approvals, groups, offers, outbound, processes, requests
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import Request as Row

UNKNOWN = Error(
    "unknown",
    "The host was interrupted in the middle of it. Whether it was done is not known; it is not "
    "tried again.",
)
PAUSE = 0.5
"""Seconds between attempts to write to a full or locked database."""
CHANGED = "What was stored is not what was decided on."

HOST_TYPES: Mapping[str, Mapping[str, type[msgspec.Struct]]] = {
    requests.CHAT: CHAT_TYPES,
    requests.HOST: {offers.TYPE: Offered},
}
"""How the rows are read of what no sandbox has asked: by their session, and their type."""

Kind = tuple[str, bool]
"""A group, and whether what it wants done lies outside of the file."""


class Carrying:
    """Carries out requests in one process."""

    def __init__(self, context: Context, effects: Mapping[str, Effect[Any]]) -> None:
        self.context = context
        self.effects = effects
        self.outside = applying.outside(effects)
        self._at_work: dict[Kind, asyncio.Task[None]] = {}
        self._doing: set[int] = set()
        self._is_delayed = False

    def drain(self) -> int:
        """Take over from the dead, and set to work on what waits; how much was new."""
        begun = sum(self._taken_over(row) for row in requests.started(self.context.store.db))
        for kind in requests.with_work(self.context.store.db, self.outside):
            if kind not in self._at_work:
                task = self.context.spawn(self._work(kind), f"requests of {kind[0]}")
                self._at_work[kind] = task
                task.add_done_callback(partial(self._over, kind))
                begun += 1
        return begun

    def is_busy(self) -> bool:
        """Whether something is being carried out."""
        return bool(self._at_work)

    async def stop(self) -> None:
        """End what is in hand; what was begun outside is unknown then."""
        for task in self._at_work.values():
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    def _over(self, kind: Kind, _: asyncio.Task[None]) -> None:
        del self._at_work[kind]

    async def _work(self, kind: Kind) -> None:
        folder, is_outside = kind
        db = self.context.store.db
        while row := requests.next_to_do(db, folder, self.outside, is_outside=is_outside):
            try:
                await self._one(row)
                self._is_delayed = False
            except (DatabaseBusy, DatabaseFull) as error:
                await self._delay(error)
            await asyncio.sleep(0)

    async def _delay(self, error: Exception) -> None:
        """Wait until the database can be written, perhaps; it is said once."""
        if not self._is_delayed:
            self.context.log.error("a request can't be carried out yet", error=str(error))
        self._is_delayed = True
        await asyncio.sleep(PAUSE)

    async def _one(self, row: Row) -> None:
        """Bring one request to its end, whatever happens."""
        settled = False
        self._doing.add(row.id)
        try:
            asked, effect = self._asked(row)
            await (self._begun if effect.outside else self._prepared)(asked, effect)
            settled = True
        except RequestRefused as refusal:
            settled = True
            self._end(row, "failed", Error(refusal.code, str(refusal)))
        except (asyncio.CancelledError, DatabaseBusy, DatabaseFull, DatabaseReplaced):
            settled = True  # it is as it was, and is done later
            raise
        finally:
            self._doing.discard(row.id)
            if not settled:
                self._end(row, "failed", applying.BROKEN)

    def _asked(self, row: Row) -> tuple[Asked[Any], Effect[Any]]:
        """What is to be done, from the row alone. Raises RequestRefused where it is not what was
        decided on, or its asker is not who he was."""
        effect = self.effects.get(row.type)
        if effect is None:
            raise RequestRefused("unavailable", "This host can't do that any more.")
        if requests.digest_of(row.type, row.payload) != row.digest:
            raise RequestRefused("changed", CHANGED)
        try:
            group = groups.get(self.context.store.db, row.group_folder)
        except GroupUnknown as error:
            raise RequestRefused("group_unknown", str(error)) from error
        if row.role == "admin" and not group.is_admin:
            raise RequestRefused("forbidden", f"{group.folder} is no admin group any more.")
        asked = Asked(_request(row), row, group, self.context)
        if row.gated and not _is_approved(self.context.store.db, asked, effect):
            raise RequestRefused("forbidden", "No person has approved it.")
        return asked, effect

    async def _prepared(self, asked: Asked[Any], effect: Effect[Any]) -> None:
        row = asked.row
        if row.prepared is not None:
            prepared = msgspec.json.decode(row.prepared, type=effect.pins)
        else:
            prepared = await effect.prepare(asked) if effect.prepare is not None else None
        with self.context.store.atomic() as db:
            now = requests.get(db, row.id)
            if now is None or now.state != "accepted":
                return
            if now.gated and approvals.of_request(db, row.id) is None:
                requests.pin(db, row.id, msgspec.json.encode(prepared).decode())
                settings, at = self.context.settings, clock.now()
                approving.ask(db, settings, row, asked.request, effect, at, prepared)
            else:
                _say(db, asked, effect, applying.apply(db, asked, effect, prepared))

    async def _begun(self, asked: Asked[Any], effect: Effect[Any]) -> None:
        assert effect.outside is not None, "an effect outside of the file"
        with self.context.store.atomic() as db:
            if not requests.start(db, asked.row.id, self.context.owner):
                return
        said: Error | Mapping[str, Any]
        try:
            async with asyncio.timeout(effect.patience):
                said = await effect.outside(asked)
        except RequestRefused as refusal:
            said = Error(refusal.code, str(refusal))
        except TimeoutError:
            said = Error("timed_out", f"It took longer than {effect.patience:g} s, and was ended.")
        await self._ended(asked, effect, said)

    async def _ended(
        self, asked: Asked[Any], effect: Effect[Any], said: Error | Mapping[str, Any]
    ) -> None:
        """Note what came of it, as soon as that can be written: it can't be done again."""
        state = "failed" if isinstance(said, Error) else "done"
        while True:
            try:
                return self._end(asked.row, state, said, asked, effect)
            except (DatabaseBusy, DatabaseFull):
                await asyncio.sleep(PAUSE)

    def _end(
        self,
        row: Row,
        state: str,
        said: Error | Mapping[str, Any],
        asked: Asked[Any] | None = None,
        effect: Effect[Any] | None = None,
    ) -> None:
        with self.context.store.atomic() as db:
            if requests.get(db, row.id) is None:
                return  # its group was removed
            row = applying.answered(db, row, state, said)
            if asked is not None and effect is not None:
                _say(db, asked, effect, row)
            elif isinstance(said, Error) and row.session == requests.CHAT:
                _tell(db, row, f"❌ {said.message}")

    def _taken_over(self, row: Row) -> bool:
        """Settle what a dead process, or we, have begun and do no more."""
        mine = row.owner == self.context.owner
        if mine and row.id in self._doing:
            return False
        lock = processes.owner_lock(self.context.home.locks, row.owner or 0)
        if not mine and row.owner and locks.is_held(lock):
            return False
        effect = self.effects.get(row.type)
        if effect is not None and self._may_repeat(row, effect):
            with self.context.store.atomic() as db:
                requests.put_back(db, row.id)
        else:
            self._end(row, "unknown", UNKNOWN)
        return True

    def _may_repeat(self, row: Row, effect: Effect[Any]) -> bool:
        if effect.may_repeat is None:
            return effect.is_idempotent
        try:
            return effect.may_repeat(self._asked(row)[0])
        except RequestRefused:
            return False


def _is_approved(db: Connection, asked: Asked[Any], effect: Effect[Any]) -> bool:
    """Whether a person has approved just this, or is yet to be asked."""
    row, approval = asked.row, approvals.of_request(db, asked.row.id)
    if approval is None:
        return effect.is_pinned(asked.request) and row.prepared is None
    return approval.state == "approved" and approval.digest == row.digest


def _request(row: Row) -> msgspec.Struct:
    """The typed request of a row: an agent's, a command's from a chat, or the host's own."""
    types = HOST_TYPES.get(row.session)
    if types is None:
        return parse.stored(row.payload)
    kind = types.get(row.type)
    if kind is None:
        raise RequestRefused("unavailable", "This host can't do that any more.")
    return msgspec.json.decode(row.payload, type=kind)


def _say(db: Connection, asked: Asked[Any], effect: Effect[Any], row: Row) -> None:
    """Tell the chat how it ended, where that is for people."""
    if effect.said is None or row.answer is None:
        return
    if (text := effect.said(asked, read_answer(row.answer))) is not None:
        _tell(db, row, text)


def _tell(db: Connection, row: Row, text: str) -> None:
    if row.chat_jid is not None:
        outbound.say(
            db,
            key=f"request:{row.id}:ended",
            chat_jid=row.chat_jid,
            content=text,
            source="host",
            now=clock.now(),
            group_folder=row.group_folder,
            thread=telling.thread_of(db, row),
        )
