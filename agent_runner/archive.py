"""Keeps what was said before a conversation is compacted: the transcript's texts, as Markdown
in the group's folder. It never overwrites a file and never follows a link."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent_runner.bounds import cut, whole

FOLDER = "conversations"
LONG = 2000
"""Characters that are kept of one message."""
SLUG = 40
SPEAKERS = {"user": "User", "assistant": "Assistant"}
NOBODYS = ("isMeta", "isSidechain", "isCompactSummary")
"""Marks of entries that the client made by itself."""
TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True)
class Said:
    """One message of a transcript."""

    role: str
    text: str


def keep(transcript: Path, group: Path, now: datetime) -> Path | None:
    """Write the transcript's last part to `<group>/conversations`; the file, or None where
    nothing was said. Raises OSError."""
    said = read(transcript)
    if not said:
        return None
    (group / FOLDER).mkdir(exist_ok=True)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(group / FOLDER, flags)
    try:
        name = f"{now:%Y-%m-%d-%H%M%S}-{slug(said)}"
        return group / FOLDER / _write(folder, name, markdown(said, now))
    finally:
        os.close(folder)


def read(transcript: Path) -> list[Said]:
    """What is in no earlier archive. A line that can't be read is left out.

    Raises OSError.
    """
    fd = os.open(transcript, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, encoding="utf-8", errors="replace") as lines:  # noqa: PTH123 - opened safely
        return parse(lines)


def parse(lines: Iterable[str]) -> list[Said]:
    """The messages in the lines of a transcript, since its last compaction. What was asked last
    before that one is among them: it set it off, and was written down after it was archived."""
    said: list[Said] = []
    for line in lines:
        entry: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
        if not isinstance(entry, dict):
            continue
        if entry.get("subtype") == "compact_boundary":
            said = _unanswered(said)
        elif (one := _said(entry)) is not None:
            said.append(one)
    return said


def _unanswered(said: list[Said]) -> list[Said]:
    answers = [at for at, each in enumerate(said, 1) if each.role == "assistant"]
    return said[answers[-1] if answers else 0 :]


def _said(entry: dict[str, Any]) -> Said | None:
    """What somebody said in an entry; None where it is something else."""
    if any(entry.get(mark) for mark in NOBODYS):
        return None
    role, holder, name = str(entry.get("type")), entry.get("message"), "content"
    if role == "attachment":  # what was said during a tool
        role, holder, name = "user", entry.get("attachment"), "prompt"
        if not isinstance(holder, dict) or holder.get("type") != "queued_command":
            return None
    if role not in SPEAKERS:
        return None
    text = "\n".join(_texts(holder.get(name) if isinstance(holder, dict) else None))
    return Said(role, whole(text.strip())) if text.strip() else None


def markdown(said: list[Said], now: datetime) -> str:
    """The messages as a document."""
    parts = [f"# Conversation until {now:%Y-%m-%d %H:%M} UTC"]
    parts += [f"**{SPEAKERS[each.role]}**\n\n{cut(each.text, LONG)}" for each in said]
    return "\n\n".join(parts) + "\n"


def slug(said: list[Said]) -> str:
    """A few words of what was asked first, fit for the name of a file."""
    first = next((each.text for each in said if each.role == "user"), "")
    words = re.findall(r"[a-z0-9]+", TAG.sub(" ", first[:LONG]).lower())
    return "-".join(words)[:SLUG].strip("-") or "conversation"


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and block.get("type") == "text":
                text = str(block.get("text", ""))
                if not text.lstrip().startswith("<system-reminder>"):
                    yield text


def _write(folder: int, name: str, text: str) -> str:
    """The name under which the text was written: the wanted one, or one with a number."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    number = 1
    while True:
        wanted = f"{name}.md" if number == 1 else f"{name}-{number}.md"
        try:
            fd = os.open(wanted, flags, 0o644, dir_fd=folder)
        except FileExistsError:
            number += 1
            continue
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - opened safely
            file.write(text)
        return wanted
