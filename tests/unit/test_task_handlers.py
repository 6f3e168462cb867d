"""What agents ask about tasks and host jobs, over a real file; and what they are told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_runner.protocol import requests as protocol
from pynchy_cli import clock
from pynchy_cli.config.settings import Scheduler, Settings
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.handlers import effects, schedule
from pynchy_cli.ipc.handlers import tasks as handlers
from pynchy_cli.ipc.offer import offered
from pynchy_cli.model import Timed
from pynchy_cli.scheduling.firing import fire_by_hand
from pynchy_cli.store import groups, jobs, runs, tasks, timetable
from pynchy_cli.store.timetable import JOBS, TASKS, Table
from tests.asking import Asking, asking

EFFECTS = effects()
NOW = "2026-03-28T12:00:00.000Z"
DAILY = {"schedule_type": "cron", "schedule_value": "30 2 * * *"}


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """A home in Berlin with the admin group main, and family and work."""
    with asking(tmp_path, Settings(scheduler=Scheduler(timezone="Europe/Berlin"))) as made:
        made.group("main", is_admin=True)
        made.group("family")
        made.group("work")
        yield made


def told(
    ask: Asking,
    folder: str,
    request: protocol.Request,
    now: str = NOW,
    run_id: int | None = None,
    role: str | None = None,
) -> Mapping[str, Any]:
    """What an agent of the group is told at a moment."""
    group = groups.get(ask.store.db, folder)
    effect = EFFECTS[protocol.type_of(request)]
    assert effect.is_immediate(request)
    assert effect.rows is not None
    asked = ask.asked(group, request, chat_jid=f"local:{folder}-2")
    asked = replace(asked, row=replace(asked.row, run_id=run_id, role=role or asked.row.role))
    with ask.store.atomic() as db:
        found = effect.rows(db, asked, now, None)
    assert isinstance(found, Mapping)
    return found


def refused(ask: Asking, folder: str, request: protocol.Request, **more: Any) -> tuple[str, str]:
    """The code and the words of a refusal."""
    with pytest.raises(RequestRefused) as error:
        told(ask, folder, request, **more)
    return error.value.code, str(error.value)


def scheduled(ask: Asking, folder: str = "family", **said: Any) -> str:
    """The id of a new task."""
    request = protocol.ScheduleTask(**{**DAILY, "prompt": "Stretch.", **said})
    return str(told(ask, folder, request)["id"])


def host_job(ask: Asking, **said: Any) -> str:
    return scheduled(ask, "main", task_type="host", prompt=None, command="uptime", **said)


def came_from(ask: Asking, table: Table, id: str, /, **columns: str) -> None:
    """Something is of another source, or of another id, than an agent's would be."""
    with ask.store.atomic() as db:
        for column, value in columns.items():
            db.execute(f"UPDATE {table.name} SET {column} = ? WHERE id = ?", (value, id))


def paused_by(ask: Asking, table: Table, one: Timed, by: Any) -> None:
    with ask.store.atomic() as db:
        timetable.pause(db, table, one, by)


def test_what_is_scheduled_says_when_across_a_change_of_the_clocks(ask: Asking) -> None:
    """That night, 2:30 does not come in Berlin."""
    request = protocol.ScheduleTask(**DAILY, prompt="Stretch.", name="Stretching")
    answer = told(ask, "family", request)
    assert answer == {
        "id": answer["id"],
        "timezone": "Europe/Berlin",
        "next": [
            {"utc": "2026-03-29T01:00:00.000Z", "local": "Sun 2026-03-29 03:00 CEST"},
            {"utc": "2026-03-30T00:30:00.000Z", "local": "Mon 2026-03-30 02:30 CEST"},
            {"utc": "2026-03-31T00:30:00.000Z", "local": "Tue 2026-03-31 02:30 CEST"},
        ],
    }
    made = tasks.get(ask.store.db, answer["id"])
    assert (made.group_folder, made.chat_jid) == ("family", "local:family-2")
    assert (made.prompt, made.name, made.context_mode) == ("Stretch.", "Stretching", "isolated")
    assert (made.source, made.created_by, made.created_at) == ("agent", "agent of family", NOW)
    assert made.next_run == "2026-03-29T01:00:00.000Z"
    assert (made.condition, made.overlap, made.catch_up) == (None, "skip", "once")


