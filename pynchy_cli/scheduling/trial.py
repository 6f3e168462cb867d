"""What would become of a schedule, were it asked for: whether it can be, and when it is due.
Nothing is stored."""

from __future__ import annotations

from typing import Any

from pynchy_cli import recurrence
from pynchy_cli.errors import ScheduleInvalid

MOST = 1000
"""Due times of one answer, at most."""


def ask(type: str, value: str, timezone: str, after: str, count: int) -> dict[str, Any]:
    """Whether a schedule can be, its next due times after a moment, and what is wrong. The moment
    is local in the time zone where it has none of its own.

    Raises ValueError where the moment is none, or so many due times aren't told.
    """
    if not 0 <= count <= MOST:
        raise ValueError(f"count can be 0 to {MOST}")
    try:
        recurrence.zone(timezone)
        start = _start(after, timezone)
        schedule = recurrence.read(type, value, timezone, start)
    except ScheduleInvalid as error:
        return {"valid": False, "next": [], "error": str(error)}
    due = recurrence.upcoming(schedule, None, start, count)
    return {"valid": True, "next": due, "error": None}


def _start(after: str, timezone: str) -> str:
    try:
        return recurrence.moment(after, timezone)
    except ScheduleInvalid as error:
        raise ValueError(f"after: {error}") from error
