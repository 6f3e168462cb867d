"""`run_in_sandbox` and `collect_sandbox`: an agent hands a task to a fresh sandbox of its own
group, and gets its result. A child never has more of the group's folder than its parent."""

from __future__ import annotations

from typing import Any

from agent_runner.protocol import requests as protocol
from pynchy_cli.errors import RequestRefused, RunUnknown
from pynchy_cli.ipc.effects import WAITS, Asked, Effect, Result
from pynchy_cli.model import Run
from pynchy_cli.store import children, requests, runs, sessions
from pynchy_cli.store.connection import Connection

SHARES = ("none", "read", "write")
"""What a child may have of the group's folder, the least first."""
OVER = ("done", "failed", "cancelled", "superseded")


def _run(db: Connection, asked: Asked[protocol.RunInSandbox], now: str, prepared: Any) -> Result:
    wish, parent = asked.request, _asker(db, asked)
    limits = asked.context.settings.sandbox
    if parent.depth >= limits.max_depth:
        raise RequestRefused(
            "too_deep",
            f"This sandbox may start no other: only {limits.max_depth} may be started below each "
            "other. Do the task yourself.",
        )
    if children.unfinished(db, asked.group.folder) >= limits.max_children:
        raise RequestRefused(
            "too_many",
            f"This group has {limits.max_children} such sandboxes at work already, and may have no "
            "more. Wait for one of them, or do the task yourself.",
        )
    _require_share(parent, wish.folder)
    child = children.queue(db, parent, asked.row.id, wish.task, wish.folder, now)
    if not wish.wait:
        return {"run": child, "state": "queued"}
    requests.wait_for(db, asked.row.id, child)
    return WAITS


def _require_share(parent: Run, wanted: str) -> None:
    """Raises RequestRefused where the asker hasn't itself what a child is to have."""
    has = parent.shares if parent.is_child else SHARES[-1]
    if SHARES.index(wanted) > SHARES.index(has or SHARES[0]):
        raise RequestRefused(
            "forbidden",
            f"This sandbox can't share the group's folder so: its own share is {has!r}. Ask again "
            f"with folder {has!r}.",
        )


def _collect(
    db: Connection, asked: Asked[protocol.CollectSandbox], now: str, prepared: Any
) -> Result:
    wish, asker = asked.request, _asker(db, asked)
    found = children.of(db, asker, wish.run)
    if found is None:
        raise RequestRefused("run_unknown", f"There is no run {wish.run} that you could collect.")
    if found.state not in OVER:
        if not wish.wait:
            return {"run": wish.run, "state": found.state}
        requests.wait_for(db, asked.row.id, wish.run)
        return WAITS
    if found.state == "done":
        return {"run": wish.run, "state": "done", "result": found.result or ""}
    raise RequestRefused(f"run_{found.state}", found.error or f"the run was {found.state}")


def _asker(db: Connection, asked: Asked[Any]) -> Run:
    """The run whose agent asks. Raises RequestRefused where none is at work, or in another sandbox
    by now: nobody would hear the answer."""
    try:
        run = runs.get(db, asked.row.run_id or 0)
    except RunUnknown:
        run = None
    session = sessions.get(db, asked.row.group_folder, asked.row.lane)
    if run is None or run.state != "running" or session.folder != asked.row.session:
        raise RequestRefused("no_turn", "Only an agent at work on a turn can ask for this.")
    return run


def _summary(wish: protocol.RunInSandbox) -> str:
    waits = "and wait for its answer" if wish.wait else "without waiting for its answer"
    folder = {
        "none": "which sees nothing of the group's folder",
        "read": "which may read the group's folder",
        "write": "which may read and write the group's folder",
    }[wish.folder]
    return f"Hand this task to another sandbox, {folder}, {waits}:\n{wish.task}"


EFFECTS: dict[str, Effect[Any]] = {
    "run_in_sandbox": Effect(rows=_run, summary=_summary),
    "collect_sandbox": Effect(
        rows=_collect, summary=lambda wish: f"Collect the result of run {wish.run}."
    ),
}
