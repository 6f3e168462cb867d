"""Time as the file writes it: UTC, ISO-8601 with milliseconds and `Z`. What waits uses the
monotonic clock; `now` is passed down, so that no test patches a clock."""

import re
from datetime import UTC, datetime, timedelta

_SPAN = re.compile(r"(\d{1,9})([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def now() -> str:
    """The present moment as the file writes it, such as `2026-01-31T08:00:00.000Z`."""
    return stamp(datetime.now(UTC))


def stamp(moment: datetime) -> str:
    """An aware datetime as the file writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """An aware datetime from the file's form, or from any ISO-8601 with a zone.

    Raises ValueError where there is no zone or no time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def after(moment: str, seconds: float) -> str:
    """The moment `seconds` later, in the file's form."""
    return stamp(parse(moment) + timedelta(seconds=seconds))


def seconds_between(earlier: str, later: str) -> float:
    """Seconds from one moment to another; negative where the order is the other way."""
    return (parse(later) - parse(earlier)).total_seconds()


def moment(text: str, now: str) -> str:
    """What a person means by a time, in the file's form: so long before `now` (`2h`, `7d`; s, m, h,
    d, w), or an ISO-8601 date or time, which is local where it has no zone.

    Raises ValueError.
    """
    try:
        if span := _SPAN.fullmatch(text.strip()):
            return after(now, -int(span[1]) * _UNITS[span[2]])
        return stamp(datetime.fromisoformat(text.strip()).astimezone())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is neither a time nor a span such as 2h or 7d") from error
