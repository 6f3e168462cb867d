"""How a message looks in a terminal and as JSON. What it holds is other people's, so a
terminal is never given it with control characters in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynchy_cli import clock
from pynchy_cli.agent.weight import size
from pynchy_cli.config.paths import Home
from pynchy_cli.model import Attachment, Message
from pynchy_cli.output import plain
from pynchy_cli.store import outbound
from pynchy_cli.store.connection import Connection
from pynchy_cli.store.events import Event

MARKS = {"thinking": "~", "tool_use": ">", "tool_result": "<"}
"""What stands before that which an agent does and doesn't say."""
CHANGES = {
    "edit": "(edited) {content}",
    "deletion": "(has deleted something)",
    "reaction": ":{content}:",
}
"""How that is shown which only changes what was said, or is no word."""
LINES = 5
LENGTH = 240
"""So much is shown of a step of an agent; the whole of it is in the run's log."""


@dataclass(frozen=True)
class Attached:
    """A file of a message, and where it lies on this machine."""

    file: Attachment
    path: Path

    def __str__(self) -> str:
        return f"📎 {one_line(self.file.name)} ({size(self.file.size)}) {plain(str(self.path))}"


def attached(db: Connection, home: Home, message: Message) -> tuple[Attached, ...]:
    """The files that came with a message, in order."""
    return tuple(Attached(one, home.files / one.sha256) for one in outbound.files_of(db, message))


def as_line(message: Message, files: Sequence[Attached] = (), *, with_chat: bool = False) -> str:
    """For people: local time, who, what; further lines are indented."""
    when = clock.parse(message.received_at).astimezone().strftime("%H:%M:%S")
    where = f" {message.chat_jid}" if with_chat else ""
    return f"{when}{plain(where)} {as_said(message, files)}"


def as_said(message: Message, files: Sequence[Attached] = (), where: str = "") -> str:
    """Who and what: `ann: hello`, with `where` it was said if that is given; or a step of an agent,
    cut short: `pynchy > Bash ls`. Further lines are indented, so that none looks like another
    message."""
    who = one_line(message.sender_name)
    if mark := MARKS.get(message.message_type):
        return f"{who} {mark} {_indented(_short(message.content))}"
    change = CHANGES.get(message.message_type, "{content}")
    content = change.replace("{content}", message.content)
    if message.message_type == "assistant":
        content = without_marks(content)
    refused = " (refused)" if message.verdict == "refused" else ""
    place = f" ({one_line(where)})" if where else ""
    said = f"{who}{place}{refused}: {_indented(content)}"
    return "\n    ".join([said, *map(str, files)])


def without_marks(text: str) -> str:
    """What an agent writes, in Markdown, as a terminal shows it."""
    # The reader takes a while to load, and much that is shown is no agent's.
    from pynchy_cli.channels.plain import plain_text

    return plain_text(text)


def _short(text: str) -> str:
    whole = text.strip()
    kept = "\n".join(whole.split("\n", LINES)[:LINES])[:LENGTH]
    return kept if kept == whole else f"{kept} …"


def _indented(text: str) -> str:
    return plain(text).replace("\n", "\n    ")


def one_line(name: str) -> str:
    """A name, in one line."""
    return plain(name).replace("\n", " ").replace("\t", " ")


def as_row(message: Message, files: Sequence[Attached] = ()) -> dict[str, Any]:
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
        "files": [
            {"name": one.file.name, "size": one.file.size, "path": str(one.path)} for one in files
        ],
    }


def event_row(event: Event) -> dict[str, Any]:
    """For programs: one step of an agent as a JSON object."""
    return {
        "event": event.id,
        "group": event.group_folder,
        "chat": event.chat_jid,
        "run": event.run_id,
        "timestamp": event.timestamp,
        "type": event.event_type,
        "payload": json.loads(event.payload),
    }


def event_line(event: Event) -> str:
    """For people: local time, whose step, what; cut short, for the whole is in the run's log."""
    when = clock.parse(event.timestamp).astimezone().strftime("%H:%M:%S")
    run = f" run {event.run_id}" if event.run_id is not None else ""
    payload = json.loads(event.payload)
    text = str(payload.get("text") or payload.get("content") or "")
    if event.event_type == "tool_use":
        text = f"{payload.get('name')} {json.dumps(payload.get('input'), ensure_ascii=False)}"
    text = text or json.dumps(payload, ensure_ascii=False)
    mark = MARKS.get(event.event_type, event.event_type)
    return f"{when} {event.group_folder or '-'}{run} {mark} {_indented(_short(text))}"
