"""What agents ask about tasks, through files and the stage that answers them: what is said to be
scheduled is, when it was meant, once, and by whom nobody else says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.ipc.handlers.schedule import MOST
from pynchy_cli.store import jobs, runs, tasks
from tests.by_hand import LIMIT, Agent, House, wait_for

DAILY = {"schedule_type": "cron", "schedule_value": "30 9 * * *"}
TASK = {**DAILY, "prompt": "Stretch."}
HOST = {**DAILY, "task_type": "host", "command": "df -h"}
ZONES = {"TZ": "America/Los_Angeles", "PYNCHY_SCHEDULER__TIMEZONE": "Europe/Berlin"}


@pytest.fixture
def house(home: Path, environment: dict[str, str]) -> Iterator[House]:
    """A home in Berlin on a machine in California, and the stage as it is."""
    made = House(home, {**environment, **ZONES})
    try:
        yield made
    finally:
        made.close()


def told(agent: Agent, id: str, type: str, /, **fields: Any) -> Any:
    """What came of a request that was carried out."""
    agent.ask(id, type, **fields)
    answer = agent.answer(id)
    assert answer.ok, answer.error
    return answer.result


def refused(agent: Agent, id: str, type: str, /, **fields: Any) -> str:
    """The code under which a request was refused."""
    agent.ask(id, type, **fields)
    return agent.code(id)


@pytest.mark.parametrize(
    ("value", "zone", "utc", "local"),
    [
        ("2030-07-01 09:00", None, "2030-07-01T07:00:00.000Z", "Mon 2030-07-01 09:00 CEST"),
        ("2030-12-02 09:00", None, "2030-12-02T08:00:00.000Z", "Mon 2030-12-02 09:00 CET"),
        (
            *("2030-07-01 09:00", "America/Los_Angeles"),
            *("2030-07-01T16:00:00.000Z", "Mon 2030-07-01 09:00 PDT"),
        ),
        (
            *("2030-12-02 09:00", "America/Los_Angeles"),
            *("2030-12-02T17:00:00.000Z", "Mon 2030-12-02 09:00 PST"),
        ),
    ],
)
def test_a_time_is_meant_as_clocks_there_show_it(
    house: House, value: str, zone: str | None, utc: str, local: str
) -> None:
    """And neither as UTC nor as this machine's."""
    agent = house.agent("team")
    house.start()
    said = {"schedule_type": "once", "schedule_value": value, "prompt": "Call."}
    answer = told(agent, "a", "schedule_task", **said, **({"timezone": zone} if zone else {}))
    made = tasks.get(house.store.db, answer["id"])
    assert made.next_run == made.schedule_value == utc
    assert answer["next"] == [{"utc": utc, "local": local}]
    assert answer["timezone"] == made.timezone == (zone or "Europe/Berlin")
    (listed,) = told(agent, "b", "list_tasks")["tasks"]
    assert (listed["id"], listed["next_run"], listed["next_local"]) == (made.id, utc, local)


def test_nothing_is_said_to_be_scheduled_before_it_is(house: House) -> None:
    """While the file can't be written there is no answer; and then the row is there with it."""
    agent = house.agent("team")
    house.start()
    with house.store.atomic():
        agent.ask("a", "schedule_task", **TASK)
        wait_for(lambda: "drain failed" in house.said, "the end of the stage's patience")
        assert agent.answers() == set()
    answer = agent.answer("a")
    (made,) = tasks.all(house.store.db)
    assert answer.result["id"] == made.id
    assert answer.result["next"][0]["utc"] == made.next_run
    assert (made.group_folder, made.chat_jid) == ("team", "local:team")
    assert (made.source, made.created_by) == ("agent", "agent of team")


def test_what_is_not_scheduled_is_an_error_to_its_agent(house: House) -> None:
    team, main = house.agent("team"), house.agent("main")
    house.start()
    six = {"schedule_value": "0 30 9 * * *"}
    assert refused(team, "bad", "schedule_task", **{**TASK, **six}) == "schedule_invalid"
    assert refused(main, "bad", "schedule_task", **{**HOST, **six}) == "schedule_invalid"
    assert refused(main, "who", "schedule_task", **TASK, target_group="nobody") == "group_unknown"
    assert refused(main, "cwd", "schedule_task", **HOST, cwd="here") == "invalid"
    for id, said in (
        ("none", DAILY),
        ("both", {**TASK, "command": "id"}),
        ("two", {**HOST, "prompt": "x"}),
        ("mixed", {**TASK, "cwd": "/"}),
    ):
        assert refused(main, id, "schedule_task", **said) == "invalid"
    assert house.rows("SELECT count(*) FROM approvals") == [0]
    assert tasks.all(house.store.db) == []
    for number in range(MOST):
        team.ask(f"r{number}", "schedule_task", **TASK)
    assert {team.code(f"r{number}") for number in range(MOST)} == {"ok"}
    assert refused(team, "more", "schedule_task", **TASK) == "too_many"
    assert refused(main, "theirs", "schedule_task", **TASK, target_group="team") == "too_many"
    assert refused(main, "own", "schedule_task", **TASK) == "ok"
    assert len(tasks.all(house.store.db)) == MOST + 1
    # What nobody has made yet is said to be so, and to no person first.
    assert refused(team, "later", "sync_worktree_to_main") == "unavailable"