@pytest.mark.parametrize(
    ("said", "due"),
    [
        # 2026-12-01 09:00 in a zone 8 hours behind is 17:00 UTC.
        ({"schedule_value": "2026-12-01 09:00", "timezone": "America/Los_Angeles"}, "17:00"),
        ({"schedule_value": "2026-12-01 09:00"}, "08:00"),
        ({"schedule_value": "2026-12-01T09:00:00-05:00"}, "14:00"),
    ],
)
def test_a_single_time_is_local_in_its_zone(ask: Asking, said: dict[str, str], due: str) -> None:
    id = scheduled(ask, schedule_type="once", **said)
    made = tasks.get(ask.store.db, id)
    assert made.next_run == f"2026-12-01T{due}:00.000Z"
    assert made.timezone == said.get("timezone", "Europe/Berlin")


def test_an_interval_has_its_anchor_one_interval_ahead(ask: Asking) -> None:
    id = scheduled(ask, schedule_type="interval", schedule_value="30m", context_mode="group")
    made = tasks.get(ask.store.db, id)
    assert (made.schedule_value, made.context_mode) == ("1800", "group")
    assert made.anchor == made.next_run == "2026-03-28T12:30:00.000Z"


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        ({"schedule_value": "30 2 * * * *"}, "schedule_invalid", ""),
        ({"schedule_type": "interval", "schedule_value": "5"}, "schedule_invalid", "10 seconds"),
        (
            {"schedule_type": "once", "schedule_value": "2020-01-01 09:00"},
            "schedule_invalid",
            "is past",
        ),
        ({"timezone": "Europe/Berlim"}, "schedule_invalid", "Europe/Berlin"),
        ({"prompt": " \n"}, "invalid", "is missing"),
    ],
)
def test_what_can_not_be_scheduled_is_an_error_and_writes_nothing(
    ask: Asking, said: dict[str, str], code: str, why: str
) -> None:
    request = protocol.ScheduleTask(**{**DAILY, "prompt": "Stretch.", **said})
    found = refused(ask, "family", request)
    assert found[0] == code
    assert why in found[1]
    with pytest.raises(RequestRefused) as checked:
        schedule.EFFECTS["schedule_task"].check(
            ask.asked(groups.get(ask.store.db, "family"), request)
        )
    assert checked.value.code == code
    assert tasks.all(ask.store.db, ended=True) == []


def test_what_is_past_when_a_person_approves_it_is_not_scheduled(ask: Asking) -> None:
    once = {"schedule_type": "once", "schedule_value": "2099-01-01T00:00:00Z"}
    request = protocol.ScheduleTask(**once, task_type="host", command="uptime")
    asked = ask.asked(groups.get(ask.store.db, "main"), request)
    schedule.EFFECTS["schedule_task"].check(asked)
    code, why = refused(ask, "main", request, now="2099-01-01T00:00:00.001Z")
    assert (code, "is past" in why) == ("schedule_invalid", True)
    assert jobs.all(ask.store.db, ended=True) == []


def test_a_group_s_agents_make_so_many_tasks_and_no_more(ask: Asking) -> None:
    """Those that are over count no more, nor do people's."""
    ids = [scheduled(ask) for _ in range(schedule.MOST)]
    request = protocol.ScheduleTask(**DAILY, prompt="Stretch.")
    assert refused(ask, "family", request)[0] == "too_many"
    assert (
        refused(ask, "main", msgspec.structs.replace(request, target_group="family"))[0]
        == "too_many"
    )
    assert scheduled(ask, "work")
    told(ask, "family", protocol.CancelTask(task_id=ids[0]))
    ids.append(scheduled(ask))
    assert refused(ask, "family", request)[0] == "too_many"
    came_from(ask, TASKS, ids[5], source="person")
    assert scheduled(ask)


def test_what_is_over_counts_for_as_long_as_its_run_waits(ask: Asking) -> None:
    """Else a group could have any number of runs queued: by a time that comes at once, or by
    cancelling what has fired."""
    ids = [scheduled(ask) for _ in range(schedule.MOST)]
    request = protocol.ScheduleTask(**DAILY, prompt="Stretch.")
    with ask.store.atomic() as db:
        for id in ids:
            fire_by_hand(db, TASKS, tasks.get(db, id), NOW)
    for id in ids:
        told(ask, "family", protocol.CancelTask(task_id=id))
    assert refused(ask, "family", request)[0] == "too_many"
    assert scheduled(ask, "work")
    with ask.store.atomic() as db:
        db.execute("UPDATE runs SET state = 'done' WHERE task = ?", (ids[0],))
        db.execute("UPDATE runs SET state = 'running' WHERE task = ?", (ids[1],))
    assert scheduled(ask)
    assert refused(ask, "family", request)[0] == "too_many"


