"""Time as the file writes it: UTC, ISO-8601 with milliseconds and `Z`. What waits uses the
monotonic clock; `now` is passed down, so that no test patches a clock."""

from datetime import UTC, datetime, timedelta

_SPAN = r"(\d{1,9})([smhdw])"
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


def age(since: str | None, now: str) -> int | None:
    """Whole seconds from a moment of the file to `now`, 0 where it lies ahead; None where there is
    none, or what another program has put there is no moment."""
    if since is None:
        return None
    try:
        return max(0, int(seconds_between(since, now)))
    except ValueError:
        return None


def in_words(seconds: int) -> str:
    """A time span for people, its two largest parts: `3 d 2 h`."""
    parts: list[str] = []
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count or (word == "s" and not parts):
            parts.append(f"{count} {word}")
    return " ".join(parts[:2])


def moment(text: str, now: str) -> str:
    """What a person means by a time, in the file's form: so long before `now` (`2h`, `7d`; s, m, h,
    d, w), or an ISO-8601 date or time, which is local where it has no zone.

    Raises ValueError.
    """
    import re  # a tenth of the time of `status`, which needs none of it

    try:
        if span := re.fullmatch(_SPAN, text.strip()):
            return after(now, -int(span[1]) * _UNITS[span[2]])
        return stamp(datetime.fromisoformat(text.strip()).astimezone())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is neither a time nor a span such as 2h or 7d") from error
