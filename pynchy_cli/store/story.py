"""All that the file knows of one message, run, task, job or reply, and of what followed from it:
rows, as facts for whoever tells the story. Nothing is decided or changed here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pynchy_cli.model import Delivery, Group, HostJob, Message, Part, Reply, Task
from pynchy_cli.store import (
    failures,
    groups,
    history,
    holds,
    jobs,
    messages,
    outbound,
    outbox,
    runs,
    tasks,
    undelivered,
)
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.failures import Failure
from pynchy_cli.store.holds import Hold

FIRINGS = 5
"""Firings of a task or a job that are told of."""
STEPS = 50
"""Calls of tools that are told of, of one run; all are counted."""
RUNS = 20
"""Runs that are told of, the newest."""


@dataclass(frozen=True)
class Shown:
    """A reply, and how it stands in each chat."""

    reply: Reply
    finished_at: str | None
    places: tuple[tuple[Delivery, tuple[Part, ...]], ...]


@dataclass(frozen=True)
class Wish:
    """What an agent asked of the host, and of people because of that: an approval or a question, as
    rows."""

    row: dict[str, Any]
    approval: dict[str, Any] | None = None
    question: dict[str, Any] | None = None


@dataclass(frozen=True)
class Work:
    """A run: its row, its trace (`counts` of each kind of step, the first `calls` of tools), what
    it asked and said; the run that is at work in its lane instead of it, until when it waits for a
    file, and its sandbox."""

    row: dict[str, Any]
    counts: dict[str, int]
    calls: tuple[tuple[str, str, Any], ...]
    begun: tuple[dict[str, Any], ...]
    wishes: tuple[Wish, ...]
    replies: tuple[Shown, ...]
    busy: int | None = None
    awaits_file: str | None = None
    sandbox: dict[str, Any] | None = None


@dataclass(frozen=True)
class Facts:
    """What the story is made of. `own` is the host's own reply to the message; `firings` are a
    task's or a job's, oldest first; `owners` the rows of processes; `alive` the stages that run
    now, which the locks tell; `at_work` how many runs are, everywhere."""

    now: str
    message: Message | None = None
    group: Group | None = None
    failure: Failure | None = None
    own: Shown | None = None
    works: tuple[Work, ...] = ()
    reply: Shown | None = None
    timed: Task | HostJob | None = None
    firings: tuple[Any, ...] = ()
    holds: tuple[Hold, ...] = ()
    owners: dict[int, dict[str, Any]] = field(default_factory=dict)
    alive: frozenset[str] = frozenset()
    at_work: int = 0


def of_message(db: Connection, message: Message) -> dict[str, Any]:
    """The facts of a message: its group, what stopped it, and each run that has it."""
    group = groups.by_chat(db, message.chat_jid)
    subject = f"message:{message.seq}"
    found = [one for one in failures.all(db) if (one.stage, one.subject) == ("route", subject)]
    covering = runs.covering(db, group.folder, message) if group is not None else []
    own = outbound.by_key(db, outbound.answer_to(message))
    return {
        "message": message,
        "group": group,
        "failure": found[0] if found else None,
        "own": shown(db, own) if own is not None else None,
        **_works(db, [run.id for run in covering][-RUNS:]),
    }


def of_run(db: Connection, run_id: int) -> dict[str, Any]:
    """The facts of a run and of those that went on with its work. Raises RunUnknown."""
    numbers, next = [run_id], history.successor(db, run_id)
    while next is not None and next not in numbers:
        numbers.append(next)
        next = history.successor(db, next)
    row = history.row(db, run_id)
    return {"group": groups.get(db, row["group"]), **_works(db, numbers)}


def of_reply(db: Connection, reply: Reply) -> dict[str, Any]:
    """The facts of a reply, and of the run that it is of."""
    known = reply.run_id is not None and runs_has(db, reply.run_id)
    more = _works(db, [reply.run_id]) if known and reply.run_id is not None else {}
    return {"reply": shown(db, reply), **more}


def of_task(db: Connection, task: Task) -> dict[str, Any]:
    """The facts of a task, its last firings, and the run of the last of them."""
    firings = tasks.outcomes(db, task.id, FIRINGS)[::-1]
    numbers = [one.run_id for one in firings[-1:] if one.run_id is not None]
    return {
        "timed": task,
        "firings": tuple(firings),
        "group": groups.get(db, task.group_folder),
        "failure": _of_schedule(db, f"task:{task.id}"),
        **_works(db, [one for one in numbers if runs_has(db, one)]),
    }


def of_job(db: Connection, job: HostJob) -> dict[str, Any]:
    """The facts of a host job, and its last firings."""
    firings = tuple(jobs.outcomes(db, job.id, FIRINGS)[::-1])
    return {"timed": job, "firings": firings, "failure": _of_schedule(db, f"job:{job.id}")}


def around(db: Connection) -> dict[str, Any]:
    """What matters to every story: holds, and how much is at work."""
    row = db.execute("SELECT count(*) FROM runs WHERE state = 'running'").fetchone()
    return {"holds": tuple(holds.all(db)), "at_work": int(row[0])}


def shown(db: Connection, reply: Reply) -> Shown:
    """How a reply stands."""
    row = db.execute("SELECT finished_at FROM outbound_ledger WHERE id = ?", (reply.id,)).fetchone()
    found = undelivered.of_reply(db, reply.id)
    return Shown(reply, row[0], tuple((one, tuple(outbox.parts(db, one))) for one in found))


def runs_has(db: Connection, run_id: int) -> bool:
    """Whether there is a run of this number; old ones are taken away."""
    return db.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone() is not None


def networks_message(db: Connection, id: str) -> list[int]:
    """The places of messages that their network calls so; a few at most."""
    # Chat by chat, as the index has them.
    rows = db.execute(
        "SELECT m.seq FROM chats c JOIN messages m ON m.chat_jid = c.jid"
        " WHERE m.id IN (?1, substr(c.jid, 1, instr(c.jid, ':') - 1) || '-' || ?1)"
        " ORDER BY m.seq LIMIT 10",
        (messages.stored_id(id),),
    )
    return [int(row[0]) for row in rows]


def _of_schedule(db: Connection, subject: str) -> Failure | None:
    found = (one for one in failures.all(db) if (one.stage, one.subject) == ("schedule", subject))
    return next(found, None)


def _works(db: Connection, numbers: list[int]) -> dict[str, Any]:
    works = tuple(_work(db, number) for number in numbers)
    wanted = {
        one["owner"]
        for work in works
        for one in (work.row, *work.begun, work.sandbox or {})
        if one.get("owner") is not None
    }
    rows = db.execute(
        "SELECT id, stage, pid, started_at, ended_at FROM processes"
        " WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(wanted)),),
    ).fetchall()
    return {"works": works, "owners": {row["id"]: dict(row) for row in rows}}


def _work(db: Connection, number: int) -> Work:
    row = history.row(db, number)
    counts = db.execute(
        "SELECT event_type, count(*) FROM events WHERE run_id = ? GROUP BY event_type", (number,)
    ).fetchall()
    return Work(
        row,
        {str(kind): int(count) for kind, count in counts},
        tuple(_calls(db, number)),
        tuple({"at": at, **json.loads(text)} for at, text in _of_kind(db, number, "begun")),
        tuple(_wish(db, dict(one)) for one in _requests(db, row["group"], number)),
        tuple(shown(db, reply) for reply in outbound.of_run(db, number)),
        _busy(db, row),
        _awaited(db, row),
        _sandbox(db, row),
    )


def _calls(db: Connection, number: int) -> Iterator[tuple[str, str, Any]]:
    for at, text in _of_kind(db, number, "tool_use"):
        payload = json.loads(text)
        yield at, str(payload.get("name")), payload.get("input")


def _of_kind(db: Connection, number: int, kind: str) -> list[Any]:
    return db.execute(
        "SELECT timestamp, payload FROM events WHERE run_id = ? AND event_type = ?"
        " ORDER BY id LIMIT ?",
        (number, kind, STEPS),
    ).fetchall()


def _requests(db: Connection, group: str, number: int) -> list[Any]:
    return db.execute(
        "SELECT id, type, state, session, child_run, created_at, decided_at, finished_at, answer"
        " FROM requests WHERE group_folder = ? AND run_id = ? ORDER BY id LIMIT ?",
        (group, number, STEPS),
    ).fetchall()


def _wish(db: Connection, row: dict[str, Any]) -> Wish:
    approval = db.execute("SELECT * FROM approvals WHERE request = ?", (row["id"],)).fetchone()
    question = db.execute("SELECT * FROM questions WHERE request = ?", (row["id"],)).fetchone()
    return Wish(row, dict(approval) if approval else None, dict(question) if question else None)


def _busy(db: Connection, row: dict[str, Any]) -> int | None:
    found = db.execute(
        "SELECT id FROM runs WHERE group_folder = ? AND lane = ? AND state = 'running' AND id <> ?",
        (row["group"], row["lane"], row["id"]),
    ).fetchone()
    return int(found[0]) if found else None


def _awaited(db: Connection, row: dict[str, Any]) -> str | None:
    if row["state"] != "queued" or row["kind"] != "chat":
        return None
    found = db.execute(
        "SELECT max(wait_until) FROM message_files WHERE state = 'waiting' AND seq BETWEEN ? AND ?",
        (row["first_seq"], row["last_seq"]),
    ).fetchone()
    return str(found[0]) if found[0] else None


def _sandbox(db: Connection, row: dict[str, Any]) -> dict[str, Any] | None:
    found = db.execute(
        "SELECT session_id, sandbox, folder, owner, runtime, started_at, last_used_at FROM sessions"
        " WHERE group_folder = ? AND lane = ?",
        (row["group"], row["lane"]),
    ).fetchone()
    return dict(found) if found else None
