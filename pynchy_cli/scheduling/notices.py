"""What the admin group's chats are told of host jobs: that one has begun to fail, and that it works
again. Of each failure the log tells; nobody is told the same every ten seconds."""

from __future__ import annotations

from pynchy_cli.model import Firing, HostJob
from pynchy_cli.output import plain
from pynchy_cli.store import admins, jobs
from pynchy_cli.store.connection import Connection

LINE = 300
"""Characters of a job's last line that are told."""
FAILED = "⚠️ The host job {job} {how}. `pynchy jobs log {id}` tells more."
UNKNOWN = (
    "⚠️ The host job {job} was interrupted: whether it was done is not known, and it is not begun "
    "again by itself. `pynchy jobs run {id}` begins it."
)
WELL = "✅ The host job {job} works again."


def tell(db: Connection, job: HostJob, firing: Firing, now: str) -> None:
    """Say how a firing that has just ended is another than the one before, where it is."""
    ended = jobs.outcome(db, firing.id)
    if ended is None:
        return
    before = jobs.status_before(db, job.id, firing.id)
    status = ended.firing.status
    if status == "unknown":
        text = UNKNOWN
    elif status != "done" and before in (None, "done"):
        text = FAILED
    elif status == "done" and before not in (None, "done"):
        text = WELL
    else:
        return
    words = text.format(job=_named(job), id=job.id, how=_how(ended).removesuffix("."))
    admins.tell(db, words, now, lambda folder: f"job:{firing.id}:{folder}")


def _named(job: HostJob) -> str:
    return f"{job.id} ({job.name})" if job.name else job.id


def _how(ended: jobs.Outcome) -> str:
    status, reason = ended.firing.status, ended.firing.reason
    if status in ("timeout", "stopped") and reason:
        return f"was ended: {reason}" if status == "stopped" else reason
    if reason:
        return f"failed: {reason}"
    last = plain((ended.output or "").strip().rpartition("\n")[2])[:LINE]
    return f"failed with exit code {ended.exit_code}" + (f": {last}" if last else "")
