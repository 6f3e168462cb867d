"""Runs that belong to another run: its agent hands one a task, and waits for its result or collects
it later. Nobody else is ever told of it."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.model import CHILD_LANE, Run
from pynchy_cli.store import requests
from pynchy_cli.store.connection import Connection

RESULT = 64 * 1024
"""Bytes kept of what a child answers."""
CUT = "\n… (The rest was too long.)"
UNWANTED = "nobody waits for it any more"
STOPPED = "it was stopped"


@dataclass(frozen=True)
class Outcome:
    """How a child stands: `result` is its answer once it is done, `error` why it isn't."""

    state: str
    result: str | None
    error: str | None


def queue(db: Connection, parent: Run, request: int, prompt: str, shares: str, now: str) -> int:
    """Queue a child of a run for one request's task; its number."""
    row = db.execute(
        "INSERT INTO runs(group_folder, lane, kind, state, prompt, parent, depth, shares,"
        " created_at) VALUES (?, ?, 'child', 'queued', ?, ?, ?, ?, ?) RETURNING id",
        (
            *(parent.group_folder, f"{CHILD_LANE}{request}", prompt),
            *(parent.id, parent.depth + 1, shares, now),
        ),
    ).fetchone()
    return int(row[0])


def unfinished(db: Connection, group_folder: str) -> int:
    """How many children a group has, queued or at work."""
    row = db.execute(
        "SELECT count(*) FROM runs WHERE group_folder = ? AND state IN ('queued', 'running')"
        " AND kind = 'child'",
        (group_folder,),
    ).fetchone()
    return int(row[0])


def of(db: Connection, asker: Run, run_id: int) -> Outcome | None:
    """A child that the asker may know of: one of its group's, and where it is a child itself one of
    its own, so that none can wait for itself. None where that is no such run."""
    row = db.execute(
        "SELECT state, result, error FROM runs WHERE id = ? AND kind = 'child'"
        " AND group_folder = ? AND (parent = ? OR ?)",
        (run_id, asker.group_folder, asker.id, not asker.is_child),
    ).fetchone()
    return Outcome(*row) if row else None


def bounded(answer: str) -> str:
    """As much of an answer as is kept."""
    data = answer.encode("utf-8", "replace")
    if len(data) <= RESULT:
        return answer
    return data[: RESULT - len(CUT.encode())].decode("utf-8", "ignore") + CUT


def leave(db: Connection, run: Run, answer: str, now: str) -> None:
    """A run's attempt is over. What it waited for is answered with `answer`, for nobody hears it
    any more; children that it waited for from their beginnings on are ended, others live on."""
    rows = db.execute(
        "SELECT id, child_run, type FROM requests WHERE group_folder = ? AND lane = ?"
        " AND state = 'waiting' AND run_id = ? AND child_run IS NOT NULL",
        (run.group_folder, run.lane, run.id),
    ).fetchall()
    for id, child, type in rows:
        requests.answer(db, id, "failed", answer, now)
        if type == "run_in_sandbox":
            end(db, child, now)


def end(db: Connection, run_id: int, now: str) -> None:
    """Have a child end: at once where it waits for its turn, else as soon as its worker hears."""
    db.execute(
        "UPDATE runs SET state = 'cancelled', finished_at = ?, error = ?"
        " WHERE id = ? AND state = 'queued' AND kind = 'child'",
        (now, UNWANTED, run_id),
    )
    db.execute(
        "UPDATE runs SET asked = 'stop' WHERE id = ? AND state = 'running' AND kind = 'child'",
        (run_id,),
    )
