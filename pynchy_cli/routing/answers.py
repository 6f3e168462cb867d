"""What became of a message: read from its group's cursor, its runs and the replies, so that
whoever said it knows when there is nothing more to wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pynchy_cli.model import Message, Reply, Run
from pynchy_cli.store import failures, groups, outbound, requests, runs
from pynchy_cli.store.connection import Connection

Ended = Literal["answered", "failed", "cancelled"]
Unheard = Literal["not_triggered", "refused", "ignored", "set_aside"]
State = Literal["waiting"] | Ended | Unheard


@dataclass(frozen=True)
class Outcome:
    """How far a message is, and what was said because of it so far."""

    state: State
    replies: tuple[Reply, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will come."""
        return self.state != "waiting"


def outcome(db: Connection, message: Message) -> Outcome:
    """What became of one message until now."""
    group = groups.by_chat(db, message.chat_jid)
    if group is None:
        return Outcome("ignored")
    if message.verdict == "refused":
        return Outcome("refused")
    if _is_set_aside(db, message):
        return Outcome("set_aside")
    if group.routed_seq < message.seq:
        return Outcome("waiting")
    said = outbound.by_key(db, outbound.answer_to(message))
    if said is not None:
        return _obeyed(db, group.folder, message, said)
    return _of_runs(db, group.folder, message)


def _obeyed(db: Connection, folder: str, message: Message, said: Reply) -> Outcome:
    """A command for the host's shell is answered at once, and again when it has ended."""
    row = requests.find(db, folder, requests.CHAT, requests.id_of_message(message.seq))
    if row is None:
        return Outcome("answered", (said,))
    if row.answer is None:
        return Outcome("waiting", (said,))
    ended = outbound.by_key(db, f"request:{row.id}:ended")
    return Outcome("answered", (said, ended) if ended else (said,))


def asked(db: Connection, folder: str, message: Message) -> list[Run]:
    """The runs by which a message is asked, oldest first: what became of it, the last one tells."""
    covering = runs.covering(db, folder, message)
    return [
        run
        for run in covering
        if (run.state != "superseded" or _has_answered(run, message)) and not _omits(run, covering)
    ]


def _of_runs(db: Connection, folder: str, message: Message) -> Outcome:
    mine = asked(db, folder, message)
    if not mine:
        return Outcome("not_triggered")
    replies = tuple(
        reply for run in mine for reply in outbound.of_run(db, run.id) if reply.is_final
    )
    if _has_answered(mine[-1], message):
        return Outcome("answered", replies)
    if any(run.state in ("queued", "running") for run in mine):
        return Outcome("waiting", replies)
    if mine[-1].state == "cancelled":
        return Outcome("cancelled", replies)
    return Outcome("answered" if mine[-1].state == "done" else "failed", replies)


def _omits(run: Run, covering: list[Run]) -> bool:
    """Whether a run passes the message over: it was cancelled in the midst of the run's range."""
    return any(
        one.state == "cancelled"
        and one.id != run.id
        and run.first_seq <= one.first_seq
        and one.last_seq <= run.last_seq
        for one in covering
    )


def _has_answered(run: Run, message: Message) -> bool:
    """Whether one of a run's finished answers takes the message into account."""
    return run.answered_seq >= message.seq


def _is_set_aside(db: Connection, message: Message) -> bool:
    subject = f"message:{message.seq}"
    return failures.has(db, "route", subject) and any(
        one.subject == subject and one.state == "set_aside" for one in failures.all(db)
    )
