"""What people have told to wait: nothing of a held group is begun, and with `outbound` nothing of
it goes out, until somebody releases it. Whoever claims a run or a delivery asks here in the same
transaction, so that a hold is in force from its commit on, and across restarts."""

from __future__ import annotations

from dataclasses import dataclass

from pynchy_cli.store.connection import Connection

EVERY = ""
"""In place of a group's folder: all groups."""
RUNS = "EXISTS (SELECT 1 FROM holds WHERE holds.group_folder IN ('', {group}))"
"""SQL: whether the runs of the group that `group` names are held."""
OUTBOUND = (
    "EXISTS (SELECT 1 FROM holds WHERE holds.outbound = 1"
    " AND holds.group_folder IN ('', coalesce({group}, '')))"
)
"""SQL: whether what goes out of the group that `group` names is held."""


@dataclass(frozen=True)
class Hold:
    """One hold. `group_folder` is None where it is of all groups; `outbound` says that replies
    wait, too; `held_by` is a person as the audit names them."""

    group_folder: str | None
    outbound: bool
    reason: str | None
    held_by: str
    held_at: str


def add(
    db: Connection,
    group_folder: str | None,
    *,
    outbound: bool,
    reason: str | None,
    by: str,
    now: str,
) -> Hold:
    """Hold a group, or all (None); the hold. One that stands keeps its time; it holds what goes out
    if either does, and has the newer reason."""
    row = db.execute(
        "INSERT INTO holds(group_folder, outbound, reason, held_by, held_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET outbound = max(outbound, excluded.outbound),"
        " reason = coalesce(excluded.reason, reason)"
        " RETURNING group_folder, outbound, reason, held_by, held_at",
        (group_folder or EVERY, int(outbound), reason, by, now),
    ).fetchone()
    return _hold(tuple(row))


def release(db: Connection, group_folder: str | None) -> Hold | None:
    """End the hold of a group, or the one of all (None); what it was, or None where none was."""
    row = db.execute(
        "DELETE FROM holds WHERE group_folder = ?"
        " RETURNING group_folder, outbound, reason, held_by, held_at",
        (group_folder or EVERY,),
    ).fetchone()
    return _hold(tuple(row)) if row else None


def all(db: Connection) -> list[Hold]:
    """All holds; the one of all groups first."""
    rows = db.execute(
        "SELECT group_folder, outbound, reason, held_by, held_at FROM holds ORDER BY group_folder"
    )
    return [_hold(tuple(row)) for row in rows]


def of_group(db: Connection, group_folder: str) -> Hold | None:
    """The hold that keeps a group from work: that of all groups, or its own."""
    return next((one for one in all(db) if one.group_folder in (None, group_folder)), None)


def _hold(row: tuple[str, int, str | None, str, str]) -> Hold:
    folder, outbound, reason, held_by, held_at = row
    return Hold(folder or None, bool(outbound), reason, held_by, held_at)
