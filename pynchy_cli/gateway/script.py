"""The rehearsal's script: what is said or done next, decided from the conversation alone, so
that the same conversation always goes the same way. It claims no understanding, and says so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any

from pynchy_cli.gateway import reminders
from pynchy_cli.gateway.conversation import Moment, Used
from pynchy_cli.gateway.mode import HOW_TO_GET_A_MODEL

INTRODUCTION = "This is a rehearsal: a script answers, no model is behind it."
FAREWELL = (
    f"To have a real model answer, {HOW_TO_GET_A_MODEL}; `pynchy up` takes it over by itself."
)
SHOWN = 4000
"""Characters of a tool's result that an answer repeats."""


@dataclass(frozen=True)
class Tool:
    """A tool to be called."""

    name: str
    input: dict[str, Any]


_READ = re.compile(
    r"\b(?:read|open|cat|look\s+(?:in|into|at)|show(?:\s+me)?|what(?:'s|\s+is)\s+in)\s+"
    r"(?:the\s+|my\s+)?(?:file\s+|contents?\s+of\s+)?[`'\"“‘]?([\w./-]+)",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"\blist\s+(?:all\s+|the\s+|your\s+|my\s+)*files\b|\b(?:which|what)\s+files\b", re.IGNORECASE
)
_RUN = re.compile(r"\brun\s+(?:the\s+command\s+)?`([^`\n]+)`", re.IGNORECASE)
_ASK = re.compile(r"\bask\s+me\b[:,]?\s+([^\n?.!]{1,200}?)\s+or\s+([^\n?.!]{1,200})", re.IGNORECASE)
_SEND = re.compile(r"\bsend\s+(?:me\s+)?(?:the\s+text\s+)?`([^`\n]+)`", re.IGNORECASE)
_HAND = re.compile(r"\bhand\s+(?:over\s+)?`([^`\n]+)`\s+to\b", re.IGNORECASE)
_REGISTER = re.compile(r"\bregister\s+`?([a-z][\w-]*:[^\s`]+)`?\s+as\s+`?([\w-]+)", re.IGNORECASE)
HOST = "mcp__pynchy__"
"""How the tools are called that ask the sandbox's host."""
_REMEMBER = re.compile(
    r"\bwhat\s+(?:did|have)\s+I\s+(?:say|said|tell|told|ask|asked|write|written)\b", re.IGNORECASE
)


def next_step(moment: Moment, tools: frozenset[str]) -> Tool | str:
    """The next tool to call, or the answer."""
    wanted = (tool for said in moment.now for tool in wishes(said, tools))
    return next(islice(wanted, len(moment.used), None), None) or answer(moment, tools)


def wishes(said: str, tools: frozenset[str]) -> Iterator[Tool]:
    """The tools that a saying asks for, as far as there are any for it."""
    task = reminders.task_in(said)
    if reminders.is_silent(said):
        yield from (Tool(name, {}) for name in tools & {f"{HOST}finished_work"})
        return
    said = said if task is None else task
    for name, input in reminders.wishes(said):
        if f"{HOST}{name}" in tools:
            yield Tool(f"{HOST}{name}", input)
    said = reminders.without(said)
    for name in _files(said):
        if "Read" in tools:
            yield Tool("Read", {"file_path": name})
        elif "Bash" in tools:
            yield _shell(f"cat -- {shlex.quote(name)}", "Show the file")
    if _LIST.search(said):
        if "Bash" in tools:
            yield _shell("ls -A", "List the files")
        elif "Glob" in tools:
            yield Tool("Glob", {"pattern": "*"})
    if "Bash" in tools:
        for found in _RUN.finditer(said):
            yield _shell(found[1], "Run the command")
    yield from (one for one in _asked_of_host(said) if one.name in tools)


def _asked_of_host(said: str) -> Iterator[Tool]:
    """What only the sandbox's host can do."""
    for found in _SEND.finditer(said):
        yield Tool(f"{HOST}send_message", {"text": found[1]})
    for found in _ASK.finditer(said):
        options = [{"label": one.strip()} for one in found.groups()]
        question = {"question": f"{options[0]['label']} or {options[1]['label']}?"}
        yield Tool(f"{HOST}ask_user", {"questions": [{**question, "options": options}]})
    for found in _HAND.finditer(said):
        yield Tool(f"{HOST}run_in_sandbox", {"task": found[1]})
    for found in _REGISTER.finditer(said):
        folder = found[2].lower()
        named = {"jid": found[1], "folder": folder, "name": found[2]}
        yield Tool(f"{HOST}register_group", named)


def _files(said: str) -> Iterator[str]:
    """The files to be read: words after a verb of reading that look like a file's name."""
    for found in _READ.finditer(said):
        name = found[1].rstrip("./-")
        if "." in name.lstrip(".") or "/" in name or name.startswith("."):
            yield name


def _shell(command: str, description: str) -> Tool:
    return Tool("Bash", {"command": command, "description": description})


def answer(moment: Moment, tools: frozenset[str]) -> str:
    """The answer at the end of a turn."""
    if not moment.used and any(map(reminders.is_silent, moment.now)):
        return "<internal>The task wants nothing to be said.</internal>"
    parts = [INTRODUCTION, *(report(used) for used in moment.used)]
    earlier = tuple(takewhile(lambda said: not _REMEMBER.search(said), moment.now))
    if len(earlier) < len(moment.now):
        parts.append(_memory((*moment.before, *earlier)))
    else:
        heard = (said for said in moment.now if not any(wishes(said, tools)))
        parts.append("\n".join(_heard(said) for said in heard))
    return "\n\n".join(part for part in (*parts, FAREWELL) if part)


def _heard(said: str) -> str:
    """A saying that no tool was called for, repeated."""
    task = reminders.task_in(said)
    return f"You said: {_cut(said)}" if task is None else f"It is time for this: {_cut(task)}"


def report(used: Used) -> str:
    """What a tool gave, in words."""
    subject = used.input.get("file_path") or used.input.get("command") or used.input.get("pattern")
    name = used.name.removeprefix(HOST)
    named = f"{name} {subject}" if subject else name
    if used.is_error:
        return f"I tried {named}; it failed:\n\n{_cut(used.result)}"
    return f"I used {named}; it says:\n\n{_cut(used.result) or '(nothing)'}"


def _memory(before: tuple[str, ...]) -> str:
    if not before:
        return "You said nothing before this; the conversation begins here."
    lines = (f"{number}. {_cut(said)}" for number, said in enumerate(before, 1))
    return "Before this you said:\n" + "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + " …"
