"""When something that recurs is due: cron expressions in a time zone, intervals from an anchor, and
single moments. Pure functions of what is given; moments are in the file's form (UTC).

Daylight saving: where a cron expression names hours, each local time counts once: one that is
skipped is due at the next valid moment, one that comes twice at its first. Where the hour is `*`,
real time counts, and every real hour has its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from pynchy_cli import clock, cron
from pynchy_cli.cron import ALIASES as ALIASES
from pynchy_cli.cron import Cron
from pynchy_cli.errors import ScheduleInvalid
from pynchy_cli.local_time import local_zone as local_zone
from pynchy_cli.local_time import moment_of
from pynchy_cli.local_time import zone as zone

Kind = Literal["cron", "interval", "once"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SHORTEST = 10
"""Seconds between two firings, at least."""
LONGEST = 366 * 86_400 * 10
"""Seconds between two firings, at most."""
LONGEST_VALUE = 200
"""Characters of a schedule's value, at most."""
_SPAN = re.compile(r"(\d{1,10})(?:\.0+)?\s*(s|sec|m|min|h|d|w)?", re.ASCII)
_UNITS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
Next = Callable[[datetime], datetime | None]


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
    zone(timezone)
    if len(value) > LONGEST_VALUE:
        raise ScheduleInvalid(f"A schedule has at most {LONGEST_VALUE} characters.")
    if type == "cron":
        schedule = Schedule("cron", cron.canonical(value), timezone)
        if first(schedule, now) is None:
            raise ScheduleInvalid(f"{value!r} never comes.")
        return schedule
    if type == "interval":
        return Schedule("interval", _seconds(value.strip(" ")), timezone)
    if type == "once":
        return Schedule("once", _ahead(value, timezone, now), timezone)
    raise ScheduleInvalid(f"A schedule can be cron, interval or once, not {type[:20]!a}.")


def first(schedule: Schedule, now: str) -> str | None:
    """When it is due first after `now`. For an interval this is its anchor, one interval ahead."""
    return following(schedule, None, now)


def following(schedule: Schedule, anchor: str | None, after: str) -> str | None:
    """When it is due next, later than `after`; None where never. `anchor` is an interval's first
    due time: all others are whole intervals from it. Without one it starts at `after`."""
    found = _next(schedule, anchor, after)(clock.parse(after))
    return None if found is None else clock.stamp(found)


def latest(schedule: Schedule, anchor: str | None, due: str, now: str) -> str:
    """The last time in `due` … `now` at which it was due; `due` is one itself."""
    later = _next(schedule, anchor or due, due)
    last, end = clock.parse(due), clock.parse(now)
    high = end
    # Between `last` and `high` the one that is sought: half of what is left goes with each turn.
    while (known := later(last)) is not None and known <= end:
        last = known
        middle = last + (high - last) / 2
        beyond = later(middle)
        if beyond is not None and beyond <= end:
            last = beyond
        else:
            high = middle
    return clock.stamp(last)


def upcoming(schedule: Schedule, anchor: str | None, after: str, count: int) -> list[str]:
    """The next due times after a moment, at most `count`."""
    later = _next(schedule, anchor, after)
    found: list[str] = []
    moment: datetime | None = clock.parse(after)
    while len(found) < count and moment is not None:
        moment = later(moment)
        if moment is not None:
            found.append(clock.stamp(moment))
    return found


def moment(text: str, timezone: str) -> str:
    """A moment as people write it, in the file's form: `2026-12-01 09:00`, local in the time zone,
    or ISO-8601 with a zone of its own. Raises ScheduleInvalid."""
    said = _MOMENT.fullmatch(text.strip(" "))
    if said is None:
        raise ScheduleInvalid(f"{text[:40]!a} is no moment: give it such as 2030-12-01 09:00.")
    try:
        found = datetime.fromisoformat(f"{said[1]}T{said[2]}{(said[3] or '').upper()}")
        return clock.stamp(found if found.tzinfo else moment_of(found, zone(timezone)))
    except (ValueError, OverflowError) as error:
        raise ScheduleInvalid(f"{text!r} is no moment: there is no such time.") from error


def in_words(moment: str, timezone: str) -> str:
    """A moment as people there read it: `Tue 2026-12-01 09:00 CET`. In UTC where there is no such
    zone, and as it is where it is no moment: whoever lists many must not fail at one."""
    try:
        local = clock.parse(moment)
    except ValueError:
        return moment
    with suppress(OverflowError, ScheduleInvalid):
        local = local.astimezone(zone(timezone))
    form = "%a %Y-%m-%d %H:%M:%S %Z" if local.second else "%a %Y-%m-%d %H:%M %Z"
    return local.strftime(form)


def _next(schedule: Schedule, anchor: str | None, start: str) -> Next:
    if schedule.type == "cron":
        return Cron(schedule.value, zone(schedule.timezone)).after
    if schedule.type == "once":
        only = clock.parse(schedule.value)
        return lambda moment: only if only > moment else None
    step = timedelta(seconds=int(_seconds(schedule.value)))
    since = clock.parse(anchor if anchor is not None else start)

    def later(moment: datetime) -> datetime | None:
        try:
            return since + step * ((moment - since) // step + 1)
        except OverflowError:
            return None

    return later


def seconds_of(text: str) -> int:
    """How many seconds a span such as 30m, 2h, 1d or 90 is. Raises ScheduleInvalid."""
    span = _SPAN.fullmatch(text.lower())
    if span is None:
        raise ScheduleInvalid(f"{text!a} is no interval: give seconds, or such as 30m, 2h or 1d.")
    return int(span[1]) * _UNITS[span[2] or ""]


def _seconds(text: str) -> str:
    seconds = seconds_of(text)
    if not SHORTEST <= seconds <= LONGEST:
        raise ScheduleInvalid(
            f"An interval is {SHORTEST} seconds at least and ten years at most, not {text!r}."
        )
    return str(seconds)


def _ahead(text: str, timezone: str, now: str) -> str:
    due = moment(text, timezone)
    if due <= now:
        raise ScheduleInvalid(f"{text!r} is past: it is {in_words(now, timezone)}.")
    return due
