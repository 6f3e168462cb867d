"""Time as the file writes it: UTC, ISO-8601 with milliseconds and `Z`. What waits uses the
monotonic clock; `now` is passed down, so that no test patches a clock."""

from datetime import UTC, datetime, timedelta


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
