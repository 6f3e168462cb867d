"""From a file to its row: who asks, what, and whether they may, is decided in one transaction,
which also writes the effect where that is rows and needs nobody. The file goes after that; whatever
is there still at a start is found again, and answered by its row."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent_runner.protocol import Error
from agent_runner.protocol import requests as protocol
from agent_runner.protocol.requests import NAME, Request
from pynchy_cli import clock
from pynchy_cli.context import Context
from pynchy_cli.errors import GroupUnknown, RequestRefused
from pynchy_cli.ipc import applying, approving, authorise, parse
from pynchy_cli.ipc.effects import Asked, Effect
from pynchy_cli.ipc.facts import facts
from pynchy_cli.ipc.handlers import services
from pynchy_cli.ipc.inbox import Gone
from pynchy_cli.ipc.offer import role_of
from pynchy_cli.ipc.outbox import Outbox
from pynchy_cli.ipc.pace import Pace
from pynchy_cli.ipc.places import Place
from pynchy_cli.model import Group
from pynchy_cli.store import audit, counters, events, failures, groups, requests, steering
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.requests import Request as Row

BATCH = 16
"""Requests of one sandbox that are decided in one transaction, before another sandbox's turn."""
UNFINISHED = 10.0
"""Seconds without a change after which what is not whole is taken for what it is."""
LONGEST = 60.0
"""Seconds after which that is so, whatever changes."""
RUBBISH = 25
"""How many requests one costs that is none."""
UNDONE = 500
"""Requests of one group that may wait to be carried out; its further ones wait in their folder, or
all would be slowed down by looking through them."""
UNAVAILABLE = Error("unavailable", "This host can't do that yet.")


@dataclass(frozen=True)
class Entry:
    """A file that was read: its name, its id, and what it asks, or why that can't be told."""

    name: str
    id: str
    size: int
    request: Request | None = None
    refusal: RequestRefused | None = None
    excerpt: str = ""


