"""The stage that decides what is for the assistant. Cursor and effect are one transaction; one
group's messages never stop another's; a message that can't be routed is set aside."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pynchy_cli import clock
from pynchy_cli.errors import GroupUnknown
from pynchy_cli.loop import Context
from pynchy_cli.model import Group, Message
from pynchy_cli.routing import reacting, showing
from pynchy_cli.routing.orders import Orders
from pynchy_cli.routing.said import Said
from pynchy_cli.store import edits, failures, groups, messages, outbound, runs
from pynchy_cli.store.connection import Connection

SINGLE = True
STAGE = "route"
BATCH = 1000
"""Messages routed in one write, at most."""


@dataclass(frozen=True)
class Routed:
    """A message, and what is to be done because of it."""

    message: Message
    said: Said | None = None
    """What it says; None where it is set aside."""


def make(context: Context, options: Mapping[str, Any]) -> Router:
    """The stage."""
    return Router(context)


class Router:
    """Reads on from each group's cursor."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.orders = Orders(context.settings)
        self._known: int | None = None

    def drain(self) -> int:
        """Route what is new, up to a batch of each group, and what a person brought back."""
        done = self._bring_back()
        for folder in messages.waiting_groups(self.context.store.db):
            with contextlib.suppress(GroupUnknown):  # it was removed just now
                done += self._group(folder)
        self._tell()
        return done

    def deadline(self) -> float | None:
        """None: only messages and retries are waited for."""
        return None

    def is_busy(self) -> bool:
        """Never: a drain leaves nothing in hand."""
        return False

    async def stop(self) -> None:
        """Nothing is in hand."""

    def _group(self, folder: str) -> int:
        db = self.context.store.db
        group = groups.get(db, folder)
        failed = {one.subject: one for one in failures.all(db) if one.stage == self.context.name}
        blocked = self.context.blocked()
        decided: list[Routed] = []
        for message in messages.pending(db, groups.chats(db, folder), group.routed_seq, BATCH):
            subject = _subject(message)
            if subject not in failed:
                routed = self.context.attempt(subject, partial(self.decide, group, message))
                if routed is None:
                    break
                decided.append(routed)
            elif failed[subject].state == "set_aside":
                decided.append(Routed(message))
            elif subject in blocked or decided:
                break  # what came after it waits with it, so that the order is kept
            else:
                self.context.attempt(subject, partial(self._again, group, message))
                return 1  # Also where it failed: set aside by that, it no longer holds up the rest.
        return self._carry_out(group, decided) if decided else 0

    def decide(self, group: Group, message: Message) -> Routed:
        """What a message says; only people's messages lead to anything."""
        if message.message_type == "edit":
            return Routed(message, self.orders.reread(self.context.store.db, message, group))
        return Routed(message, self.orders.read(message, group))

    def _carry_out(self, group: Group, decided: Sequence[Routed]) -> int:
        if len(decided) > 1:
            subject = f"batch:{group.folder}"
            if self.context.attempt(subject, partial(self._batch, group, decided)):
                return len(decided)
            # One of them can't be carried out. One by one it is found, and the others pass.
            with self.context.store.atomic() as db:
                failures.clear(db, STAGE, subject)
        for number, routed in enumerate(decided):
            subject = _subject(routed.message)
            if routed.said is None:
                self._one(group, routed)
            elif self.context.attempt(subject, partial(self._one, group, routed)) is None:
                return number
        return len(decided)

    def _batch(self, group: Group, decided: Sequence[Routed]) -> bool:
        with self.context.store.atomic() as db:
            self._write(db, group, decided)
        return True

    def _one(self, group: Group, routed: Routed) -> bool:
        with self.context.store.atomic() as db:
            self._write(db, group, [routed])
            if routed.said is not None:  # here, or a kill in between would route it twice
                failures.clear(db, STAGE, _subject(routed.message))
        return True

    def _write(self, db: Connection, group: Group, decided: Sequence[Routed]) -> None:
        """The effects of some messages in order, and the cursor behind the last of them. What was
        decided before this transaction may have been carried out by somebody else since."""
        now = clock.now()
        cursor = groups.routed_through(db, group)
        if cursor is None:
            return
        # What waits in each thread, and outside of any.
        waiting: dict[str, Said] = {}
        for message, said in ((one.message, one.said) for one in decided):
            if message.seq <= cursor and not failures.has(db, STAGE, _subject(message)):
                continue
            if said is None or (said.original is not None and edits.is_overtaken(db, message)):
                continue
            showing.show(db, group, message, now)
            if _is_answered_by_host(db, said):
                continue
            if said.command is not None:  # what was said before it is not touched by it
                _queue_all(db, group, waiting, now)
            if message.message_type == "reaction":
                reacting.react(db, group, message, now)
            elif (answer := self.orders.obey(db, said, now)) is not None:
                _say(db, group, said.about, answer, now)
            elif said.original is not None and said.is_triggered:
                _queue_edited(db, group, said, said.original, now)
            elif said.is_triggered:
                waiting[message.thread] = said
        _queue_all(db, group, waiting, now)
        groups.route_through(db, group.folder, decided[-1].message.seq)

    def _again(self, group: Group, message: Message) -> bool:
        return self._one(group, self.decide(group, message))

    def _bring_back(self) -> int:
        """Route what failed once and is due again although its group has gone on."""
        done = 0
        for subject in failures.due(self.context.store.db, self.context.name, clock.now()):
            message = messages.get(self.context.store.db, int(subject.partition(":")[2]))
            group = groups.by_chat(self.context.store.db, message.chat_jid) if message else None
            if message is None or group is None:  # nobody is there any more to hear it
                with self.context.store.atomic() as db:
                    failures.clear(db, STAGE, subject)
                continue
            if message.seq > group.routed_seq:
                continue
            again = partial(self._again, group, message)
            done += self.context.attempt(subject, again) is not None
        return done

    def _tell(self) -> None:
        count = len(groups.all(self.context.store.db))
        if count != self._known:
            self._known = count
            tell = self.context.log.debug if self.context.once else self.context.log.info
            tell("groups loaded", groupCount=count)
            self.context.report(f"{count} group" + "s" * (count != 1))


