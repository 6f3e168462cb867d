"""The host's desk: takes in what agents ask, has it carried out, and gives the answers. All that it
knows is in the file, so that another process can go on where it was killed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from agent_runner.protocol import Error
from pynchy_cli import clock
from pynchy_cli.context import Context
from pynchy_cli.ipc import applying, approving, attachments, handlers, telling
from pynchy_cli.ipc.carrying import Carrying
from pynchy_cli.ipc.effects import Effect
from pynchy_cli.ipc.handlers import services
from pynchy_cli.ipc.inbox import InboxLost
from pynchy_cli.ipc.intake import Intake
from pynchy_cli.ipc.outbox import Outbox
from pynchy_cli.ipc.places import Places
from pynchy_cli.store import approvals, audit, outbound, questions, requests
from pynchy_cli.store.requests import Request as Row
from pynchy_cli.watch import watch_locks

HOUR = 3600.0
RETRY = 1.0
"""Seconds after which an answer that could not be written is tried again."""


class Desk:
    """A stage: one process's share of the requests."""

    def __init__(
        self,
        context: Context,
        effects: Mapping[str, Effect[Any]] | None = None,
        *,
        tells_head: bool = True,
    ) -> None:
        self.context = context
        self.tells_head = tells_head
        self.outbox = Outbox()
        self.places = Places(context, self.outbox.forget)
        found = handlers.effects() if effects is None else effects
        self.intake = Intake(context, found, self.outbox)
        self.carrying = Carrying(context, found)
        self._logged: float | None = None
        self._head = (0, "")
        watch_locks(context.watcher, context.home.locks, context.wake)
        services.report(context)
        db = context.store.db
        named = outbound.named_files(db) | requests.pinned_files(db)
        attachments.sweep(context.home, named, time.time())

    def drain(self) -> int:
        """Do or begin all that is due now; how much it was."""
        self._log_head()
        self.places.look()
        done = self._take() + self._expire() + self._children()
        return done + self.carrying.drain() + self._deliver()

    def deadline(self) -> float | None:
        """Seconds until something is due by the clock."""
        waits = [self.intake.deadline(place) for place in self.places]
        waits.append(self.places.deadline())
        if (expiry := approvals.next_expiry(self.context.store.db)) is not None:
            waits.append(clock.seconds_between(clock.now(), expiry))
        if self.intake.is_blocked:
            waits.append(RETRY)
        if self._logged is not None:
            waits.append(self._logged + HOUR - time.monotonic())
        return (
            max(0.0, min(known for known in waits if known is not None))
            if any(known is not None for known in waits)
            else None
        )

    def is_busy(self) -> bool:
        """Whether something is being carried out."""
        return self.carrying.is_busy()

    async def stop(self) -> None:
        """End what is in hand."""
        await self.carrying.stop()
        for place in self.places:
            self.places.close(place)

    def _take(self) -> int:
        self.places.listen_again()
        self.intake.begin()
        done = 0
        for place in self.places:
            try:
                done += self.intake.take(place)
            except InboxLost:
                self.places.close(place)
        return 0 if self.intake.is_blocked else done

    def _expire(self) -> int:
        now = clock.now()
        expiry = approvals.next_expiry(self.context.store.db)
        if expiry is None or expiry > now:
            return 0
        with self.context.store.atomic() as db:
            return approving.expire(db, now) + questions.expire(db, now)

    def _children(self) -> int:
        """Answer those who wait for another run that is over."""
        if not requests.finished_children(self.context.store.db):
            return 0
        with self.context.store.atomic() as db:
            found = requests.finished_children(db)
            for row, state, result, error in found:
                if state == "done":
                    told = {"run": row.child_run, "state": state, "result": result or ""}
                    applying.answered(db, row, "done", told)
                else:
                    why = error or f"the run was {state}"
                    applying.answered(db, row, "failed", Error(f"run_{state}", why))
        return len(found)

    def _deliver(self) -> int:
        """Give the answers that came later than their requests, and say them elsewhere where nobody
        waits any more."""
        store = self.context.store
        rows = requests.undelivered(store.db)
        given = [row for row in rows if self._given(row)]
        if given:
            with store.atomic() as db:
                for row in given:
                    requests.delivered(db, row.id)
                    if not telling.is_awaited(db, row):
                        telling.late(db, row, clock.now())
        return len(given)

    def _given(self, row: Row) -> bool:
        if row.session in (requests.CHAT, requests.HOST):
            return True
        session = self.context.home.session(row.group_folder, row.session)
        try:
            self.outbox.write(session, row.request_id, row.answer or "")
            self.intake.pace.took(row.group_folder, len(row.answer or ""), 0)
        except OSError as error:
            self.intake.block(error)
            return False
        return True

    def _log_head(self) -> None:
        """Tell the log, once an hour, where the audit log stands: what it shows from then on can't
        be rewritten unseen."""
        if not self.tells_head:
            return
        if self._logged is not None and time.monotonic() - self._logged < HOUR:
            return
        self._logged = time.monotonic()
        head = audit.head(self.context.store.db)
        if head != self._head:
            self._head = head
            # Whoever runs a stage once, in a shell, wants its result alone.
            tell = self.context.log.debug if self.context.once else self.context.log.info
            tell("audit head", row=head[0], hash=head[1])