class Intake:
    """Takes requests in for one process."""

    def __init__(
        self, context: Context, effects: Mapping[str, Effect[Any]], outbox: Outbox
    ) -> None:
        self.context = context
        self.effects = effects
        self.outbox = outbox
        self.pace = Pace(time.monotonic)
        self.is_blocked = False
        """Whether an answer could not be written, and is to be tried again."""
        self._was_blocked = False

    def begin(self) -> None:
        """Another look at all: what could not be written may be by now."""
        self._was_blocked, self.is_blocked = self.is_blocked, False

    def block(self, error: OSError) -> None:
        """An answer can't be written yet, which is said once for as long as that is so."""
        if not self._was_blocked and not self.is_blocked:
            self.context.log.error("an answer can't be written yet", error=str(error))
        self.is_blocked = True

    def take(self, place: Place) -> int:
        """Deal with the next files of a folder; how many. Raises InboxLost."""
        if place.patience(time.monotonic()) == 0.0:
            place.is_changed = True
        if not place.has_more or not self.pace.may(place.group):
            return 0
        if requests.are_undone(self.context.store.db, place.group, UNDONE):
            return 0
        names = place.next_names(BATCH)
        try:
            entries = [one for name in names if (one := self._read(place, name)) is not None]
            if entries:
                self._decide(place, entries)
        except BaseException:
            place.waiting.extendleft(reversed(names))  # they lie there still, and keep their order
            raise
        return len(names) if entries or place.has_more else 0

    def deadline(self, place: Place) -> float | None:
        """Seconds until a folder is to be looked at again, or None."""
        pause = self.pace.pause(place.group)
        if place.has_more:
            return pause or None
        patience = place.patience(time.monotonic())
        return None if patience is None else max(patience, pause)

    def _read(self, place: Place, name: str) -> Entry | None:
        found = NAME.fullmatch(name)
        try:
            data = place.inbox.read(name)
        except Gone:
            return None
        except RequestRefused as refusal:
            return self._unreadable(place, name, refusal, b"")
        self.pace.took(place.group, len(data))
        try:
            if found is None:
                raise RequestRefused("invalid", "Its name is none that a request can have.")
            request = parse.parse(data, found[2])
        except parse.Truncated as refusal:
            if found is not None and self._may_grow(place, name, len(data)):
                return None
            return self._unreadable(place, name, refusal, data)
        except RequestRefused as refusal:
            return self._unreadable(place, name, refusal, data)
        place.unfinished.pop(name, None)
        return Entry(name, found[2], len(data), request)

    def _may_grow(self, place: Place, name: str, size: int) -> bool:
        """Whether a file that is not whole may still become so."""
        now = time.monotonic()
        known, until, latest = place.unfinished.get(name, (-1, now, now + LONGEST))
        if known != size:
            until = min(now + UNFINISHED, latest)
        place.unfinished[name] = (size, until, latest)
        return now < until

    def _unreadable(
        self, place: Place, name: str, refusal: RequestRefused, data: bytes
    ) -> Entry | None:
        """What can't be read is answered where its name gives an id, else counted and removed."""
        place.unfinished.pop(name, None)
        self.pace.took(place.group, len(data), RUBBISH)
        found = NAME.fullmatch(name)
        if found is not None:
            return Entry(name, found[2], len(data), None, refusal, parse.excerpt(data))
        now = clock.now()
        told = {"name": parse.excerpt(name.encode("utf-8", "replace"), 200)}
        told |= {"reason": str(refusal), "beginning": parse.excerpt(data)}
        with self.context.store.atomic() as db:
            counters.bump(db, "requests_unreadable", now)
            events.add(db, "request_unreadable", told, now, group_folder=place.group)
        self.context.log.warning("a file is no request", group=place.group, reason=str(refusal))
        place.inbox.remove(name)
        return None

    def _decide(self, place: Place, entries: Sequence[Entry]) -> None:
        """Decide on all in one transaction; where one breaks it, on each in one of its own."""
        subject = f"requests:{place.session}"
        rows = self.context.attempt(subject, partial(self._written, place, entries))
        if rows is None:
            self._forget(subject)
            rows = [self._one(place, entry) for entry in entries]
        for entry, row in zip(entries, rows, strict=True):
            self._settle(place, entry, row)

    def _one(self, place: Place, entry: Entry) -> Row | None:
        subject = f"request:{place.session}/{entry.id}"
        rows = self.context.attempt(subject, partial(self._written, place, [entry]))
        return rows[0] if rows is not None else self._broken(place, entry, subject)

    def _written(self, place: Place, entries: Sequence[Entry]) -> list[Row | None]:
        with self.context.store.atomic() as db:
            return [self._row(db, place, entry) for entry in entries]

    def _forget(self, subject: str) -> None:
        """It was answered, and is not tried again."""
        with self.context.store.atomic() as db:
            failures.clear(db, self.context.name, subject)

    def _broken(self, place: Place, entry: Entry, subject: str) -> Row | None:
        """Our own fault: it is answered all the same, and not tried again."""
        self._forget(subject)
        with self.context.store.atomic() as db:
            known = requests.find(db, place.group, place.session, entry.id)
            group = _group(db, place)
            if known is not None or group is None:
                return known
            row = self._add(db, place, group, entry)
            return applying.answered(db, row, "failed", applying.BROKEN, delivered=True)

    def _settle(self, place: Place, entry: Entry, row: Row | None) -> None:
        """Give the answer where there is one, and take the file away."""
        try:
            if row is not None and row.answer is not None:
                self.outbox.write(place.path, entry.id, row.answer)
                self.pace.took(place.group, len(row.answer), 0)  # a few words may ask for a lot
        except OSError as error:
            self.block(error)
            place.waiting.append(entry.name)
            return
        place.inbox.remove(entry.name)

    def _row(self, db: Connection, place: Place, entry: Entry) -> Row | None:
        """The request's row, as it is once all is written; None where its group is gone."""
        known = requests.find(db, place.group, place.session, entry.id)
        if known is not None:
            return known
        group = _group(db, place)
        if group is None:
            return None
        if entry.request is None:
            assert entry.refusal is not None, "what can't be read has a reason"
            counters.bump(db, "requests_unreadable", clock.now())
            row = self._add(db, place, group, entry)
            return self._refused(db, row, entry.refusal.code, str(entry.refusal), "invalid")
        return self._asked(db, place, group, entry, entry.request)

    def _asked(
        self, db: Connection, place: Place, group: Group, entry: Entry, request: Request
    ) -> Row:
        row = self._add(db, place, group, entry)
        who = authorise.Principal(group.folder, _role(row))
        settings = self.context.settings
        rules = services.rules(settings, group.folder, request, is_admin=who.role == "admin")
        decision = authorise.decide(who, request, facts(db, settings, group.folder, rules))
        if decision.outcome == "forbidden":
            return self._refused(db, row, decision.code, decision.message, "forbidden")
        effect = self.effects.get(row.type)
        if effect is None:
            self._note(db, row, "unavailable", None)
            return applying.answered(db, row, "refused", UNAVAILABLE, delivered=True)
        asked = Asked(request, row, group, self.context)
        try:
            effect.check(asked)
            if decision.outcome == "gated":
                approving.require_room(db, group.folder)
        except RequestRefused as refusal:
            return self._refused(db, row, refusal.code, str(refusal), "invalid")
        if decision.outcome == "gated":
            self._note(db, row, "gated", None)
            requests.gate(db, row.id)
            if not effect.is_pinned(request):
                approving.ask(db, settings, row, request, effect, clock.now())
            return applying.again(db, row)
        self._note(db, row, "allowed", None)
        if not effect.is_immediate(request) or requests.is_behind(
            db, row, applying.outside(self.effects)
        ):
            return row
        return applying.apply(db, asked, effect, None, delivered=True)

    def _add(self, db: Connection, place: Place, group: Group, entry: Entry) -> Row:
        run = steering.at_work(db, group.folder, place.lane)
        request = entry.request
        return requests.add(
            db,
            group_folder=group.folder,
            session=place.session,
            request_id=entry.id,
            lane=place.lane,
            role=role_of(group, place.lane),
            run_id=run.id if run is not None else None,
            chat_jid=(run.chat_jid if run is not None else None) or group.jid,
            type=protocol.type_of(request) if request is not None else "",
            payload=parse.payload(request) if request is not None else entry.excerpt,
            state="accepted",
            now=clock.now(),
        )

    def _refused(self, db: Connection, row: Row, code: str, message: str, decision: str) -> Row:
        self._note(db, row, decision, message)
        error = Error(code, message)
        return applying.answered(db, row, "refused", error, delivered=True)

    def _note(self, db: Connection, row: Row, decision: str, reason: str | None) -> None:
        audit.add(
            db,
            "request",
            decision,
            who=f"{row.role}:{row.group_folder}",
            subject=row.type or "unreadable",
            now=clock.now(),
            group_folder=row.group_folder,
            request=row.id,
            run_id=row.run_id,
            reason=reason,
            digest=row.digest,
        )


def _group(db: Connection, place: Place) -> Group | None:
    """The group that a folder is of; None where it was removed, even if there is another of its
    name since."""
    try:
        group = groups.get(db, place.group)
    except GroupUnknown:
        return None
    return group if group.number == place.number else None


def _role(row: Row) -> authorise.Role:
    assert row.role in authorise.ROLES, "a role that we have written"
    return row.role