def test_an_admin_group_schedules_for_another_in_that_one_s_chat(ask: Asking) -> None:
    made = tasks.get(ask.store.db, scheduled(ask, "main", target_group="work"))
    assert (made.group_folder, made.chat_jid, made.created_by) == ("work", None, "agent of main")
    request = protocol.ScheduleTask(**DAILY, prompt="x", target_group="nobody")
    assert refused(ask, "main", request)[0] == "group_unknown"


def test_a_host_job_is_what_was_asked(ask: Asking) -> None:
    id = host_job(ask, cwd="/tmp", timeout_seconds=30, timezone="UTC", name="Load")
    made = jobs.get(ask.store.db, id)
    assert (made.command, made.cwd, made.timeout_seconds) == ("uptime", "/tmp", 30.0)
    assert (made.source, made.created_by, made.name) == ("agent", "agent of main", "Load")
    assert made.next_run == "2026-03-29T02:30:00.000Z"
    host = {**DAILY, "task_type": "host", "command": "uptime"}
    assert refused(ask, "main", protocol.ScheduleTask(**host, cwd="work"))[0] == "invalid"
    assert refused(ask, "main", protocol.ScheduleTask(**host, target_group="work"))[0] == "invalid"


def test_what_a_person_is_shown_of_a_host_job_is_all_of_it() -> None:
    shown = schedule.EFFECTS["schedule_task"].summary
    assert shown is not None
    request = protocol.ScheduleTask(
        schedule_type="interval",
        schedule_value="1800",
        task_type="host",
        command="df -h\nfolder: /nowhere",
        cwd="/srv",
        timezone="Asia/Tokyo",
        timeout_seconds=90,
        name="Disks",
    )
    assert shown(request).splitlines() == [
        "Have this machine run a shell command, with all that pynchy may do:",
        "when: again and again, every 1800 s; time zone: Asia/Tokyo",
        "folder: /srv",
        "time limit: 90 s",
        "name: Disks",
        "command: df -h",
        "folder: /nowhere",
    ]
    once = protocol.ScheduleTask(
        schedule_type="once", schedule_value="2026-12-01 09:00", prompt="Call.", target_group="work"
    )
    assert shown(once).splitlines() == [
        "Have an agent do something later:",
        "when: once, at 2026-12-01 09:00; time zone: the host's",
        "group: work",
        "conversation: one of its own",
        "prompt: Call.",
    ]


def test_a_group_lists_its_own_and_an_admin_group_all(ask: Asking) -> None:
    mine = scheduled(ask, prompt="p" * 600, name="Mine")
    theirs = scheduled(ask, "work")
    came_from(ask, TASKS, mine, source="config")
    job = host_job(ask)
    listed = told(ask, "family", protocol.ListTasks())
    assert listed == {
        "tasks": [
            {
                "id": mine,
                "name": "Mine",
                "schedule_type": "cron",
                "schedule_value": "30 2 * * *",
                "timezone": "Europe/Berlin",
                "status": "active",
                "next_run": "2026-03-29T01:00:00.000Z",
                "next_local": "Sun 2026-03-29 03:00 CEST",
                "last_run": None,
                "source": "config",
                "context_mode": "isolated",
                "prompt": "p" * 500 + " …",
            }
        ],
        "more": False,
    }
    everything = told(ask, "main", protocol.ListTasks())
    assert {(one["id"], one["group"]) for one in everything["tasks"]} == {
        (mine, "family"),
        (theirs, "work"),
    }
    assert [(one["id"], one["command"]) for one in everything["jobs"]] == [(job, "uptime")]
    told(ask, "family", protocol.PauseTask(task_id=mine))
    (one,) = told(ask, "family", protocol.ListTasks())["tasks"]
    assert (one["status"], one["paused_by"], one["next_run"]) == ("paused", "agent", None)
    told(ask, "work", protocol.CancelTask(task_id=theirs))
    assert told(ask, "work", protocol.ListTasks())["tasks"] == []


def test_a_sandbox_that_an_admin_group_s_has_started_lists_the_group_s_own(ask: Asking) -> None:
    scheduled(ask, "work")
    mine = scheduled(ask, "main")
    host_job(ask)
    listed = told(ask, "main", protocol.ListTasks(), role="child")
    assert [one["id"] for one in listed["tasks"]] == [mine]
    assert "jobs" not in listed


