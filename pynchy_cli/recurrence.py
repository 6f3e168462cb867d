"""When something that recurs is due: cron expressions in a time zone, intervals from an anchor, and
single moments. Pure functions of what is given; moments are in the file's form (UTC).

Daylight saving: where a cron expression names hours, each local time counts once: one that is
skipped is due at the next valid moment, one that comes twice at its first. Where the hour is `*`,
real time counts, and every real hour has its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Literal

Kind = Literal["cron", "interval", "once"]
KINDS: tuple[Kind, ...] = ("cron", "interval", "once")
SHORTEST = 10
"""Seconds between two firings, at least."""
LONGEST = 366 * 86_400 * 10
"""Seconds between two firings, at most."""
ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_SPAN = re.compile(r"(\d{1,10})(?:\.0+)?\s*(s|sec|m|min|h|d|w)?")
_UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Schedule:
    """When something is due. `value` is in its canonical form: five fields or an alias, whole
    seconds, or a moment in the file's form; `timezone` an IANA name."""

    type: Kind
    value: str
    timezone: str


def read(type: str, value: str, timezone: str, now: str) -> Schedule:
    """What somebody asked for, checked. An interval is in seconds, or with a unit (`30m`); a single
    moment is local in the time zone where it has no zone of its own.

    Raises ScheduleInvalid with what is wrong, also where it is never due after `now`.
    """
    raise NotImplementedError


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name. Raises ScheduleInvalid, naming the nearest there is."""
    raise NotImplementedError


def local_zone(configured: str, environ_tz: str | None) -> str:
    """The IANA name that holds where none is given: the configured one, else $TZ, else what
    /etc/localtime links to, else UTC."""
    raise NotImplementedError


def first(schedule: Schedule, now: str) -> str | None:
    """When it is due first after `now`. For an interval this is its anchor, one interval ahead."""
    raise NotImplementedError


def following(schedule: Schedule, anchor: str | None, after: str) -> str | None:
    """When it is due next, later than `after`; None where never. `anchor` is an interval's first
    due time: all others are whole intervals from it."""
    raise NotImplementedError


def latest(schedule: Schedule, anchor: str | None, due: str, now: str) -> str:
    """The last time in `due` … `now` at which it was due; `due` is one itself."""
    raise NotImplementedError


def upcoming(schedule: Schedule, anchor: str | None, after: str, count: int) -> list[str]:
    """The next due times after a moment, at most `count`."""
    raise NotImplementedError


def in_words(moment: str, timezone: str) -> str:
    """A moment as people there read it: `Mon 2026-12-01 09:00 CET`."""
    raise NotImplementedError
