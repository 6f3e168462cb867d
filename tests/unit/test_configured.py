"""Tasks and host jobs of the configuration come into the file, change, leave and come back; what
others made stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pynchy_cli import clock
from pynchy_cli.config.settings import JobRules, Scheduler, Settings, TaskRules
from pynchy_cli.model import HostJob, Source, Task
from pynchy_cli.scheduling.configured import Configured
from pynchy_cli.store import failures, groups, jobs, tasks, timetable
from pynchy_cli.store.timetable import JOBS, TASKS
from tests.asking import Asking, asking
from tests.clocks import START, Clocks, clocks, task

TEN = "2026-01-31T10:00:00.000Z"
HOURLY = TaskRules(group="team", prompt="Look.", cron="0 * * * *")
NIGHTLY = {"cron": "30 3 * * *"}
BACKUP = JobRules(command="true", every="30m")
PEOPLE: tuple[Source, ...] = ("person", "agent")


def but(rules: Any, **more: Any) -> Any:
    """The same rules, but for these."""
    return msgspec.structs.replace(rules, **more)


class Place:
    """A file, and configurations of it one after the other."""

    def __init__(self, made: Clocks) -> None:
        self.made = made
        self.store = made.store
        self.context = made.stage.work.context

    def configure(self, now: str = START, zone: str = "Europe/Berlin", **sections: Any) -> int:
        """Start with these sections; how much was written."""
        self.context.settings = Settings(scheduler=Scheduler(timezone=zone), **sections)
        self.configured = Configured(self.context)
        return self.configured.drain(now)

    def task(self, id: str = "look") -> Task:
        return tasks.get(self.store.db, id)

    def job(self) -> HostJob:
        return jobs.get(self.store.db, "backup")

    def pause(self, by: Source, id: str = "look") -> None:
        with self.store.atomic() as db:
            timetable.pause(db, TASKS, tasks.get(db, id), by)

    def add_group(self, folder: str) -> None:
        Asking(self.context, None).group(folder)  # type: ignore[arg-type]

    def commits(self) -> int:
        (number,) = self.made.rows("SELECT value FROM counters WHERE name = 'commits'")
        return int(number)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with clocks(tmp_path) as made:
        yield Place(made)


def test_what_is_configured_comes_into_the_file(place: Place) -> None:
    rules = but(
        HOURLY,
        name="Look",
        context_mode="group",
        overlap="queue",
        catch_up="skip",
        condition="test -e x",
        condition_timeout=7.0,
        chat="local:team",
    )
    assert place.configure(tasks={"look": rules}, jobs={"backup": but(BACKUP, cwd="/")}) == 2
    assert place.task() == Task(
        id="look",
        name="Look",
        schedule_type="cron",
        schedule_value="0 * * * *",
        timezone="Europe/Berlin",
        anchor=None,
        catch_up="skip",
        status="active",
        paused_by=None,
        source="config",
        created_by="config.toml",
        created_at=START,
        ended_at=None,
        next_run="2026-01-31T09:00:00.000Z",
        last_run=None,
        timeout_seconds=7.0,
        group_folder="team",
        chat_jid="local:team",
        prompt="Look.",
        context_mode="group",
        overlap="queue",
        condition="test -e x",
    )
    job = place.job()
    assert (job.command, job.cwd, job.timeout_seconds, job.source) == ("true", "/", 600, "config")
    first = clock.after(START, 1800)
    assert (job.schedule_value, job.anchor, job.next_run) == ("1800", first, first)


def test_a_second_time_nothing_is_written_and_nobody_is_woken(place: Place) -> None:
    at = but(HOURLY, cron="", at="2026-01-31 10:00")
    sections = {
        "tasks": {"look": HOURLY, "off": but(HOURLY, enabled=False), "once": at, "gone": at},
        "jobs": {"backup": BACKUP},
    }
    past = sections | {"tasks": sections["tasks"] | {"past": but(at, at="2020-01-01 09:00")}}
    for found in (sections, past, {}, past):
        assert place.configure(**found) > 0
        before = place.commits()
        assert place.configure(clock.after(START, 1), **found) == 0
        assert place.configured.drain(clock.after(START, 2)) == 0
        assert place.commits() == before


def test_a_time_zone_of_its_own_goes_before_the_configured_one(place: Place) -> None:
    place.configure(tasks={"look": but(HOURLY, **NIGHTLY)})
    assert place.task().next_run == "2026-02-01T02:30:00.000Z"
    place.configure(tasks={"look": but(HOURLY, timezone="Asia/Kolkata", **NIGHTLY)})
    assert (place.task().timezone, place.task().next_run) == (
        "Asia/Kolkata",
        "2026-01-31T22:00:00.000Z",
    )


def test_another_prompt_leaves_the_next_due_time(place: Place) -> None:
    place.configure(tasks={"look": but(HOURLY, cron="", every="1h")}, jobs={"backup": BACKUP})
    later = clock.after(START, 600)
    changed = but(HOURLY, cron="", every="60m", prompt="Look again.", overlap="queue")
    job = but(BACKUP, command="false", timeout_seconds=5)
    assert place.configure(later, tasks={"look": changed}, jobs={"backup": job}) == 2
    assert (place.task().prompt, place.task().overlap) == ("Look again.", "queue")
    assert place.task().next_run == place.task().anchor == clock.after(START, 3600)
    assert (place.job().command, place.job().timeout_seconds) == ("false", 5)
    assert place.job().next_run == clock.after(START, 1800)


def test_another_schedule_is_due_from_now_on(place: Place) -> None:
    place.configure(tasks={"look": HOURLY}, jobs={"backup": BACKUP})
    later = clock.after(START, 600)
    place.configure(
        later, tasks={"look": but(HOURLY, **NIGHTLY)}, jobs={"backup": but(BACKUP, every="20s")}
    )
    assert place.task().next_run == "2026-02-01T02:30:00.000Z"
    assert place.job().anchor == place.job().next_run == clock.after(later, 20)
    place.configure(later, tasks={"look": but(HOURLY, cron="", every="60")})
    assert (place.task().schedule_type, place.task().anchor) == ("interval", clock.after(later, 60))


def test_another_time_zone_moves_local_times_alone(place: Place) -> None:
    sections: dict[str, Any] = {
        "tasks": {"look": but(HOURLY, **NIGHTLY)},
        "jobs": {"backup": BACKUP},
    }
    place.configure(**sections)
    assert place.configure(clock.after(START, 60), zone="UTC", **sections) == 2
    assert (place.task().timezone, place.task().next_run) == ("UTC", "2026-02-01T03:30:00.000Z")
    assert (place.job().timezone, place.job().next_run) == ("UTC", clock.after(START, 1800))


def test_what_left_is_cancelled_and_comes_back_due_later(place: Place) -> None:
    sections: dict[str, Any] = {"tasks": {"look": HOURLY}, "jobs": {"backup": BACKUP}}
    place.configure(**sections)
    place.made.at("2026-01-31T09:00:00.100Z")
    assert place.configure("2026-01-31T09:10:00.000Z") == 2
    assert (place.task().status, place.job().status) == ("cancelled", "cancelled")
    assert place.made.at(TEN) == 0
    back = "2026-01-31T09:00:30.000Z"  # the clock may show a time that has fired
    assert place.configure(back, **sections) == 2
    assert (place.task().status, place.task().ended_at, place.task().next_run) == (
        *("active", None),
        TEN,
    )
    assert place.job().next_run == clock.after(START, 2 * 3600 - 1800)
    assert place.job().anchor == clock.after(START, 1800)
    place.made.end_runs()
    place.made.at("2026-01-31T10:00:00.100Z")
    fired = tasks.outcomes(place.store.db, "look", 10)
    assert [one.firing.due_at for one in fired] == [TEN, "2026-01-31T09:00:00.000Z"]


def test_a_single_time_fires_once_and_comes_back_only_with_another(place: Place) -> None:
    at = but(HOURLY, cron="", at="2026-01-31 11:00")
    place.configure(tasks={"look": at})
    assert place.made.at("2026-01-31T10:00:00.100Z") == 1
    assert place.configure("2026-01-31T10:05:00.000Z", tasks={"look": at}) == 0
    place.configure("2026-01-31T10:05:00.000Z")
    place.configure("2026-01-31T10:05:00.000Z", tasks={"look": at})
    assert (place.task().status, place.task().next_run) == ("completed", None)
    again = but(at, at="2026-02-01 11:00")
    place.configure("2026-01-31T10:06:00.000Z", tasks={"look": again})
    assert (place.task().status, place.task().ended_at) == ("active", None)
    assert place.task().next_run == "2026-02-01T10:00:00.000Z"
    place.configure("2026-01-31T10:06:00.000Z", tasks={"look": but(at, at="2026-01-30 11:00")})
    assert (place.task().status, place.task().next_run) == ("completed", None)


def test_a_single_time_that_left_and_was_past_when_it_came_back_is_over(place: Place) -> None:
    at = but(HOURLY, cron="", at="2026-01-31 11:00")
    place.configure(tasks={"look": at})
    place.configure()
    assert place.configure("2026-01-31T12:00:00.000Z", tasks={"look": at}) == 1
    assert (place.task().status, place.task().next_run) == ("completed", None)
    assert place.made.at("2026-01-31T12:00:01.000Z") == 0


def test_one_that_is_past_when_it_is_seen_first_never_fires(place: Place) -> None:
    place.configure(tasks={"look": but(HOURLY, cron="", at="2026-01-31 08:59")})
    assert (place.task().status, place.task().ended_at) == ("completed", START)
    assert place.made.at(clock.after(START, 1)) == 0


def test_disabled_is_paused_and_enabled_goes_on(place: Place) -> None:
    off = but(HOURLY, enabled=False)
    place.configure(tasks={"look": off, "other": HOURLY})
    assert (place.task().status, place.task().paused_by) == ("paused", "config")
    assert place.made.at("2026-01-31T09:30:00.000Z") == 1
    place.configure("2026-01-31T09:30:00.000Z", tasks={"look": HOURLY, "other": off})
    assert (place.task().status, place.task().paused_by) == ("active", None)
    assert place.task().next_run == TEN
    assert (place.task("other").status, place.task("other").paused_by) == ("paused", "config")
    place.configure("2026-01-31T09:30:00.000Z", tasks={"look": but(off, **NIGHTLY)})
    assert (place.task().status, place.task().paused_by) == ("paused", "config")
    place.configure("2026-01-31T09:30:00.000Z", tasks={"look": but(HOURLY, cron="0 0 * * *")})
    assert (place.task().status, place.task().paused_by) == ("active", None)
    assert place.task().next_run == "2026-01-31T23:00:00.000Z"


@pytest.mark.parametrize("by", PEOPLE)
def test_what_somebody_paused_stays_so_whatever_the_configuration_says(
    place: Place, by: Source
) -> None:
    place.configure(tasks={"look": HOURLY})
    place.pause(by)
    for rules in (
        but(HOURLY, prompt="Else."),
        but(HOURLY, enabled=False),
        HOURLY,
        but(HOURLY, **NIGHTLY),
        None,
        HOURLY,
    ):
        place.configure(tasks={"look": rules} if rules else {})
        assert place.task().paused_by == by
        assert place.task().status == ("paused" if rules else "cancelled")


def test_a_task_waits_for_its_group_and_is_taken_over_as_soon_as_it_is_there(place: Place) -> None:
    rules = but(HOURLY, group="family")
    assert place.configure(tasks={"look": rules, "other": HOURLY}) == 1
    assert tasks.find(place.store.db, "look") is None
    assert "look (for the group family)" in place.made.rows("SELECT report FROM processes")[0]
    before = place.commits()
    assert place.configured.drain(START) == 0
    assert place.commits() == before
    place.add_group("family")
    assert place.configured.drain(START) == 1
    assert place.task().group_folder == "family"
    assert place.made.rows("SELECT report FROM processes") == [""]
    assert place.configured.drain(START) == 0


def test_a_task_goes_with_its_group_and_comes_back_with_it(place: Place) -> None:
    place.configure(tasks={"look": HOURLY})
    with place.store.atomic() as db:
        groups.remove(db, "team")
    assert tasks.find(place.store.db, "look") is None
    assert place.configured.drain(START) == 0
    (place.context.home.group("team")).rmdir()
    place.add_group("team")
    assert place.configured.drain(START) == 1
    assert place.task().status == "active"


def test_one_that_moves_to_a_group_that_isnt_there_does_not_stay_where_it_was(place: Place) -> None:
    place.configure(tasks={"look": HOURLY})
    moved = but(HOURLY, group="family")
    place.configure(tasks={"look": moved})
    assert (place.task().status, place.task().group_folder) == ("cancelled", "team")
    place.add_group("family")
    place.configured.drain(START)
    assert (place.task().status, place.task().group_folder) == ("active", "family")
    place.configure(tasks={"look": HOURLY})
    assert (place.task().status, place.task().group_folder) == ("active", "team")


def test_a_chat_that_is_not_the_groups_is_waited_for(place: Place) -> None:
    place.add_group("family")
    assert place.configure(tasks={"look": but(HOURLY, chat="local:family")}) == 0
    (report,) = place.made.rows("SELECT report FROM processes")
    assert report == "Tasks of config.toml wait: look (for the chat local:family of team)."


@pytest.mark.parametrize("by", PEOPLE)
def test_what_others_made_is_never_touched(place: Place, by: Source) -> None:
    theirs = task(START, "cron", "0 * * * *", id="look", source=by)
    place.made.add(theirs, task(START, "cron", "0 * * * *", source=by))
    assert place.configure(tasks={"look": but(HOURLY, prompt="Mine.")}) == 0
    assert place.configure() == 0
    assert place.task() == theirs
    assert place.made.task().status == "active"


def test_without_tasks_the_file_is_not_asked_again(place: Place) -> None:
    place.configure(jobs={"backup": BACKUP})
    statements: list[str] = []
    place.store.db.set_trace_callback(statements.append)
    assert place.configured.drain(START) == 0
    assert statements == []
    place.store.db.set_trace_callback(None)
    assert timetable.active(place.store.db, JOBS) == ["backup"]


def test_the_settings_that_are_noted_for_others_have_no_commands(tmp_path: Path) -> None:
    settings = Settings(tasks={"look": HOURLY}, jobs={"backup": but(BACKUP, command="restic")})
    with asking(tmp_path, settings) as made:
        (noted,) = made.store.db.execute("SELECT settings FROM processes").fetchone()
    assert "supervise" in noted
    assert "restic" not in noted
    assert "Look." not in noted


def test_what_was_set_aside_is_due_again_once_the_configuration_is_changed(place: Place) -> None:
    place.configure(tasks={"look": HOURLY})
    with place.store.atomic() as db:
        for _ in range(failures.ATTEMPTS):
            failures.note(db, "schedule", "task:look", "planted", START)
    place.configure(tasks={"look": HOURLY})
    assert place.made.rows("SELECT state FROM failures") == ["set_aside"]
    place.configure(tasks={"look": but(HOURLY, cron="30 * * * *")})
    assert place.made.rows("SELECT state FROM failures") == []
