"""Time zones, and what their clocks do to a local time: one that is skipped, and one that comes
twice. Between a zone's changes nothing is asked but its offset, so the changes are found by
bisection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from pynchy_cli.errors import ScheduleInvalid

LONGEST_NAME = 64
SECOND = timedelta(seconds=1)
_NO_NAMES = ("posix/", "right/", "localtime", "posixrules", "Factory")
_NONE = timedelta(0)


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name. Raises ScheduleInvalid, naming the nearest there is."""
    found = _find(name)
    if found is None:
        raise ScheduleInvalid(f"There is no time zone {_shown(name)}.{_nearest(name)}")
    return found


def local_zone(
    configured: str, environ_tz: str | None, localtime: Path = Path("/etc/localtime")
) -> str:
    """The IANA name that holds where none is given: the configured one, else $TZ, else what
    /etc/localtime links to, else UTC. Raises ScheduleInvalid where the configured one isn't one."""
    if configured:
        zone(configured)
        return configured
    for told in (environ_tz or "", *_links(localtime)):
        name = told.removeprefix(":").rpartition("zoneinfo/")[2]
        if _find(name) is not None:
            return name
    return "UTC"


def offset(moment: datetime, where: tzinfo) -> timedelta:
    """How far clocks there are ahead of UTC at a moment."""
    return moment.astimezone(where).utcoffset() or _NONE


def moment_of(local: datetime, where: tzinfo) -> datetime:
    """The moment (UTC) of a naive local time: where it comes twice its first, where clocks skip it
    the end of the gap. Raises OverflowError at the ends of the calendar."""
    aware = local.replace(tzinfo=where, fold=0)
    moment = aware.astimezone(UTC)
    if moment.astimezone(where).replace(tzinfo=None) == local:
        return moment
    earlier = aware.replace(fold=1).astimezone(UTC)
    return change(where, offset(earlier, where), earlier, moment)


def doubled_until(local: datetime) -> datetime:
    """The naive local time at which those that come twice end; `local` is one in its second
    coming."""
    where = local.tzinfo
    assert where is not None
    earlier = local.replace(fold=0)
    before = earlier.utcoffset() or _NONE
    changed = change(where, before, earlier.astimezone(UTC), local.astimezone(UTC))
    return (changed + before).replace(tzinfo=None)


def change(where: tzinfo, before: timedelta, earlier: datetime, later: datetime) -> datetime:
    """The moment in `earlier` … `later` from which on the offset is no longer `before`, as it is no
    longer at `later`. Moments in UTC, to the second."""
    low, high = earlier.replace(microsecond=0), later.replace(microsecond=0)
    while high - low > SECOND:
        middle = low + SECOND * ((high - low) // SECOND // 2)
        if offset(middle, where) == before:
            low = middle
        else:
            high = middle
    return high


def _find(name: str) -> tzinfo | None:
    if not name or len(name) > LONGEST_NAME or name.startswith(_NO_NAMES) or not name.isascii():
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _links(path: Path) -> list[str]:
    try:
        return [str(path.readlink()), str(path.resolve())]
    except (OSError, RuntimeError):  # the latter of links that go round
        return []


def _nearest(name: str) -> str:
    # Only mistakes need these.
    import difflib
    from importlib import resources

    known: dict[str, str] = {}
    zones = resources.files("tzdata").joinpath("zones").read_text()
    for each in sorted(set(zones.split()).difference(_NO_NAMES)):
        known.setdefault(each.lower().rpartition("/")[2], each)
        known[each.lower()] = each
    asked = name[:LONGEST_NAME].strip().lower().replace(" ", "_")
    near = difflib.get_close_matches(asked, known, 1, 0.75)
    return f" Do you mean {known[near[0]]}?" if near else " They are named like Europe/Berlin."


def _shown(text: str) -> str:
    return ascii(text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}...")