def _subject(message: Message) -> str:
    return f"message:{message.seq}"


def _is_answered_by_host(db: Connection, said: Said) -> bool:
    """Whether it is an edit of what the host itself has answered, such as a chat command."""
    if said.original is None:
        return False
    return outbound.by_key(db, outbound.answer_to(said.original)) is not None


def _queue_all(db: Connection, group: Group, waiting: dict[str, Said], now: str) -> None:
    for said in sorted(waiting.values(), key=lambda said: said.message.seq):
        _queue(db, group, said, now)
    waiting.clear()


def _queue_edited(db: Connection, group: Group, said: Said, original: Message, now: str) -> None:
    """A run for what an edit has made something for the assistant; one that waits reads it as it is
    now, and one that began reads it no more."""
    folder, seq, thread = group.folder, original.seq, original.thread
    covering = runs.covering(db, folder, original)
    if any(run.state == "queued" for run in covering):
        return
    edit = replace(said.message, thread=thread)
    if not covering and messages.first_unread(db, folder, edit.seq, thread) <= seq:
        _queue(db, group, replace(said, message=edit), now)
    else:
        where = {"thread": thread, "lane": said.lane}
        runs.queue_apart(db, folder, seq, seq, original.chat_jid, now, **where)


def _queue(db: Connection, group: Group, said: Said, now: str) -> None:
    last = said.message
    where = {"thread": last.thread, "lane": said.lane}
    first = messages.first_unread(db, group.folder, last.seq, last.thread)
    covering = runs.covering(db, group.folder, last)
    if last.seq > (groups.routed_through(db, group) or 0):
        # A run for what the host itself added later has read it already.
        if all(run.state == "queued" for run in covering):
            runs.queue_chat(db, group.folder, first, last.seq, last.chat_jid, now, **where)
    elif all(run.state != "queued" for run in covering):
        # What came after it may be answered already, and is not to be joined with it.
        runs.queue_apart(db, group.folder, first, last.seq, last.chat_jid, now, **where)


def _say(db: Connection, group: Group, message: Message, answer: str, now: str) -> None:
    """Answer a message; so the agent is never given it."""
    outbound.say(
        db,
        key=outbound.answer_to(message),
        chat_jid=message.chat_jid,
        content=answer,
        source="host",
        now=now,
        group_folder=group.folder,
        thread=message.thread,
    )