def test_of_very_many_a_bounded_number_is_listed(ask: Asking) -> None:
    task, job = scheduled(ask, "work"), host_job(ask)
    with ask.store.atomic() as db:
        for number in range(handlers.LISTED - 1):
            tasks.add(db, replace(tasks.get(db, task), id=f"more-{number}"))
            jobs.add(db, replace(jobs.get(db, job), id=f"more-{number}"))
    listed = told(ask, "main", protocol.ListTasks())
    assert (len(listed["tasks"]), len(listed["jobs"])) == (handlers.LISTED, handlers.LISTED)
    assert listed["more"] is False
    with ask.store.atomic() as db:
        jobs.add(db, replace(jobs.get(db, job), id="one-more"))
    listed = told(ask, "main", protocol.ListTasks())
    assert (len(listed["jobs"]), listed["more"]) == (handlers.LISTED, True)
    assert told(ask, "work", protocol.ListTasks())["more"] is False
    with ask.store.atomic() as db:
        tasks.add(db, replace(tasks.get(db, task), id="one-more"))
    listed = told(ask, "work", protocol.ListTasks())
    assert (len(listed["tasks"]), listed["more"]) == (handlers.LISTED, True)


def test_a_zone_that_is_known_no_more_hides_nothing(ask: Asking) -> None:
    id = scheduled(ask)
    came_from(ask, TASKS, id, timezone="Gone/Away")
    (one,) = told(ask, "family", protocol.ListTasks())["tasks"]
    assert (one["id"], one["next_local"]) == (id, "Sun 2026-03-29 01:00 UTC")
    told(ask, "family", protocol.PauseTask(task_id=id))
    code, why = refused(ask, "family", protocol.ResumeTask(task_id=id))
    assert (code, "Gone/Away" in why) == ("schedule_invalid", True)


def test_what_is_resumed_is_due_from_then_on(ask: Asking) -> None:
    id = scheduled(ask, schedule_type="interval", schedule_value="1h")
    assert told(ask, "family", protocol.PauseTask(task_id=id)) == {"id": id, "status": "paused"}
    assert tasks.get(ask.store.db, id).status == "paused"
    later = "2026-03-28T17:20:00.000Z"
    answer = told(ask, "family", protocol.ResumeTask(task_id=id), now=later)
    assert (answer["id"], answer["status"]) == (id, "active")
    assert [one["utc"][11:16] for one in answer["next"]] == ["18:00", "19:00", "20:00"]
    made = tasks.get(ask.store.db, id)
    assert (made.status, made.next_run) == ("active", "2026-03-28T18:00:00.000Z")
    assert told(ask, "family", protocol.ResumeTask(task_id=id), now=later) == answer


def test_what_would_never_be_due_again_is_not_resumed(ask: Asking) -> None:
    id = scheduled(ask, schedule_type="once", schedule_value="2026-12-01 09:00")
    told(ask, "family", protocol.PauseTask(task_id=id))
    request = protocol.ResumeTask(task_id=id)
    assert refused(ask, "family", request, now="2027-01-01T00:00:00.000Z")[0] == "schedule_invalid"
    assert tasks.get(ask.store.db, id).status == "paused"


def test_what_is_cancelled_is_over(ask: Asking) -> None:
    id = scheduled(ask)
    cancelled = {"id": id, "status": "cancelled"}
    assert told(ask, "family", protocol.CancelTask(task_id=id)) == cancelled
    assert tasks.get(ask.store.db, id).next_run is None
    for kind in (protocol.PauseTask, protocol.ResumeTask, protocol.CancelTask):
        assert refused(ask, "family", kind(task_id=id))[0] == "task_ended"


@pytest.mark.parametrize("kind", [protocol.PauseTask, protocol.ResumeTask, protocol.CancelTask])
def test_what_is_not_a_group_s_own_it_neither_finds_nor_changes(ask: Asking, kind: Any) -> None:
    """Whatever the rights have said: whose it is may have changed since."""
    theirs, job = scheduled(ask, "work"), host_job(ask)
    before = tasks.get(ask.store.db, theirs), jobs.get(ask.store.db, job)
    for id in (theirs, job, "task-nowhere"):
        assert refused(ask, "family", kind(task_id=id))[0] == "task_unknown"
    assert refused(ask, "main", kind(task_id="task-nowhere"))[0] == "task_unknown"
    assert (tasks.get(ask.store.db, theirs), jobs.get(ask.store.db, job)) == before


