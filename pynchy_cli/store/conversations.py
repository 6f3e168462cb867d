"""A conversation that begins anew, whoever asks for it: the model's, and what its next turn
reads of the chat. What was said stays stored, and what waits to be answered is answered still."""

from __future__ import annotations

from pynchy_cli.model import CHAT_LANE
from pynchy_cli.store import groups, messages, sessions
from pynchy_cli.store.connection import Connection

FORGOTTEN = "🗑️ Forgotten. The next message begins a new conversation."
"""What the chat is told of it."""


def reset(db: Connection, group_folder: str, lane: str, seq: int, now: str) -> None:
    """Forget the lane's conversation. In the chat's, what was said up to `seq` and is in no run
    yet is not told to the agent any more."""
    sessions.forget(db, group_folder, lane, now)
    if lane == CHAT_LANE:
        messages.clear(db, group_folder, seq)
        groups.answer_through(db, group_folder, seq)
