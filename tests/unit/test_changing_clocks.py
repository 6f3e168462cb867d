"""When schedules are due around the changes of clocks, held against somebody who watches the wall
clock there minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynchy_cli import clock, recurrence
from pynchy_cli.recurrence import Schedule

MINUTE = timedelta(minutes=1)
DAYS = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1969-10-01"),
    ("America/Caracas", "2016-05-01"),
    ("Asia/Kathmandu", "2026-03-29"),
]


class Watcher:
    """Sees each minute of the wall clock there, some days before and after a date."""

    def __init__(self, zone: str, start: str, days: int, step: timedelta = MINUTE) -> None:
        where = ZoneInfo(zone)
        self.zone = zone
        self.begin = datetime.fromisoformat(f"{start}T00:00Z")
        count = days * timedelta(days=1) // step
        self.step = step
        self.seen = [
            (moment, moment.astimezone(where).replace(tzinfo=None))
            for moment in (self.begin + n * step for n in range(count))
        ]
        self.end = self.seen[-1][0]

    def due(self, minutes: set[int], hours: set[int] | None, weekdays: set[int]) -> list[datetime]:
        """When it is due: with hours, once the clock shows or has passed a time for the first time;
        without, whenever it shows one."""
        found: list[datetime] = []
        reached = self.seen[0][1]
        for moment, local in self.seen[1:]:
            if hours is None:
                times: Iterator[datetime] = iter([local])
            else:
                times = self._passed(reached, local)
                reached = max(reached, local)
            if any(
                time.minute in minutes
                and (hours is None or time.hour in hours)
                and time.isoweekday() % 7 in weekdays
                for time in times
            ):
                found.append(moment)
        return found

    def _passed(self, reached: datetime, local: datetime) -> Iterator[datetime]:
        while reached < local:
            reached += self.step
            yield reached


def around(zone: str, day: str) -> Watcher:
    before = datetime.fromisoformat(day) - timedelta(days=3)
    return Watcher(zone, before.date().isoformat(), 6)


def changes(watcher: Watcher) -> bool:
    (first, shown), (last, at_last) = watcher.seen[0], watcher.seen[-1]
    return last - first != at_last - shown


def written(values: set[int]) -> str:
    return ",".join(map(str, sorted(values)))


def some(below: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(0, below - 1), min_size=1, max_size=4) | st.just(set(range(below)))


def moments(watcher: Watcher) -> st.SearchStrategy[datetime]:
    """Any moment, or one near the change."""
    ahead = [moment.replace(tzinfo=None) - local for moment, local in watcher.seen]
    change = next((n for n, one in enumerate(ahead) if one != ahead[0]), 1000)
    near = st.integers(-180, 180).map(lambda minutes: watcher.seen[change + minutes][0])
    span = int((watcher.end - watcher.begin).total_seconds())
    return near | st.integers(0, span).map(lambda s: watcher.begin + timedelta(seconds=s))


FEW_HOURS = (
    st.none() | st.sets(st.integers(0, 4), min_size=1) | some(24).filter(lambda h: len(h) < 9)
)


@pytest.mark.parametrize(("zone", "day"), DAYS)
def test_due_times_are_those_that_the_wall_clock_shows(zone: str, day: str) -> None:
    watcher = around(zone, day)
    assert changes(watcher) == (zone != "Asia/Kathmandu")

    @settings(max_examples=25)
    @given(some(60), FEW_HOURS, some(7), st.data())
    def check(
        minutes: set[int], hours: set[int] | None, weekdays: set[int], data: st.DataObject
    ) -> None:
        hour = "*" if hours is None else written(hours)
        weekday = "*" if len(weekdays) == 7 else written(weekdays)
        schedule = Schedule("cron", f"{written(minutes)} {hour} * * {weekday}", zone)
        all_due = [clock.stamp(one) for one in watcher.due(minutes, hours, weekdays)]
        after = clock.stamp(data.draw(moments(watcher)))
        want = [due for due in all_due if due > after][:300]
        assert recurrence.upcoming(schedule, None, after, len(want)) == want
        if want:
            now = data.draw(st.sampled_from(want))
            later = clock.after(now, data.draw(st.sampled_from([0, 1, 59])))
            assert recurrence.following(schedule, None, after) == want[0]
            assert recurrence.latest(schedule, None, want[0], later) == now
            assert (
                recurrence.latest(schedule, None, want[0], clock.stamp(watcher.end)) == all_due[-1]
            )

    check()


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Tehran",
    ],
)
@pytest.mark.parametrize(("hour", "hours"), [("*", None), ("0-3,22", {0, 1, 2, 3, 22})])
def test_in_a_year_nothing_is_lost_and_nothing_doubled(
    zone: str, hour: str, hours: set[int] | None
) -> None:
    watcher = Watcher(zone, "2026-01-01", 366, timedelta(minutes=30))
    want = [clock.stamp(one) for one in watcher.due({0, 30}, hours, set(range(7)))]
    schedule = Schedule("cron", f"0,30 {hour} * * *", zone)
    start = clock.stamp(watcher.begin)
    assert recurrence.upcoming(schedule, None, start, len(want)) == want
    assert len(set(want)) == len(want) > 3000


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo"])
def test_what_is_due_rarely_is_due_whatever_lies_between(zone: str) -> None:
    leap = Schedule("cron", "*/30 * 29 2 *", zone)
    found = recurrence.upcoming(leap, None, "2018-01-01T00:00:00.000Z", 96)
    local = [datetime.fromisoformat(one).astimezone(ZoneInfo(zone)) for one in found]
    assert [one.strftime("%Y-%m-%d %H:%M") for one in local[::24]] == [
        *("2020-02-29 00:00", "2020-02-29 12:00"),
        *("2024-02-29 00:00", "2024-02-29 12:00"),
    ]


@pytest.mark.parametrize(
    ("zone", "expression", "want"),
    [
        # Midnight is skipped there, for an hour.
        ("America/Sao_Paulo", "* * 4 11 *", "2018-11-04T03:00:00.000Z"),
        ("America/Sao_Paulo", "30 * 4 11 *", "2018-11-04T03:30:00.000Z"),
        ("America/Havana", "15,45 * 11 3 *", "2018-03-11T05:15:00.000Z"),
    ],
)
def test_of_real_hours_those_that_are_skipped_are_left_out(
    zone: str, expression: str, want: str
) -> None:
    schedule = Schedule("cron", expression, zone)
    for seconds in (60, 86_400, 30 * 86_400):
        assert recurrence.following(schedule, None, clock.after(want, -seconds)) == want


def test_an_offset_of_odd_seconds_is_met_to_the_second() -> None:
    moment = datetime(1890, 1, 1, tzinfo=UTC)
    schedule = Schedule("cron", "0 * * * *", "Europe/Berlin")
    for _ in range(3):
        due = recurrence.following(schedule, None, clock.stamp(moment))
        assert due is not None
        moment = datetime.fromisoformat(due)
        assert moment.astimezone(ZoneInfo("Europe/Berlin")).strftime("%M:%S") == "00:00"
