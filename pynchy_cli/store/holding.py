"""What people tell to wait and to go on, as decisions: the hold, its row of the audit, and where it
was asked for the end of what is at work, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.model import Run
from pynchy_cli.store import audit, cancelling, holds
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.holds import Hold

KIND = "hold"
"""What the audit calls such a decision."""
ALL = "all groups"
SHELL = "owner (shell)"
"""Who holds and releases in a shell, as the audit tells it."""


@dataclass(frozen=True)
class Held:
    """A hold that is in force, and the runs at work that were asked to stop."""

    hold: Hold
    stopped: tuple[Run, ...] = ()


def hold(
    db: Connection,
    group_folder: str | None,
    *,
    who: str,
    now: str,
    outbound: bool = False,
    reason: str | None = None,
    stop: bool = False,
) -> Held:
    """Hold a group, or all (None); with `stop` what they are at work on ends, too. `who` is a
    person as the audit names them."""
    made = holds.add(db, group_folder, outbound=outbound, reason=reason, by=who, now=now)
    stopped = cancelling.stop_each(db, group_folder, now) if stop else []
    facts = {"outbound": made.outbound, "stopped": [run.id for run in stopped]}
    audit.add(
        db,
        KIND,
        "held",
        who=who,
        subject=group_folder or ALL,
        now=now,
        group_folder=group_folder,
        reason=reason,
        detail=facts,
    )
    return Held(made, tuple(stopped))


def release(db: Connection, group_folder: str | None, *, who: str, now: str) -> Hold | None:
    """End the hold of a group, or the one of all (None); what it was, or None where none was."""
    was = holds.release(db, group_folder)
    if was is not None:
        audit.add(
            db,
            KIND,
            "released",
            who=who,
            subject=group_folder or ALL,
            now=now,
            group_folder=group_folder,
            detail={"outbound": was.outbound, "held_at": was.held_at, "held_by": was.held_by},
        )
    return was
