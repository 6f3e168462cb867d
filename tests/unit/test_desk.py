"""The desk in one process, while others work beside it: what it keeps in memory, when it wakes, and
what it writes where another desk writes the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol.requests import ListTodos
from pynchy_cli import clock, locks
from pynchy_cli.agent.folder import SessionFolder
from pynchy_cli.ipc import places
from pynchy_cli.ipc.desk import Desk
from pynchy_cli.ipc.outbox import Outbox
from pynchy_cli.pipeline.run_agent import Attended
from pynchy_cli.store import approvals, requests
from tests.asking import Asking, asking

LONG = "x" * 200_000


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    with asking(tmp_path) as made:
        yield made


class Idle:
    """A stage that has nothing to do."""

    def drain(self) -> int:
        return 0

    def deadline(self) -> float | None:
        return None

    def is_busy(self) -> bool:
        return False

    async def stop(self) -> None:
        pass


def test_who_leaves_requests_to_others_is_not_woken_by_what_is_due_of_them(ask: Asking) -> None:
    group = ask.group("team")
    row = ask.asked(group, ListTodos()).row
    now = clock.now()
    with ask.store.atomic() as db:
        approvals.ask(
            db,
            id="a2b3",
            request=row,
            chats=("local:team",),
            summary="",
            approvers=(),
            expires_at=now,
            now=now,
        )
    attended = Attended(ask.context, Idle())
    assert attended.deadline() == 0
    lock = locks.take(ask.home.locks / "ipc-watch.lock")
    assert lock is not None
    assert attended.drain() == 0
    assert attended.deadline() is None
    lock.release(remove=True)
    assert attended.drain() > 0
    assert approvals.get(ask.store.db, "a2b3").state == "expired"


def test_however_often_it_looks_through_all_it_hears_of_each_folder_once(
    ask: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SWEEP", 0)
    for name in ("team", "club"):
        ask.group(name)
        (ask.home.ipc / name).mkdir(parents=True)
    SessionFolder(ask.home.session("team", "c1-1")).make()
    desk = Desk(ask.context)
    desk.drain()
    before = {path: len(calls) for path, calls in ask.context.watcher._calls.items()}
    assert ask.home.ipc / "club" in before
    for _ in range(20):
        desk.drain()
    assert {path: len(calls) for path, calls in ask.context.watcher._calls.items()} == before


def test_nothing_is_kept_of_a_session_that_is_over(ask: Asking) -> None:
    ask.group("team")
    desk = Desk(ask.context)
    for number in range(5):
        session = ask.home.session("team", f"c1-{number}")
        folder = SessionFolder(session)
        folder.make()
        (session / "requests/00000001-a.json").write_text('{"type": "list_todos"}')
        desk.places._moved()
        while desk.drain():
            pass
        assert (session / "responses/a.json").exists()
        assert len(desk.outbox._written) == 1
        folder.remove()
        desk.places._moved()
        desk.drain()
        assert not desk.outbox._written


def test_of_two_who_write_an_answer_neither_spoils_the_other_s(tmp_path: Path) -> None:
    session = tmp_path / "session"
    (session / "responses").mkdir(parents=True)
    outbox, place = Outbox(), session / "responses/a.json"
    outbox.write(session, "a", LONG)
    other = os.fork()
    if other == 0:
        try:
            for _ in range(2000):
                outbox.write(session, "a", LONG)
        finally:
            os._exit(0)
    try:
        for _ in range(2000):
            outbox.write(session, "a", LONG)
            assert len(place.read_text()) == len(LONG)
    finally:
        os.waitpid(other, 0)


@pytest.mark.parametrize(
    ("session", "lane"), [("s1-1", "chat"), ("c1-1", "child:?"), ("t1-1", "task:?")]
)
def test_whose_a_session_without_a_row_is_tells_its_name(
    ask: Asking, session: str, lane: str
) -> None:
    """So that nothing is taken for the run's that is at work in the chat."""
    ask.group("team")
    folder = SessionFolder(ask.home.session("team", session))
    folder.make()
    (folder.path / "requests/00000001-a.json").write_text('{"type": "list_todos"}')
    desk = Desk(ask.context)
    while desk.drain():
        pass
    found = requests.find(ask.store.db, "team", session, "a")
    assert found is not None
    assert found.lane == lane
