"""A group for tests that need one, and care for little of it."""

from __future__ import annotations

from pynchy_cli.model import TriggerMode
from pynchy_cli.store import Store, groups

NOW = "2026-01-31T08:00:00.000Z"


def add_team(
    store: Store, *, jid: str = "local:team", trigger_mode: TriggerMode = "mention"
) -> None:
    """The group `team`, in which `owner` may speak."""
    with store.atomic() as db:
        groups.add(
            db,
            folder="team",
            name="Team",
            jid=jid,
            is_admin=False,
            trigger_mode=trigger_mode,
            trigger_pattern=None,
            allowed_users=("owner",),
            now=NOW,
        )
