"""By which a sandbox is known: its name to people, its labels to a runtime, its lock to all."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pynchy_cli.config.paths import Home
from pynchy_cli.loop import Context
from pynchy_cli.model import CHAT_LANE, THREAD_LANE, Session


def sandbox_name(group_folder: str, lane: str) -> str:
    """What people see: `pynchy-<group>`, with the lane for any but the chat lane. Networks call
    their threads as they like, and a sandbox can't be."""
    if lane == CHAT_LANE:
        return f"pynchy-{group_folder}"
    if lane.startswith(THREAD_LANE):
        lane = f"{THREAD_LANE}{hashlib.sha256(lane.encode()).hexdigest()[:8]}"
    return f"pynchy-{group_folder}-{lane.replace(':', '-')}"


def labels(context: Context, session: Session) -> dict[str, str]:
    """By which a runtime knows whose a sandbox is."""
    return {
        "home": context.home.id,
        "group": session.group_folder,
        "session": str(session.folder),
        "owner": str(session.owner),
        "lane": session.lane,
    }


def lease_path(home: Home, folder: str) -> Path:
    """The lock that is held as long as any process of the sandbox lives."""
    return home.locks / f"sandbox-{folder}.lock"
