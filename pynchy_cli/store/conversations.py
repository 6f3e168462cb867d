"""A conversation that begins anew, whoever asks for it: the model's, and what its next turn
reads of the chat. What was said stays stored, and what waits to be answered is answered still."""

from __future__ import annotations

from pynchy_cli.model import CHAT_LANE
from pynchy_cli.store import groups, messages, runs, sessions
from pynchy_cli.store.connection import Connection

FORGOTTEN = "🗑️ Forgotten. The next message begins a new conversation."
"""What the chat is told of it."""
LEFT = (
    "(You began this conversation anew yourself. This is what you left for yourself; nobody has "
    "asked it just now.)"
)


def reset(db: Connection, group_folder: str, lane: str, seq: int, now: str) -> None:
    """Forget the lane's conversation. In the chat's, what was said up to `seq` and is in no run
    yet is not told to the agent any more."""
    sessions.forget(db, group_folder, lane, now)
    if lane == CHAT_LANE:
        messages.clear(db, group_folder, seq)
        groups.answer_through(db, group_folder, seq)


def begin_with(
    db: Connection,
    group_folder: str,
    chat_jid: str,
    key: str,
    brief: str,
    now: str,
    *,
    lane: str = CHAT_LANE,
    thread: str = "",
) -> int:
    """Begin the chat's conversation anew with something that its own agent left for it; the run
    that waits for it. What people said and nobody has answered goes before it."""
    text = f"{LEFT}\n\n{brief}"
    seq = messages.tell(
        db, key=key, chat_jid=chat_jid, content=text, kind="brief", now=now, thread=thread
    )
    assert seq is not None, "a key of a request's own"
    reset(db, group_folder, lane, seq - 1, now)
    return runs.queue_chat(db, group_folder, seq, seq, chat_jid, now, thread=thread, lane=lane)
