"""What the rehearsal's script makes of sentences about tasks, and of a scheduled task's own run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pynchy_cli.gateway.conversation import TASK

Wish = tuple[str, dict[str, Any]]
"""One of the host's tools, and its arguments."""

_REMIND = re.compile(
    r"\bremind\s+me\s+(?:every\s+(?P<interval>\d{1,10}\s?[a-z]{0,3})"
    r"|at\s+(?P<once>\d{4}-\d\d-\d\d[ T]\d\d:\d\d)"
    r"|on\s+[`\"“](?P<cron>[^`\"“”\n]{1,100})[`\"”])\s+to\s+(?P<what>[^\n]{1,500})",
    re.IGNORECASE,
)
_MINE = re.compile(r"\bmy\s+tasks\b", re.IGNORECASE)
_CHANGE = re.compile(r"\b(cancel|pause|resume)\s+`?((?:task|job)-[\w-]{1,60})", re.IGNORECASE)
_NOTHING = re.compile(r"\bsay\s+nothing\b", re.IGNORECASE)


def wishes(said: str) -> Iterator[Wish]:
    """What a saying asks of the clock."""
    for found in _REMIND.finditer(said):
        kind = next(one for one in ("interval", "once", "cron") if found[one])
        what = found["what"].strip().rstrip(".!")
        yield (
            "schedule_task",
            {
                "schedule_type": kind,
                "schedule_value": found[kind],
                "prompt": f"Remind me to {what}.",
            },
        )
    if _MINE.search(said):
        yield "list_tasks", {}
    for found in _CHANGE.finditer(said):
        yield f"{found[1].lower()}_task", {"task_id": found[2]}


def without(said: str) -> str:
    """A saying without what is to be done at another time."""
    return _REMIND.sub("", said)


def task_in(said: str) -> str | None:
    """What a scheduled task says, where it is its run that is told so; else None."""
    return said.removeprefix(TASK) if said.startswith(TASK) else None


def is_silent(said: str) -> bool:
    """Whether it is a scheduled task's run which is to say nothing."""
    task = task_in(said)
    return task is not None and _NOTHING.search(task) is not None
