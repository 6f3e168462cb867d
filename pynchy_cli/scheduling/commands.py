"""The command of one firing: how it is taken so that nobody else begins it, how it is run, and what
its end writes. A host job is begun once; a condition may be checked again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pynchy_cli import clock, host_command
from pynchy_cli.context import Context
from pynchy_cli.errors import CommandUnstartable
from pynchy_cli.host_command import Ended
from pynchy_cli.model import Firing, HostJob, Task, Timed
from pynchy_cli.scheduling import notices
from pynchy_cli.scheduling.leftovers import MARK
from pynchy_cli.scheduling.prompt import prompt
from pynchy_cli.store import jobs, tasks
from pynchy_cli.store.connection import Connection

KEPT = 16 * 1024
"""Bytes of a command's output that are kept."""
WORD = 200
"""Characters of a condition's last line that are kept."""
STOPPED = "the schedule was stopped"
UNKILLED = ", and can't be killed"

Write = Callable[[Connection], None]
"""Notes how a command has ended."""


class Key(NamedTuple):
    """A firing among those of both tables: of a `job`, or a `check` of a task's condition."""

    kind: str
    firing: int

    def mark(self, home: Path) -> str:
        """What its processes have in their environment."""
        return f"{self.kind}:{self.firing}@{home}"


class Place(NamedTuple):
    """Where commands are run: for whom, until when, and who is told of a process at once."""

    context: Context
    stop: asyncio.Event
    started: Callable[[Key, int], None]


def take_job(db: Connection, firing: Firing, job: HostJob, owner: int, now: str) -> bool:
    """Take a job to begin it; else it is left out, or somebody has it."""
    if not (reason := _unwanted(job, firing)):
        return jobs.begin(db, firing.id, owner, now)
    jobs.end(db, firing.id, "skipped", now, reason=reason)
    return False


def take_check(db: Connection, firing: Firing, task: Task, owner: int, now: str) -> bool:
    """Take a condition to check it; else it is left out, or somebody has it."""
    if not (reason := _unwanted(task, firing)):
        return tasks.begin(db, firing.id, owner)
    tasks.leave_out(db, firing.id, reason, now)
    return False


async def run_job(place: Place, firing: Firing, job: HostJob) -> Write:
    """Run a job that was taken."""
    log = place.context.log.bind(job=job.id, firing=firing.id)
    log.info("job started")
    begun = asyncio.get_running_loop().time()
    status, reason, ended = await _tried(
        place, Key("job", firing.id), job.command, job.cwd, job.timeout_seconds
    )
    seconds = round(asyncio.get_running_loop().time() - begun, 1)
    code = ended.code if ended else None
    tell = log.info if status in ("done", "stopped") else log.warning
    tell("job ended", status=status, code=code, seconds=seconds)
    output, now = ended.output if ended else None, clock.now()

    def write(db: Connection) -> None:
        jobs.end(db, firing.id, status, now, exit_code=code, output=output, reason=reason)
        notices.tell(db, job, firing, now)

    return write


async def run_check(place: Place, firing: Firing, task: Task) -> Write:
    """Check a condition that was taken. Without any, by now, it holds."""
    key = Key("check", firing.id)
    status, reason, ended = await _tried(
        place, key, task.condition or ":", None, task.timeout_seconds
    )
    code = ended.code if ended else None
    place.context.log.info("condition checked", task=task.id, firing=firing.id, status=status)
    if status == "failed" and ended is not None:
        last = ended.output.strip().rpartition("\n")[2][:WORD]
        reason = f"ended with exit code {code}" + (f": {last}" if last else "")
    said = None if status == "done" else f"the condition {reason}"
    if status == "stopped":
        return partial(tasks.put_back, firing=firing.id)
    return partial(_decide, firing=firing, owner=place.context.owner, reason=said)


def _decide(db: Connection, firing: Firing, owner: int, reason: str | None) -> None:
    """Start the run of a firing whose condition holds; `reason` is why it doesn't."""
    task = tasks.find(db, firing.of)
    if task is None or not tasks.is_checked_by(db, firing.id, owner):
        return
    reason = reason or _unwanted(task, firing)
    if reason:
        tasks.leave_out(db, firing.id, reason, clock.now())
    else:
        tasks.start(db, task, firing.id, prompt(task, firing), clock.now())


async def _tried(
    place: Place, key: Key, command: str, cwd: str | None, limit: float
) -> tuple[str, str | None, Ended | None]:
    """Run a command: its status, a reason where that doesn't tell all, and how it ended."""
    root = place.context.home.root
    try:
        ended = await host_command.run(
            command,
            cwd=root / _expanded(cwd or ""),
            environment={"PYNCHY_HOME": str(root), MARK: key.mark(root)},
            limit=limit,
            kept=KEPT,
            stop=place.stop,
            started=partial(place.started, key),
        )
    except CommandUnstartable as error:
        return "failed", str(error), None
    except asyncio.CancelledError:
        return "stopped", STOPPED, None  # it was killed; all that is left to do is to note it
    unkilled = UNKILLED if ended.code is None else ""
    if ended.how == "late":
        return "timeout", f"took longer than {limit:g} s{unkilled}", ended
    if ended.how == "stopped":
        return "stopped", STOPPED + unkilled, ended
    return ("done" if ended.code == 0 else "failed"), None, ended


def _expanded(cwd: str) -> Path:
    with contextlib.suppress(RuntimeError):
        return Path(cwd).expanduser()
    return Path(cwd)


def _unwanted(one: Timed, firing: Firing) -> str | None:
    """Why a firing is not begun any more: what somebody starts by hand is, even so."""
    if one.status in ("paused", "cancelled") and not firing.by_hand:
        return f"it was {one.status} before it was begun"
    return None
