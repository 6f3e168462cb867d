"""How a message looks in a terminal and as JSON. What it holds is other people's, so a
terminal is never given it with control characters in it."""

from __future__ import annotations

from typing import Any

from pynchy_cli import clock
from pynchy_cli.model import Message
from pynchy_cli.output import plain


def as_line(message: Message, *, with_chat: bool = False) -> str:
    """For people: local time, who, what; further lines are indented."""
    when = clock.parse(message.received_at).astimezone().strftime("%H:%M:%S")
    where = f" {message.chat_jid}" if with_chat else ""
    refused = " (refused)" if message.verdict == "refused" else ""
    return f"{when}{plain(where)} {one_line(message.sender_name)}{refused}: {indented(message)}"


def indented(message: Message) -> str:
    """The text with its further lines indented, so that none looks like another message."""
    return plain(message.content).replace("\n", "\n    ")


def one_line(name: str) -> str:
    """A name, in one line."""
    return plain(name).replace("\n", " ").replace("\t", " ")


def as_row(message: Message) -> dict[str, Any]:
    """For programs: one message as a JSON object."""
    return {
        "seq": message.seq,
        "id": message.id,
        "chat": message.chat_jid,
        "sender": message.sender,
        "sender_name": message.sender_name,
        "content": message.content,
        "timestamp": message.timestamp,
        "type": message.message_type,
        "verdict": message.verdict,
        "run": message.run_id,
    }
