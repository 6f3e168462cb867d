"""A group's conversation as a document: what was said and which tools were used, from rows. What
people and agents wrote is quoted, so that none of it passes for somebody else's words. A file
that exists is never overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pynchy_cli import clock
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import UsageWrong
from pynchy_cli.model import Group, Message
from pynchy_cli.output import plain
from pynchy_cli.store import messages
from pynchy_cli.store.connection import Connection
from pynchy_cli.tui.lines import Attached, as_row, attached, one_line

PAGE = 50
SHORT = 160
"""Characters that are shown of a tool call."""
PASSED_OVER = ("thinking", "tool_result")
"""Kinds of rows that are told in JSON only."""


Said = tuple[Message, tuple[Attached, ...]]


def said(db: Connection, home: Home, jids: list[str]) -> Iterator[Said]:
    """Everything that was said in the chats and that people may see, in order, with its files."""
    seq = 0
    while found := messages.after(db, jids, seq, PAGE):
        yield from ((message, attached(db, home, message)) for message in found)
        seq = found[-1].seq


def as_markdown(group: Group, found: Iterable[Said], now: str) -> Iterator[str]:
    """The conversation as the paragraphs of a Markdown document."""
    yield f"# {one_line(group.name)} ({group.folder}), until {_minute(now)} UTC\n"
    for message, files in found:
        if message.message_type == "tool_use":
            yield f"- tool: {_code(message.content)}\n"
        elif message.message_type not in PASSED_OVER:
            refused = ", not heard" if message.verdict == "refused" else ""
            who = _escaped(one_line(message.sender_name))
            yield f"**{who}**, {_minute(message.received_at)}{refused}\n"
            lines = [*plain(message.content).split("\n"), *map(str, files)]
            yield "".join(f"> {line}\n" for line in lines)


def as_ndjson(found: Iterable[Said]) -> Iterator[str]:
    """The conversation as JSON objects, one a line."""
    for message, files in found:
        yield json.dumps(as_row(message, files), ensure_ascii=False)


def write(path: Path, pieces: Iterable[str]) -> None:
    """Write the pieces, a line each at least, to a new file for its owner alone; all or none.

    Raises UsageWrong where it is there already, and OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise UsageWrong(f"{path} is there already, and is not overwritten.") from error
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
            for piece in pieces:
                file.write(piece)
                file.write("\n")
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _minute(moment: str) -> str:
    return clock.parse(moment).strftime("%Y-%m-%d %H:%M")


def _code(text: str) -> str:
    """A text in one short line of code."""
    line = one_line(text)
    line = line if len(line) <= SHORT else line[: SHORT - 1] + "…"
    return "`" + line.replace("`", "'") + "`"


def _escaped(name: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\*_`[]<>#" else letter for letter in name)
