"""The clock, its time zone, and what is due by it."""

from __future__ import annotations

from collections.abc import Iterator

from pynchy_cli import clock, local_time
from pynchy_cli.errors import ScheduleInvalid
from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, warning
from pynchy_cli.store import lookup
from pynchy_cli.store.planned import host_jobs, tasks
from pynchy_cli.timing import default_zone

AHEAD = 60.0
"""Seconds by which what was stored may lie in the future: clocks are set by little all the time."""
LATE = 300.0
"""Seconds after which what is due is missed."""


def skew(facts: Facts) -> Iterator[Seen]:
    """The clock was not set back."""
    with facts.reading() as db:
        newest = lookup.newest(db)
    ahead = clock.seconds_between(facts.now, newest) if newest else 0.0
    if ahead > AHEAD:
        yield failed(
            f"It is {facts.now}, and something was stored {_span(ahead)} later, at {newest}: the"
            " clock was set back, or was ahead.",
            "Set it by the network: `timedatectl set-ntp true`. Nothing is due twice.",
        )
    else:
        yield ok(f"It is {facts.now}, and nothing was stored later.")


def synchronised(facts: Facts) -> Iterator[Seen]:
    """The clock is set by the network, where the system tells."""
    said = facts.ask("timedatectl", "show", "--property=NTP", "--property=NTPSynchronized")
    values = dict(line.partition("=")[::2] for line in said.out.splitlines()) if said else {}
    if values.get("NTPSynchronized") == "no" and values.get("NTP") == "no":
        yield warning("Nothing sets the clock by the network.", "`timedatectl set-ntp true`.")
    elif values.get("NTPSynchronized") == "no":
        yield warning(
            "The clock isn't set by the network yet.", "See `timedatectl timesync-status`."
        )
    else:
        is_set = values.get("NTPSynchronized")
        unknown = "This system doesn't tell whether the clock is set by the network."
        yield ok("The clock is set by the network." if is_set else unknown)


def zone(facts: Facts) -> Iterator[Seen]:
    """Every time zone that is named exists."""
    named = facts.environ.get("TZ", "")
    try:
        here = default_zone(facts.settings, facts.environ)
    except ScheduleInvalid as error:
        yield failed(f"[scheduler] timezone: {error}", "Name one such as Europe/Berlin.")
        return
    seen = []
    if named and not facts.settings.scheduler.timezone and not _exists(_plain(named)):
        todo = f"Set TZ or timezone below [scheduler]; schedules are told in {here} until then."
        seen.append(warning(f"TZ is {named!r}, which is no time zone.", todo))
    with facts.reading() as db:
        unknown = [one for one in lookup.zones(db) if not _exists(one)]
    seen += [
        failed(f"Tasks are scheduled in {one!r}, which is no time zone.", "`pynchy tasks edit ID`.")
        for one in unknown
    ]
    yield from seen or [ok(f"Schedules without a zone are told in {here}.")]


def _plain(named: str) -> str:
    return named.removeprefix(":").rpartition("zoneinfo/")[2]


def _exists(name: str) -> bool:
    try:
        local_time.zone(name)
    except ScheduleInvalid:
        return False
    return True


def missed(facts: Facts) -> Iterator[Seen]:
    """Nothing that was due waits."""
    with facts.reading() as db:
        late = lookup.overdue(db, clock.after(facts.now, -LATE))
        unreadable = lookup.unreadable(db)
    seen = []
    if late:
        runs = any(one.stage == "schedule" for one in facts.running())
        todo = "See its error in `pynchy status`." if runs else "`pynchy up` starts `schedule`."
        which = ", ".join(f"{id} since {at}" for id, at in late[:5])
        seen.append(failed(f"Due and not started: {which}.", todo))
    if unreadable:
        said = f"Their due time can't be read: {', '.join(unreadable[:5])}."
        seen.append(failed(said, "`pynchy tasks edit ID`, or cancel them and make them anew."))
    yield from seen or [ok("Nothing that was due waits.")]


def failing(facts: Facts) -> Iterator[Seen]:
    """The last firing of each task and host job came to something."""
    with facts.reading() as db:
        found = [(noun, one) for noun, rows in (("tasks", tasks(db)), ("jobs", host_jobs(db)))
                 for one in rows if one["failing"]]  # fmt: skip
    yield from [
        warning(
            f"{one['id']}, last {str(one['last_result']).rstrip('.')}.",
            f"`pynchy {noun} log {one['id']}` tells more.",
            command=f"pynchy {noun} log {one['id']}",
        )
        for noun, one in found[:10]
    ] or [ok("The last firing of each task and host job went well.")]


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.0f} s"
