"""Schedules: what is taken, what is refused and why, and when they are due."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli import clock, recurrence
from pynchy_cli.errors import ScheduleInvalid
from pynchy_cli.recurrence import Schedule

NOW = "2026-01-01T00:00:00.000Z"
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def due(expression: str, zone: str, after: str, count: int = 3) -> list[str]:
    """The next due times in UTC, to the minute."""
    after = f"{after}:00.000Z"
    schedule = recurrence.read("cron", expression, zone, after)
    found = recurrence.upcoming(schedule, None, after, count)
    assert all(one.endswith(":00.000Z") for one in found)
    return [one[:16] for one in found]


def days(expression: str, after: str, count: int) -> list[str]:
    return [one[:10] for one in due(expression, "UTC", after, count)]


def refused(type: str, value: str, zone: str = BERLIN, now: str = NOW) -> str:
    with pytest.raises(ScheduleInvalid) as error:
        recurrence.read(type, value, zone, now)
    assert str(error.value)
    return str(error.value)


def taken(type: str, value: str, zone: str) -> Schedule | None:
    """The schedule, or None where it is refused, in words that can be shown."""
    reason = ""
    try:
        return recurrence.read(type, value, zone, NOW)
    except ScheduleInvalid as error:
        reason = str(error)
    assert reason.isprintable()
    return None


# What clocks do.


@pytest.mark.parametrize(
    ("zone", "after", "want"),
    [
        (BERLIN, "2026-03-27T12:00", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        (
            NEW_YORK,
            "2026-03-07T00:00",
            ["2026-03-07T07:30", "2026-03-08T07:00", "2026-03-09T06:30"],
        ),
    ],
)
def test_a_daily_time_that_is_skipped_is_due_at_the_next_valid_moment(
    zone: str, after: str, want: list[str]
) -> None:
    assert due("30 2 * * *", zone, after) == want


@pytest.mark.parametrize(
    ("zone", "expression", "after", "want"),
    [
        (BERLIN, "30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31T12:00", ["2026-11-01T05:30", "2026-11-02T06:30"]),
    ],
)
def test_a_daily_time_that_comes_twice_is_due_once(
    zone: str, expression: str, after: str, want: list[str]
) -> None:
    assert due(expression, zone, after, 2) == want
    between = (datetime.fromisoformat(want[0]) + timedelta(minutes=30)).isoformat()[:16]
    assert due(expression, zone, between, 1) == want[1:]


@pytest.mark.parametrize(
    ("zone", "expression", "after", "want"),
    [
        (BERLIN, "0 3 * * *", "2026-10-25T01:30", "2026-10-25T02:00"),
        (NEW_YORK, "*/5 1-2 * * *", "2026-11-01T06:10", "2026-11-01T07:00"),
    ],
)
def test_what_comes_right_after_the_doubled_hour_is_not_missed_in_it(
    zone: str, expression: str, after: str, want: str
) -> None:
    assert due(expression, zone, after, 1) == [want]


@pytest.mark.parametrize("expression", ["0 * * * *", "@hourly", "0 */1 * * *", "0 0-23 * * *"])
@pytest.mark.parametrize(
    ("zone", "after"),
    [
        (BERLIN, "2026-03-28T22:00"),
        (BERLIN, "2026-10-24T22:00"),
        (NEW_YORK, "2026-03-08T04:00"),
        (NEW_YORK, "2026-11-01T03:00"),
    ],
)
def test_hourly_ones_are_due_every_real_hour(expression: str, zone: str, after: str) -> None:
    start = datetime.fromisoformat(after)
    hours = [start + timedelta(hours=n) for n in range(1, 7)]
    assert due(expression, zone, after, 6) == [one.isoformat()[:16] for one in hours]


@pytest.mark.parametrize(
    ("zone", "after", "want"),
    [
        (BERLIN, "2026-10-24T21:30", ["10-24T22:00", "10-25T00:00", "10-25T03:00", "10-25T05:00"]),
        (
            NEW_YORK,
            "2026-11-01T03:30",
            ["11-01T04:00", "11-01T07:00", "11-01T09:00", "11-01T11:00"],
        ),
    ],
)
def test_every_second_hour_names_hours(zone: str, after: str, want: list[str]) -> None:
    assert due("0 */2 * * *", zone, after, 4) == [f"2026-{one}" for one in want]


@pytest.mark.parametrize(
    ("zone", "expression", "after", "want"),
    [
        (BERLIN, "*/15 2 * * *", "2026-03-29T00:00", ["03-29T01:00", "03-30T00:00"]),
        (NEW_YORK, "*/15 2-3 * * *", "2026-03-08T06:00", ["03-08T07:00", "03-08T07:15"]),
    ],
)
def test_due_times_that_come_to_the_same_moment_are_one(
    zone: str, expression: str, after: str, want: list[str]
) -> None:
    assert due(expression, zone, after, 2) == [f"2026-{one}" for one in want]


@pytest.mark.parametrize(
    ("zone", "skipped", "doubled"),
    [
        (
            BERLIN,
            ("2026-03-29 02:30", "2026-03-29T01:00"),
            ("2026-10-25 02:30", "2026-10-25T00:30"),
        ),
        (
            NEW_YORK,
            ("2026-03-08 02:30", "2026-03-08T07:00"),
            ("2026-11-01 01:30", "2026-11-01T05:30"),
        ),
    ],
)
def test_a_single_moment_keeps_to_the_same_rules(
    zone: str, skipped: tuple[str, str], doubled: tuple[str, str]
) -> None:
    for local, want in (skipped, doubled):
        assert recurrence.read("once", local, zone, NOW).value == f"{want}:00.000Z"


# What a month has.


def test_the_29th_of_february_comes_in_leap_years() -> None:
    assert days("0 0 29 2 *", "2026-01-01T00:00", 3) == ["2028-02-29", "2032-02-29", "2036-02-29"]
    assert days("0 0 29 2 *", "2095-01-01T00:00", 2) == ["2096-02-29", "2104-02-29"]


def test_months_without_a_31st_are_left_out() -> None:
    want = ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31", "2026-08-31"]
    assert days("0 0 31 * *", "2026-01-01T00:00", 5) == want


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        ("0 0 L * *", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("0 0 * * 5#3", ["2026-01-16", "2026-02-20", "2026-03-20"]),
        ("0 0 * * FRI#3", ["2026-01-16", "2026-02-20", "2026-03-20"]),
        ("0 0 * * 1#5", ["2026-03-30", "2026-06-29", "2026-08-31"]),
        ("0 0 * * L5", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("0 0 15W * *", ["2026-01-15", "2026-02-16", "2026-03-16"]),
        ("0 0 13 * 5", ["2026-01-02", "2026-01-09", "2026-01-13"]),
        ("0 0 ? * 0", ["2026-01-04", "2026-01-11", "2026-01-18"]),
        ("0 0 * * 7", ["2026-01-04", "2026-01-11", "2026-01-18"]),
        ("0 0 * * 6-7", ["2026-01-03", "2026-01-04", "2026-01-10"]),
        ("0 0 * * sat-mon", ["2026-01-03", "2026-01-04", "2026-01-05"]),
        ("0 0 1 MAR,apr *", ["2026-03-01", "2026-04-01", "2027-03-01"]),
        ("0 0 1 nov-jan *", ["2026-11-01", "2026-12-01", "2027-01-01"]),
        ("0 0 * * THU", ["2026-01-08", "2026-01-15", "2026-01-22"]),
        ("@weekly", ["2026-01-04", "2026-01-11", "2026-01-18"]),
        ("@Yearly", ["2027-01-01", "2028-01-01", "2029-01-01"]),
        ("  0\t0 1   * * ", ["2026-02-01", "2026-03-01", "2026-04-01"]),
        # What croniter itself takes for all there is.
        ("0 0 9-9 * *", ["2026-01-09", "2026-02-09", "2026-03-09"]),
        ("0 0 * * MON-1", ["2026-01-05", "2026-01-12", "2026-01-19"]),
        ("0 0 1 3-mar/2 *", ["2026-03-01", "2027-03-01", "2028-03-01"]),
    ],
)
def test_days(expression: str, want: list[str]) -> None:
    assert days(expression, "2026-01-01T00:00", 3) == want


def test_an_expression_is_kept_in_one_form() -> None:
    kept = [
        recurrence.read("cron", text, BERLIN, NOW)
        for text in (" 0  9 * *\tmon-fri ", "@DAILY", "5-5 09-9,10-12/2 * * *")
    ]
    assert kept == [
        Schedule("cron", value, BERLIN)
        for value in ("0 9 * * mon-fri", "@daily", "5 09,10-12/2 * * *")
    ]


def some(low: int, high: int) -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(low, high), min_size=1, max_size=4)


@given(
    minutes=some(0, 59),
    hours=some(0, 23),
    dates=st.none() | some(1, 31),
    months=some(1, 12),
    weekdays=st.none() | some(0, 6),
    start=st.dates(datetime(1970, 1, 1).date(), datetime(2150, 1, 1).date()),
)
def test_days_are_those_of_the_calendar(
    minutes: set[int],
    hours: set[int],
    dates: set[int] | None,
    months: set[int],
    weekdays: set[int] | None,
    start: datetime,
) -> None:
    fields = (minutes, hours, dates, months, weekdays)
    expression = " ".join("*" if one is None else ",".join(map(str, one)) for one in fields)

    def fits(day: datetime) -> bool:
        on_date = dates is not None and day.day in dates
        on_weekday = weekdays is not None and day.isoweekday() % 7 in weekdays
        anyhow = dates is None and weekdays is None
        return day.month in months and (on_date or on_weekday or anyhow)

    begin = datetime(start.year, start.month, start.day)
    found = [day for n in range(800) if fits(day := begin + timedelta(days=n))]
    want = [
        (day + timedelta(hours=hour, minutes=minute)).isoformat()[:16]
        for day in found[:3]
        for hour in sorted(hours)
        for minute in sorted(minutes)
    ]
    if want:
        before = (begin - timedelta(minutes=1)).isoformat()[:16]
        assert due(expression, "UTC", before, len(want)) == want


# What is refused.


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("* * * * * *", "neither seconds nor years"),
        ("0 0 1 1 * 2027 0", "neither seconds nor years"),
        ("* * * *", "five fields (minute, hour, day of the month, month, day of the week)"),
        ("", "five fields"),
        ("   ", "five fields"),
        ("hello", "five fields"),
        ("H * * * *", "R or H"),
        ("0 h(1-4) * * *", "R or H"),
        ("0 0 R/2 * *", "R or H"),
        ("1,H * * * *", "R or H"),
        ("r 9 * * *", "R or H"),
        ("@reboot", "@hourly"),
        ("@every 5m", "interval"),
        ("@daily 5", "@hourly"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 2,4,6,9,11 *", "never comes"),
        ("0 0 30,31 feb *", "never comes"),
        ("60 * * * *", "'60' can't be the minute"),
        ("0 24 * * *", "'24' can't be the hour"),
        ("0 0 0 * *", "'0' can't be the day of the month"),
        ("0 0 1 13 *", "'13' can't be the month"),
        ("0 0 1 MARCH *", "'MARCH' can't be the month"),
        ("0 0 1 * 8", "'8' can't be the day of the week"),
        ("0 0 * * 5#6", "'5#6' can't be the day of the week"),
        ("*/0 * * * *", "'*/0' can't be the minute"),
        ("-5 * * * *", "'-5' can't be the minute"),
        ("1- * * * *", "'1-' can't be the minute"),
        (",, * * * *", "',,' can't be the minute"),
        ("0-99999999999999999999 * * * *", "can't be the minute"),
        ("0 0 1 * 5#3", "aren't taken together"),
        ("0 0 L * L5", "aren't taken together"),
        ("0 0 15W * 1", "aren't taken together"),
        ("0 0 * * 5#3,1", "mixes"),
        ("50-10/7 * * * *", "goes round"),
        ("0 0 * * fri-tue/2", "goes round"),
        ("\u0663 * * * *", "five fields"),
        ("\uff10 9 * * *", "five fields"),
        ("0 9 * * *\n", "five fields"),
        ("0 9 * * *\0", "five fields"),
        ("0\u00a09 * * *", "five fields"),
        ("0 9 * * \ud800", "five fields"),
        ("\x1b[0m 9 * * *", "five fields"),
        ("0," * 100 + "0 * * * *", "at most 200 characters"),
    ],
)
def test_expressions_that_are_refused(expression: str, reason: str) -> None:
    assert reason in refused("cron", expression)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(
            ("10", "10"),
            ("90", "90"),
            ("90s", "90"),
            ("30m", "1800"),
            ("2h", "7200"),
            ("1d", "86400"),
        ),
        *(
            ("1w", "604800"),
            ("1800.0", "1800"),
            (" 5 min ", "300"),
            ("15 SEC", "15"),
            ("0010", "10"),
        ),
        ("3660d", "316224000"),
    ],
)
def test_intervals(text: str, seconds: str) -> None:
    schedule = recurrence.read("interval", text, BERLIN, NOW)
    assert schedule == Schedule("interval", seconds, BERLIN)
    assert recurrence.first(schedule, NOW) == clock.after(NOW, int(seconds))


@pytest.mark.parametrize(
    "text",
    [
        *("9", "0", "-60", "5s", "3661d", "9999999999w", "1.5", "10.5s", "1e3", "inf", "nan", ""),
        *(
            " ",
            "30 minutes",
            "m",
            "30m 5s",
            "\u0663\u0660m",
            "60\0",
            "1" * 201,
            "1h\n",
            "\t1h",
            "0x10",
        ),
    ],
)
def test_intervals_that_are_refused(text: str) -> None:
    reason = refused("interval", text)
    assert "interval" in reason or "characters" in reason


@pytest.mark.parametrize(
    ("text", "zone", "want"),
    [
        ("2026-12-01 09:00", BERLIN, "2026-12-01T08:00:00.000Z"),
        ("2026-12-01T09:00", NEW_YORK, "2026-12-01T14:00:00.000Z"),
        ("2026-12-01 09:00:30", "Asia/Kathmandu", "2026-12-01T03:15:30.000Z"),
        ("2026-12-01t09:00z", BERLIN, "2026-12-01T09:00:00.000Z"),
        ("2026-12-01T09:00:00.5+02:00", BERLIN, "2026-12-01T07:00:00.500Z"),
        ("2026-12-01 09:00 +0530", BERLIN, "2026-12-01T03:30:00.000Z"),
        (" 2026-12-01 09:00-08 ", BERLIN, "2026-12-01T17:00:00.000Z"),
        ("2026-12-01T09:00:00.000Z", BERLIN, "2026-12-01T09:00:00.000Z"),
    ],
)
def test_single_moments(text: str, zone: str, want: str) -> None:
    schedule = recurrence.read("once", text, zone, NOW)
    assert schedule == Schedule("once", want, zone)
    assert recurrence.upcoming(schedule, None, NOW, 3) == [want]
    assert recurrence.following(schedule, None, want) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-01-01 01:00", "past: it is Thu 2026-01-01 01:00 CET"),
        ("2025-12-31T23:59:59Z", "past"),
        ("0001-01-01 00:00", "no such time"),
        ("0001-01-01 00:00+14:00", "no such time"),
        ("9999-12-31 23:59-14:00", "no such time"),
        ("2026-02-30 09:00", "no such time"),
        ("2026-12-01 24:01", "no such time"),
        ("2026-12-01", "no moment"),
        ("09:00", "no moment"),
        ("tomorrow 09:00", "no moment"),
        ("2026-12-01 9:00", "no moment"),
        ("12/01/2026 09:00", "no moment"),
        ("2026-12-01 09:00 CET", "no moment"),
        ("\u0662026-12-01 09:00", "no moment"),
        ("2026-12-01\n09:00", "no moment"),
        ("2026-12-01 09:00\n", "no moment"),
        ("2026-12-01 09:00\tZ", "no moment"),
        ("", "no moment"),
        ("1" * 201, "characters"),
    ],
)
def test_single_moments_that_are_refused(text: str, reason: str) -> None:
    assert reason in refused("once", text)


def test_there_are_no_other_types_and_no_other_zones() -> None:
    assert "cron, interval or once, not 'weekly'" in refused("weekly", "0 9 * * *")
    for type, value in (("cron", "0 9 * * *"), ("interval", "30m"), ("once", "2030-01-01 09:00")):
        assert "Do you mean Europe/Berlin?" in refused(type, value, "Europe/Berln")


@given(st.sampled_from(recurrence.KINDS), st.text(max_size=210), st.sampled_from([BERLIN, "UTC"]))
def test_whatever_is_asked_it_is_taken_or_refused(type: str, value: str, zone: str) -> None:
    schedule = taken(type, value, zone)
    if schedule is not None:
        assert recurrence.read(type, schedule.value, zone, NOW) == schedule


PIECES = [
    *("*", "?", "L", "W", "#", "/", "-", ",", " ", "0", "1", "5", "29", "31", "59", "100"),
    *(
        "feb",
        "MON",
        "*/2",
        "5#3",
        "L5",
        "15W",
        "22-2",
        "9-9",
        "@",
        "(",
        ")",
        "H",
        "R",
        "@daily",
        "9" * 30,
    ),
]


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4), min_size=4, max_size=6))
def test_nothing_like_an_expression_breaks_it(fields: list[list[str]]) -> None:
    expression = " ".join("".join(pieces) for pieces in fields)[:200]
    schedule = taken("cron", expression, NEW_YORK)
    if schedule is not None:
        found = recurrence.upcoming(schedule, None, NOW, 5)
        assert found == sorted(set(found))
        assert len(found) == 5
        assert found[0] > NOW


# What follows what.


@given(
    st.integers(recurrence.SHORTEST, recurrence.LONGEST),
    st.integers(-(10**9), 10**9).map(lambda ms: ms / 1000),
)
def test_intervals_do_not_drift(seconds: int, off: float) -> None:
    schedule = Schedule("interval", str(seconds), BERLIN)
    anchor = "2026-01-01T00:00:07.250Z"
    after = clock.after(anchor, off)
    following = recurrence.following(schedule, anchor, after)
    assert following is not None
    assert following > after
    passed = clock.seconds_between(anchor, following)
    assert passed % seconds == 0
    assert clock.seconds_between(after, following) <= seconds
    upcoming = recurrence.upcoming(schedule, anchor, after, 3)
    assert upcoming == [following, *(clock.after(following, seconds * n) for n in (1, 2))]
    if following > anchor:
        last = recurrence.latest(schedule, anchor, anchor, after)
        assert last == clock.after(following, -seconds)


def test_the_latest_is_found_however_many_were_missed() -> None:
    every_ten = Schedule("interval", "10", BERLIN)
    start, years_later = "2000-01-01T00:00:00.000Z", "2030-06-01T12:00:07.000Z"
    assert recurrence.latest(every_ten, start, start, years_later) == "2030-06-01T12:00:00.000Z"
    for expression, want in (
        ("* * * * *", "2030-06-01T12:00:00.000Z"),
        ("0 9 * * *", "2030-06-01T07:00:00.000Z"),
        ("* 9 1 1 *", "2030-01-01T08:59:00.000Z"),
        ("0 0 29 2 *", "2028-02-28T23:00:00.000Z"),
    ):
        schedule = recurrence.read("cron", expression, BERLIN, start)
        due = recurrence.following(schedule, None, start)
        assert due is not None
        assert recurrence.latest(schedule, None, due, years_later) == want
        assert recurrence.latest(schedule, None, due, due) == due
    once = Schedule("once", start, BERLIN)
    assert recurrence.latest(once, None, start, years_later) == start


def test_at_the_ends_of_time_nothing_is_due() -> None:
    late, early = "9999-12-31T23:59:50.000Z", "0001-01-01T00:00:00.000Z"
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"):
        daily = Schedule("cron", "0 9 * * *", zone)
        hourly = Schedule("cron", "0 * * * *", zone)
        often = Schedule("interval", "10", zone)
        for schedule in (daily, hourly, often):
            assert recurrence.upcoming(schedule, None, late, 3) == []
            assert recurrence.following(schedule, late, late) is None
            recurrence.upcoming(schedule, None, early, 3)
        for moment in (late, early):
            assert recurrence.in_words(moment, zone)
        assert "never comes" in refused("cron", "0 9 * * *", zone, late)


def test_in_words() -> None:
    assert recurrence.in_words("2026-12-01T08:00:00.000Z", BERLIN) == "Tue 2026-12-01 09:00 CET"
    assert recurrence.in_words("2026-07-01T08:00:10.500Z", BERLIN) == "Wed 2026-07-01 10:00:10 CEST"
    assert recurrence.in_words("2026-07-01T08:00:00.000Z", NEW_YORK) == "Wed 2026-07-01 04:00 EDT"