@pytest.mark.parametrize(
    "forged",
    [
        *({"createdBy": "owner"}, {"created_by": "owner"}, {"source": "config"}),
        *({"targetGroup": "main"}, {"group": "main"}, {"group_folder": "main"}),
        *({"chat_jid": "local:main"}, {"chatJid": "local:main"}, {"_approved": True}),
        *({"condition": "touch /tmp/x"}, {"id": "task-aaaaaa"}, {"paused_by": "person"}),
    ],
    ids=lambda forged: next(iter(forged)),
)
def test_no_field_says_for_whom_or_from_whom_it_is(house: House, forged: dict[str, object]) -> None:
    agent = house.agent("team")
    agent.write(agent.name("a"), json.dumps({"type": "schedule_task", **TASK, **forged}).encode())
    agent.write(agent.name("b"), json.dumps({"type": "finished_work", **forged}).encode())
    agent.ask("c", "schedule_task", **TASK, target_group="main")
    agent.ask("d", "schedule_task", **HOST)
    house.start(once=True)
    assert [agent.code(id) for id in "abcd"] == ["invalid", "invalid", "forbidden", "forbidden"]
    assert tasks.all(house.store.db) == jobs.all(house.store.db) == []


def test_another_group_s_task_is_out_of_reach(house: House) -> None:
    """Whoever names its id, and whoever it was that sent it."""
    team, club, main = house.agent("team"), house.agent("club"), house.agent("main")
    child = house.agent("team", "child:1")
    house.start()
    id = told(team, "a", "schedule_task", **TASK)["id"]
    kinds = ("pause_task", "resume_task", "cancel_task")
    for agent in (club, child):
        assert {refused(agent, kind, kind, task_id=id) for kind in kinds} == {"forbidden"}
    assert told(club, "list", "list_tasks")["tasks"] == []
    assert tasks.get(house.store.db, id).status == "active"
    assert [one["id"] for one in told(child, "list", "list_tasks")["tasks"]] == [id]
    assert told(main, "pause", "pause_task", task_id=id)["status"] == "paused"
    assert told(team, "resume", "resume_task", task_id=id)["status"] == "active"
    assert told(team, "cancel", "cancel_task", task_id=id)["status"] == "cancelled"
    assert tasks.all(house.store.db) == []


def test_a_command_of_the_host_is_scheduled_once_a_person_has_approved_it(house: House) -> None:
    agent = house.agent("main")
    house.start()
    agent.ask("a", "schedule_task", **HOST, cwd="/srv", timeout_seconds=90)
    agent.ask("b", "schedule_task", **HOST)
    wait_for(lambda: house.rows("SELECT count(*) FROM approvals") == [2], "the questions")
    shown = house.rows("SELECT content FROM outbound_ledger ORDER BY id")[0]
    for line in ("df -h", "folder: /srv", "90 s", "30 9 * * *", "time zone: the host's"):
        assert line in shown
    assert jobs.all(house.store.db) == []
    assert house.decide("denied", agent, "b")
    assert agent.code("b") == "denied"
    assert house.decide("approved", agent, "a")
    answer = agent.answer("a").result
    (made,) = jobs.all(house.store.db)
    assert (answer["id"], answer["next"][0]["utc"]) == (made.id, made.next_run)
    assert (made.command, made.cwd, made.timeout_seconds) == ("df -h", "/srv", 90.0)
    assert (made.source, made.created_by) == ("agent", "agent of main")
    assert [one["id"] for one in told(agent, "c", "list_tasks")["jobs"]] == [made.id]


def test_a_task_s_run_says_that_it_has_nothing_to_say(house: House) -> None:
    """Also one within the conversation; no other run does."""
    apart, chat = house.agent("team", "task:task-aaaaaa"), house.agent("team")
    idle = house.agent("club")
    now = clock.now()
    with house.store.atomic() as db:
        for lane in ("task:task-aaaaaa", "chat"):
            runs.queue_task(db, "team", lane, "task-aaaaaa", "prompt", "local:team", now)
        runs.queue_chat(db, "club", 1, 1, "local:club", now)
        claimed = [runs.claim(db, house.owner, 9, now) for _ in range(3)]
    assert all(claimed)
    house.start()
    quiet = "SELECT lane FROM runs WHERE quiet = 1 ORDER BY id"
    assert told(apart, "a", "finished_work") == {}
    assert house.rows(quiet) == ["task:task-aaaaaa"]
    assert told(chat, "a", "finished_work") == {}
    assert refused(idle, "a", "finished_work") == "not_a_task"
    assert house.rows(quiet) == ["task:task-aaaaaa", "chat"]


def test_however_often_the_stage_is_killed_each_task_is_made_once(house: House) -> None:
    agent = house.agent("team")
    many = 60
    stage = house.start()
    for number in range(many):
        agent.ask(f"r{number}", "schedule_task", **TASK, name=f"{number}")
    count = "SELECT count(*) FROM scheduled_tasks"
    for made in (1, 12, 24, 36, 48):
        wait_for(lambda made=made: house.rows(count)[0] >= made, "some tasks")
        stage.kill()
        stage.wait(LIMIT)
        stage = house.start()
    answered = [agent.answer(f"r{number}").result["id"] for number in range(many)]
    by_name = {one.name: one.id for one in tasks.all(house.store.db)}
    assert [by_name[str(number)] for number in range(many)] == answered
    assert house.rows(count) == [many]
