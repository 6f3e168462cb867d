"""Cron expressions in a time zone: which ones are taken, and when they are due next.

croniter is only asked about local times without a zone, so that it knows nothing of daylight
saving; what a local time is in UTC is said here."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from pynchy_cli import local_time
from pynchy_cli.errors import ScheduleInvalid

ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
FIELDS = "minute, hour, day of the month, month, day of the week"
_SIGNS = re.compile(r"[0-9A-Za-z*/,#?()@ \t-]+", re.ASCII)
_DRAWN = re.compile(r"(?:^|[\s,])[HR](?![A-Z])", re.IGNORECASE)
_ONE_LONG = re.compile(r"(?<![\w-])0*(\w+)-0*\1(?:/\d+)?(?![\w-])", re.ASCII | re.IGNORECASE)
_NEAR = timedelta(hours=26)
"""Clocks are set back by less: what lies farther ahead doesn't come before what comes sooner."""


class Cron:
    """An expression in a time zone. Raises ScheduleInvalid where it is none."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        # Takes a while to load, and idle stages don't need it.
        from croniter import croniter

        try:
            self._cron = croniter(expression, datetime(2000, 1, 1), datetime)
        except (ValueError, LookupError, TypeError) as error:
            raise ScheduleInvalid(f"{expression!r} is no cron expression ({FIELDS}).") from error
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

    Raises ScheduleInvalid where what it asks for isn't taken.
    """
    if not _SIGNS.fullmatch(text):
        raise ScheduleInvalid(f"{text!a} is no cron expression ({FIELDS}).")
    fields = text.split()
    if text.strip().startswith("@"):
        return _alias(text.strip().lower())
    if len(fields) in (6, 7):
        raise ScheduleInvalid(
            f"{text!r} has {len(fields)} fields; neither seconds nor years are taken. "
            f"Give five: {FIELDS}."
        )
    if len(fields) != 5:
        raise ScheduleInvalid(f"{text!r} doesn't have five fields: {FIELDS}.")
    if _DRAWN.search(text):
        raise ScheduleInvalid(f"{text!r} has a time drawn by lot (R or H): name the time.")
    # croniter reads 9-9 as every hour.
    return " ".join(_ONE_LONG.sub(r"\1", field) for field in fields)


def _alias(text: str) -> str:
    if text in ALIASES:
        return text
    if text.startswith("@every"):
        raise ScheduleInvalid(f"{text!r} is an interval: give it as one, such as 30m.")
    raise ScheduleInvalid(f"{text!r} isn't taken; these are: {', '.join(ALIASES)}.")