def test_an_admin_group_changes_others_and_the_host_s(ask: Asking) -> None:
    theirs, job = scheduled(ask, "work"), host_job(ask)
    for id in (theirs, job):
        assert told(ask, "main", protocol.PauseTask(task_id=id))["status"] == "paused"
        assert told(ask, "main", protocol.ResumeTask(task_id=id))["status"] == "active"
        assert told(ask, "main", protocol.CancelTask(task_id=id))["status"] == "cancelled"
    assert tasks.get(ask.store.db, theirs).status == "cancelled"
    assert jobs.get(ask.store.db, job).status == "cancelled"


def test_one_id_for_two_is_not_guessed_at(ask: Asking) -> None:
    came_from(ask, TASKS, scheduled(ask, "work"), id="backup")
    came_from(ask, JOBS, host_job(ask), id="backup")
    assert refused(ask, "main", protocol.CancelTask(task_id="backup"))[0] == "ambiguous"
    assert told(ask, "work", protocol.CancelTask(task_id="backup"))["status"] == "cancelled"
    assert jobs.get(ask.store.db, "backup").status == "active"


def test_an_agent_overrules_no_person_and_not_the_configuration(ask: Asking) -> None:
    """Not by pausing first, either, what a person pauses then."""
    job, task = host_job(ask), scheduled(ask, "work")
    told(ask, "main", protocol.PauseTask(task_id=job))
    paused_by(ask, JOBS, jobs.get(ask.store.db, job), "person")
    told(ask, "main", protocol.PauseTask(task_id=job))
    request = protocol.ResumeTask(task_id=job)
    assert refused(ask, "main", request)[0] == "paused_by_person"
    assert jobs.get(ask.store.db, job).status == "paused"
    paused_by(ask, TASKS, tasks.get(ask.store.db, task), "person")
    assert told(ask, "work", protocol.ResumeTask(task_id=task))["status"] == "active"
    came_from(ask, TASKS, task, source="config")
    assert refused(ask, "work", protocol.CancelTask(task_id=task))[0] == "from_config"
    told(ask, "work", protocol.PauseTask(task_id=task))
    assert told(ask, "work", protocol.ResumeTask(task_id=task))["status"] == "active"
    told(ask, "work", protocol.PauseTask(task_id=task))
    paused_by(ask, TASKS, tasks.get(ask.store.db, task), "config")
    assert refused(ask, "work", protocol.ResumeTask(task_id=task))[0] == "from_config"
    assert tasks.get(ask.store.db, task).status == "paused"


def test_only_a_task_s_run_at_work_has_finished(ask: Asking) -> None:
    """And only this attempt of it: the next one may have something to say."""
    now = clock.now()
    with ask.store.atomic() as db:
        chat = runs.queue_chat(db, "family", 1, 1, "local:family", now)
        task = runs.queue_task(db, "work", "task:t", "t", "prompt", "local:work", now)
    request = protocol.FinishedWork()
    for run in (None, chat, task):
        assert refused(ask, "work", request, run_id=run)[0] == "not_a_task"
    owner = ask.context.owner
    with ask.store.atomic() as db:
        claimed = {run.id: run for run in (runs.claim(db, owner, 9, now) for _ in "ab") if run}
    assert set(claimed) == {chat, task}
    assert refused(ask, "family", request, run_id=chat)[0] == "not_a_task"
    assert told(ask, "work", request, run_id=task) == {}
    assert runs.get(ask.store.db, task).quiet
    assert not runs.get(ask.store.db, chat).quiet
    with ask.store.atomic() as db:
        runs.give_back(db, claimed[task], now=now, not_before=None, error=None, free=False)
    assert not runs.get(ask.store.db, task).quiet


def test_finished_work_is_offered_to_what_is_a_task_s_alone(ask: Asking) -> None:
    group, settings = groups.get(ask.store.db, "work"), ask.context.settings
    lanes = ("task:task-abc", "chat", "child:1", "shell")
    offers = ["finished_work" in offered(group, lane, settings, EFFECTS).requests for lane in lanes]
    assert offers == [True, False, False, False]
    chat = offered(group, "chat", settings, EFFECTS).requests
    assert {"schedule_task", "list_tasks", "pause_task", "resume_task", "cancel_task"} <= set(chat)
    assert "list_tasks" in offered(group, "child:1", settings, EFFECTS).requests
    assert "schedule_task" not in offered(group, "child:1", settings, EFFECTS).requests
