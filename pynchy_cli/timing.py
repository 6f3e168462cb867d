"""What somebody asked for as a schedule, with when it is due first; and the next due times of what
is scheduled, as people read them. Whoever makes tasks and host jobs makes them with this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from pynchy_cli import recurrence
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import ScheduleInvalid
from pynchy_cli.model import Timed
from pynchy_cli.recurrence import Schedule

SHOWN = 3
"""Due times that people are told of what they asked for."""
Kind = TypeVar("Kind", bound=Timed)


@dataclass(frozen=True)
class Timing:
    """A schedule from now on. `anchor` is an interval's first due time, and None for others."""

    schedule: Schedule
    anchor: str | None
    next_run: str


def default_zone(settings: Settings, environ: Mapping[str, str]) -> str:
    """The time zone of what names none: the configured one, else this machine's. Raises
    ScheduleInvalid where the configured one isn't one."""
    return recurrence.local_zone(settings.scheduler.timezone, environ.get("TZ"))


def timing(type: str, value: str, timezone: str, now: str) -> Timing:
    """A schedule as somebody asked for it, and when it is due first after `now`.

    Raises ScheduleInvalid with what is wrong, also where it is never due.
    """
    schedule = recurrence.read(type, value, timezone, now)
    due = recurrence.first(schedule, now)
    if due is None:
        raise ScheduleInvalid(f"{value!r} is never due.")
    return Timing(schedule, due if schedule.type == "interval" else None, due)


def schedule_of(one: Timed) -> Schedule:
    """The schedule of a row. Raises ScheduleInvalid where it is of no type that there is."""
    kind = one.schedule_type
    if kind not in recurrence.KINDS:
        raise ScheduleInvalid(f"{one.id} has a schedule of no type that there is: {kind!r}.")
    return Schedule(kind, one.schedule_value, one.timezone)


def timed_by(one: Kind, timing: Timing) -> Kind:
    """The same with another schedule."""
    return replace(
        one,
        schedule_type=timing.schedule.type,
        schedule_value=timing.schedule.value,
        timezone=timing.schedule.timezone,
        anchor=timing.anchor,
        next_run=timing.next_run,
    )


def next_times(one: Timed, now: str, count: int = SHOWN) -> list[dict[str, str]]:
    """The next due times, at most `count`, each in `utc` and `local` to its time zone. Of what is
    paused they are those that it would have; what has ended, or can't be read, has none."""
    if one.ended_at is not None:
        return []
    try:
        due = _next(one, now, count)
    except (ScheduleInvalid, ValueError):
        return []
    return [{"utc": moment, "local": recurrence.in_words(moment, one.timezone)} for moment in due]


def _next(one: Timed, now: str, count: int) -> list[str]:
    schedule = schedule_of(one)
    if one.status == "active" and one.next_run is not None:
        later = recurrence.upcoming(schedule, one.anchor, one.next_run, count - 1)
        return [one.next_run, *later][:count]
    return recurrence.upcoming(schedule, one.anchor, now, count)
