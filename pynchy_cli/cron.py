"""Cron expressions in a time zone: which ones are taken, and when they are due next.

croniter is only asked about local times without a zone, so that it knows nothing of daylight
saving; what a local time is in UTC is said here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from pynchy_cli import local_time
from pynchy_cli.errors import ScheduleInvalid

ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED: tuple[Sequence[str], ...] = ((), (), (), ("", *_MONTHS), _DAYS)
_SIGNS = re.compile(r"[0-9A-Za-z*/,#?()@ \t-]+", re.ASCII)
_DRAWN = re.compile(r"(?:^|[\s,])[HR](?![A-Z])", re.IGNORECASE)
_RANGE = re.compile(r"(\w+)-(\w+)(?:/(\d+))?", re.ASCII)
_OF_MONTH = re.compile(r"[\w-]+#\d|L\d", re.ASCII | re.IGNORECASE)
_RUBBISH = (ValueError, LookupError, TypeError)
"""What croniter raises."""
_NEAR = timedelta(hours=26)
"""Clocks are set back by less: what lies farther ahead doesn't come before what comes sooner."""


class Cron:
    """An expression in a time zone. Raises ScheduleInvalid where it is none."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        # Takes a while to load, and idle stages don't need it.
        from croniter import croniter

        try:
            self._cron = croniter(expression, datetime(2000, 1, 1), datetime)
        except _RUBBISH as error:
            raise ScheduleInvalid(_wrong(expression)) from error
        self._zone = zone
        self._every_hour = self._cron.expanded[1] == ["*"]

    def after(self, moment: datetime) -> datetime | None:
        """When it is due first, later than a moment (both in UTC); None where never, or not within
        the next fifty years."""
        try:
            return self._real(moment) if self._every_hour else self._named(moment)
        except (ValueError, OverflowError):
            # croniter's own of a date that doesn't come, and those of the calendar's ends.
            return None

    def _named(self, moment: datetime) -> datetime:
        local = moment.astimezone(self._zone)
        start = local.replace(tzinfo=None, fold=0)
        if local.fold:
            start = local_time.doubled_until(local) - local_time.SECOND
        return local_time.moment_of(self._slot(start), self._zone)

    def _real(self, moment: datetime) -> datetime:
        ahead = local_time.offset(moment, self._zone)
        while True:
            slot = self._slot((moment + ahead).replace(tzinfo=None))
            due = (slot - ahead).replace(tzinfo=UTC)
            near = min(due, moment + _NEAR)
            if local_time.offset(near, self._zone) != ahead:
                changed = local_time.change(self._zone, ahead, moment, near)
            elif near == due:
                return due
            else:
                changed = local_time.moment_of(slot, self._zone)
                if changed + local_time.offset(changed, self._zone) == slot.replace(tzinfo=UTC):
                    return changed
            moment = changed - local_time.SECOND
            ahead = local_time.offset(changed, self._zone)

    def _slot(self, start: datetime) -> datetime:
        slot: datetime = self._cron.get_next(datetime, start_time=start)
        return slot


def canonical(text: str) -> str:
    """An expression in its one form: an alias, or five fields with a space between them.

    Raises ScheduleInvalid where what it asks for isn't taken. Whether each field can be what it
    says is seen when a Cron is made of it.
    """
    if not _SIGNS.fullmatch(text):
        raise ScheduleInvalid(f"{text!a} is no cron expression: {_five()}.")
    fields = text.split()
    if text.strip().startswith("@"):
        return _alias(text.strip().lower())
    if len(fields) in (6, 7):
        raise ScheduleInvalid(
            f"{text!r} has {len(fields)} fields: neither seconds nor years are taken. "
            f"Give {_five()}."
        )
    if len(fields) != 5:
        raise ScheduleInvalid(f"{text!r} is no cron expression: {_five()}.")
    if _DRAWN.search(text):
        raise ScheduleInvalid(f"{text!r} has a time drawn by lot (R or H): name the time.")
    _require_plain_days(fields[2], fields[4])
    named = zip(fields, _NAMED, strict=True)
    return " ".join(",".join(_item(each, names) for each in one.split(",")) for one, names in named)


def _alias(text: str) -> str:
    if text in ALIASES:
        return text
    if text.startswith("@every"):
        raise ScheduleInvalid(f"{text!r} is an interval: give it as one, such as 30m.")
    raise ScheduleInvalid(f"{text!r} isn't taken; these are: {', '.join(ALIASES)}.")


def _item(text: str, names: Sequence[str]) -> str:
    """One item of a field; croniter takes 9-9 for all there is, and loses count where a range
    with a step goes round."""
    said = _RANGE.fullmatch(text)
    if said is None:
        return text
    low, high = (_number(end, names) for end in (said[1], said[2]))
    if low is None or high is None:
        return text
    if low == high:
        return said[1]
    if low > high and int(said[3] or 1) > 1:
        raise ScheduleInvalid(f"{text!r} goes round with a step: name each of them.")
    return text


def _number(text: str, names: Sequence[str]) -> int | None:
    if text.isdigit():
        return int(text)
    return names.index(text.lower()) if text.lower() in names else None


def _require_plain_days(day: str, weekday: str) -> None:
    """Refuse what croniter takes for something else: days that count within the month, together
    with others."""
    items = weekday.split(",")
    counted = [bool(_OF_MONTH.fullmatch(item)) for item in items]
    if any(counted) and not all(counted):
        raise ScheduleInvalid(f"{weekday!r} mixes weekdays with those of a week (# or L).")
    nearest = "w" in day.lower()
    if (any(counted) and day not in "*?") or (nearest and weekday not in "*?"):
        raise ScheduleInvalid(
            f"{day!r} and {weekday!r} aren't taken together: make a schedule of each."
        )


def _five() -> str:
    return f"five fields ({', '.join(FIELDS)})"


def _wrong(expression: str) -> str:
    from croniter import croniter

    for number, field in enumerate(expression.split()):
        try:
            croniter(
                " ".join(field if n == number else "*" for n in range(5)), datetime(2000, 1, 1)
            )
        except _RUBBISH:
            return f"{field!r} can't be the {FIELDS[number]} of a cron expression."
    return f"{expression!r} is no cron expression: {_five()}."
