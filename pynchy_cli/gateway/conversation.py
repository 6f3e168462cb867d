"""Reads what a Messages request says: who said what, which tools were called in the turn at
hand, and what they gave. It decides nothing."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

import msgspec


class Spoken(msgspec.Struct):
    """One entry of a conversation."""

    role: str
    content: str | list[dict[str, Any]]

    def blocks(self) -> list[dict[str, Any]]:
        """The content as blocks, whichever way it was written."""
        if isinstance(self.content, str):
            return [{"type": "text", "text": self.content}]
        return self.content


class Asked(msgspec.Struct):
    """A Messages request, as far as the rehearsal reads it."""

    messages: list[Spoken]
    model: str
    stream: bool = False
    max_tokens: int = 1024
    tools: list[dict[str, Any]] = []
    tool_choice: dict[str, Any] | None = None

    def tool_names(self) -> frozenset[str]:
        """The tools that may be called."""
        if self.tool_choice is not None and self.tool_choice.get("type") == "none":
            return frozenset()
        return frozenset(str(tool.get("name", "")) for tool in self.tools)


@dataclass(frozen=True)
class Used:
    """A tool that was called in the turn at hand, and what it gave."""

    name: str
    input: dict[str, Any]
    result: str
    is_error: bool


@dataclass(frozen=True)
class Moment:
    """Where a conversation stands: all that people said before this turn, what they say in
    it, and what its tools gave."""

    before: tuple[str, ...]
    now: tuple[str, ...]
    used: tuple[Used, ...]


_LINE_NUMBER = re.compile(r"^ *\d+(?:→|\t)", re.MULTILINE)
_CUT_SHORT = "[Request interrupted by user"
"""How the core says that somebody ended the turn."""
_TOLD = "<messages"
"""What people say comes in this; it stands in what the core itself says where they say it while
the agent works."""
TASK, _ASKED = "[SCHEDULED TASK]\n", "\nThe task:\n"
"""A scheduled task's prompt begins with the one, and with the other what somebody wants done."""


def moment_of(messages: list[Spoken]) -> Moment:
    """Where the conversation stands."""
    before: list[str] = []
    now: list[str] = []
    calls: dict[str, dict[str, Any]] = {}
    used: list[Used] = []
    for entry in messages:
        blocks = entry.blocks()
        if entry.role == "assistant":
            called = {str(b.get("id")): b for b in blocks if b.get("type") == "tool_use"}
            if not called:  # an answer: the turn was over
                before += now
                now, used = [], []
            calls.update(called)
        if entry.role not in ("user", "system"):
            continue
        for block in blocks:
            text = str(block.get("text", "")) if block.get("type") == "text" else ""
            if block.get("type") == "tool_result":
                used.append(_used(block, calls.get(str(block.get("tool_use_id")), {})))
            elif text.startswith(_CUT_SHORT):
                before += now
                now, used = [], []
            elif entry.role == "user" or _TOLD in text:
                now += said_in(text)
    return Moment(tuple(before), tuple(now), tuple(used))


def said_in(text: str) -> list[str]:
    """What people said in a text: the messages of a transcript, a task (after `TASK`), or the text
    itself."""
    about, is_task, task = text.partition(_ASKED)
    if is_task and TASK in about and _TOLD not in about:
        found = [TASK + task.strip()]
    elif _TOLD in text:
        parts = (part.partition(">")[2] for part in text.split("<message ")[1:])
        found = [html.unescape(part.partition("</message>")[0]).strip() for part in parts]
    else:
        found = [without_reminders(text).strip()]
    return [part for part in found if part]


def without_reminders(text: str) -> str:
    """A text without what the core put into it itself. (A pattern with `.*?` would take
    quadratic time on what a sandbox may send.)"""
    first, *parts = text.split("<system-reminder>")
    rests = (part.partition("</system-reminder>") for part in parts)
    return first + "".join(after if closed else before for before, closed, after in rests)


def _used(block: dict[str, Any], call: dict[str, Any]) -> Used:
    content = block.get("content", "")
    if isinstance(content, list):
        parts = [str(part.get("text", "")) for part in content if isinstance(part, dict)]
        content = "\n".join(parts)
    result = without_reminders(str(content))
    name = str(call.get("name", "a tool"))
    if name == "Read":
        result = _LINE_NUMBER.sub("", result)
    given = call.get("input")
    arguments = given if isinstance(given, dict) else {}
    return Used(name, arguments, result.strip(), bool(block.get("is_error")))
