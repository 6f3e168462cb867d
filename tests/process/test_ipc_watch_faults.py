"""What keeps the stage that answers agents from writing: the file, or an answer. It waits without
working itself hot, says so once, and then goes on where it was, in order."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from pynchy_cli.ipc import approving, intake
from tests.by_hand import House, wait_for


def busy(pid: int) -> float:
    """Seconds of a processor that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@pytest.mark.parametrize("type", ["sync_worktree_to_main", "deploy_changes"])
def test_what_was_approved_waits_for_a_disk_that_is_full(house: House, type: str) -> None:
    """F09: files can't grow beyond the end of the database's, as on a full disk."""
    agent = house.agent("main")
    with house.store.atomic() as db:
        db.execute("UPDATE registered_groups SET is_admin = 1")
    stage = house.start()
    agent.ask("a", type)
    wait_for(lambda: house.rows("SELECT 1 FROM approvals"), "the question")
    wal = house.home.database.with_name(f"{house.home.database.name}-wal")
    full = 16 * 1024
    assert wal.stat().st_size > full
    one = psutil.Process(stage.pid)
    one.rlimit(resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    assert house.decide("approved", agent, "a")
    wait_for(lambda: "can't be used" in house.said, "a word on it")
    spent = busy(stage.pid)
    time.sleep(2)  # it tries again meanwhile, and says nothing more
    assert busy(stage.pid) - spent < 0.5
    assert house.said.count("can't be used") == 1
    assert house.outside == []
    one.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert agent.code("a") == "ok"
    house.stop()
    assert house.rows("SELECT state FROM requests") == ["done"]
    assert "Traceback" not in house.said


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "later"])
def test_an_answer_that_can_t_be_written_is_said_once_and_comes_then(
    house: House, is_late: bool
) -> None:
    agent, other = house.agent("team"), house.agent("club")
    ids = [f"r{number}" for number in range(20)]
    for id in ids:
        (agent.path / f"responses/{id}.json").mkdir()
        agent.ask(id, "finished_work" if is_late else "list_todos")
    house.start()
    tried = "SELECT count(answer) FROM requests"
    wait_for(lambda: house.rows(tried) == [len(ids)], "their ends")
    other.ask("meanwhile", "list_todos")
    assert other.code("meanwhile") == "ok"
    time.sleep(2.5)  # it tries again meanwhile
    assert house.said.count("an answer can't be written yet") == 1
    for id in ids:
        (agent.path / f"responses/{id}.json").rmdir()
    assert {agent.code(id) for id in ids} == {"ok"}
    house.stop()
    assert house.rows("SELECT count(*), sum(delivered) FROM requests") == [(21, 21)]


def test_what_a_locked_file_keeps_from_being_taken_keeps_its_order(house: House) -> None:
    """F08: more at once than is decided in one transaction."""
    agent = house.agent("team")
    house.start()
    agent.ask("first", "list_todos")
    assert agent.code("first") == "ok"
    with house.store.atomic():
        for number in range(50):
            agent.ask(f"r{number}", "add_todo", content=f"{number}")
        wait_for(lambda: "drain failed" in house.said, "the end of the stage's patience")
    wait_for(lambda: len(agent.answers()) == 51, "every answer")
    contents = house.rows("SELECT content FROM todos ORDER BY id")
    assert contents == [str(number) for number in range(50)]


def test_what_is_in_hand_is_not_given_up_because_the_file_is_locked(house: House) -> None:
    """F08: by a stage that would end by itself."""
    agent = house.agent("team")
    agent.ask("slow", "list_tasks")
    with ThreadPoolExecutor() as threads:
        stage = threads.submit(house.start, once=True)
        wait_for(lambda: house.outside or stage.done(), "the beginning of it")
        with house.store.atomic():
            agent.ask("quick", "add_todo", content="x")
            wait_for(lambda: "drain failed" in house.said, "the end of the stage's patience")
        wait_for(lambda: "quick" in agent.answers() or stage.done(), "the answer")
        (house.home.data / "go").touch()
        stage.result()
    assert agent.code("slow") == agent.code("quick") == "ok"
    assert house.outside == ["begun slow group", "over slow group"]


def test_people_are_not_asked_without_end(house: House) -> None:
    agent, other = house.agent("team"), house.agent("club")
    house.start()
    ids = [f"r{number}" for number in range(approving.MOST + 3)]
    for id in ids:
        agent.ask(id, "sync_worktree_to_main")
    assert [agent.code(id) for id in ids[approving.MOST :]] == ["too_many"] * 3
    other.ask("a", "sync_worktree_to_main")
    assert house.decide("approved", other, "a")
    assert house.decide("denied", agent, "r0")
    agent.ask("again", "sync_worktree_to_main")
    assert house.decide("approved", agent, "again")
    assert agent.code("again") == other.code("a") == "ok"
    waits = "SELECT count(*) FROM outbound_ledger WHERE key LIKE 'approval:%'"
    assert house.rows(waits) == [approving.MOST + 2]


def test_what_is_asked_faster_than_it_can_be_done_waits_in_its_folder(house: House) -> None:
    """Else all would be slowed down by the rows that wait."""
    agent, other = house.agent("team"), house.agent("club")
    house.start()
    agent.ask("slow", "list_tasks")
    wait_for(lambda: house.outside, "its beginning")
    ids = [f"r{number}" for number in range(intake.UNDONE + 200)]
    for id in ids:
        agent.ask(id, "finished_work")
    waiting = "SELECT count(*) FROM requests WHERE state = 'accepted'"
    wait_for(lambda: house.rows(waiting)[0] >= intake.UNDONE, "a queue")
    for number in range(20):
        other.ask(f"{number}", "add_todo", content="x")
        assert other.code(f"{number}") == "ok"
    assert house.rows(waiting)[0] < intake.UNDONE + intake.BATCH
    (house.home.data / "go").touch()
    assert {agent.code(id) for id in ids} == {"ok"}
    assert house.outside[2:] == [f"once {id} group" for id in ids]
