"""What people end by hand, as rows: nothing of it is asked again, and no reply is left open."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol import Text, TurnEnded
from pynchy_cli import clock
from pynchy_cli.errors import RunUnknown, UsageWrong
from pynchy_cli.model import CHAT_LANE, NewMessage, Run
from pynchy_cli.routing.answers import Outcome, outcome
from pynchy_cli.store import (
    cancelling,
    conversations,
    groups,
    messages,
    outbound,
    runs,
    sessions,
    steering,
)
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.fired import fire
from tests.teams import add_team
from tests.unit.test_follow_ups import begun, state
from tests.unit.test_worker import Place, bench, echo, script

NOW = "2026-01-31T08:00:00.000Z"
CHAT = "local:team"
ME = 7


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        add_team(opened, trigger_mode="always")
        yield opened


def ask(store: Store, text: str = "hello") -> int:
    """A message that is routed; the number of its run."""
    with store.atomic() as db:
        number = messages.highest(db) + 1
        messages.add(db, NewMessage(str(number), CHAT, "owner", "Ann", text, NOW), NOW)
        groups.route_through(db, "team", number)
        return runs.queue_chat(db, "team", number, number, CHAT, NOW)


def claim(store: Store) -> Run:
    with store.atomic() as db:
        run = runs.claim(db, ME, 5, NOW)
    assert run is not None
    return run


def cancel(store: Store, run: int) -> Run:
    with store.atomic() as db:
        return cancelling.cancel(db, run, NOW)


def back(store: Store, run: Run) -> int:
    with store.atomic() as db:
        return runs.give_back(
            db, run, now=NOW, not_before=None, error="it broke", free=False, note=None
        )


def said(store: Store, run: int) -> list[tuple[str, str, bool]]:
    found = outbound.of_run(store.db, run)
    return [(reply.content, reply.source, reply.is_final) for reply in found]


def became(store: Store, seq: int) -> Outcome:
    message = messages.get(store.db, seq)
    assert message is not None
    return outcome(store.db, message)


def read(store: Store, after: int, through: int) -> list[int]:
    return [one.seq for one in messages.for_agent(store.db, "team", after, through)]


def test_a_run_that_waits_is_cancelled_and_said_so(store: Store) -> None:
    ask(store)
    run = ask(store)
    assert became(store, 1).state == "waiting"
    done = cancel(store, run)
    assert (done.state, done.error, done.finished_at) == ("cancelled", cancelling.WHY, NOW)
    assert said(store, run) == [(cancelling.CANCELLED, "host", True)]
    assert groups.get(store.db, "team").answered_seq == 2
    for seq in (1, 2):
        found = became(store, seq)
        assert (found.state, found.is_settled) == ("cancelled", True)
        assert [reply.content for reply in found.replies] == [cancelling.CANCELLED]
    new = ask(store)
    assert (runs.get(store.db, new).first_seq, read(store, 2, 4)) == (4, [4])


def test_what_an_earlier_attempt_wrote_stays_and_is_not_left_open(store: Store) -> None:
    ask(store)
    run = claim(store)
    with store.atomic() as db:
        outbound.grow(
            db,
            key="run:1:0",
            chat_jid=CHAT,
            content="half an answer ",
            now=NOW,
            group_folder="team",
            run_id=run.id,
        )
    back(store, run)
    cancel(store, run.id)
    assert said(store, run.id) == [(f"half an answer\n\n{cancelling.CANCELLED}", "agent", True)]


def test_what_has_ended_or_never_was_is_not_cancelled(store: Store) -> None:
    first = ask(store)
    run = claim(store)
    ask(store)
    second = back(store, run)
    with pytest.raises(UsageWrong, match=f"taken over by run {second}"):
        cancel(store, first)
    cancel(store, second)
    with pytest.raises(UsageWrong, match="is cancelled"):
        cancel(store, second)
    with pytest.raises(RunUnknown):
        cancel(store, 99)
    assert len(said(store, second)) == 1


def test_one_at_work_is_asked_to_stop_and_stays_its_worker_s(store: Store) -> None:
    run = ask(store)
    claim(store)
    still = cancel(store, run)
    assert (still.state, still.asked, still.owner) == ("running", "stop", ME)
    assert said(store, run) == []
    assert groups.get(store.db, "team").answered_seq == 0


def test_only_a_turn_at_work_is_stopped(store: Store) -> None:
    ask(store)
    with store.atomic() as db:
        assert cancelling.stop(db, "team", clock.now()) is None
    claim(store)
    with store.atomic() as db:
        assert cancelling.stop(db, "team", clock.now()) is not None
    assert [one.id for one in steering.asked(store.db, ME)] == [1]


def test_what_was_cancelled_in_the_midst_of_a_range_is_passed_over(store: Store) -> None:
    """A run at work goes back, and is merged with what was said after something cancelled."""
    ask(store, "first")
    run = claim(store)
    cancel(store, ask(store, "cancelled"))
    ask(store, "last")
    merged = back(store, run)
    taken = runs.get(store.db, merged)
    assert (taken.first_seq, taken.last_seq) == (1, 4)
    assert read(store, 0, 4) == [1, 4]
    assert became(store, 2).state == "cancelled"
    assert [became(store, seq).state for seq in (1, 4)] == ["waiting", "waiting"]
    assert read(store, 1, 2) == [], "what is looked for alone is passed over too"


def test_what_was_set_aside_within_a_cancelled_range_can_be_brought_back(store: Store) -> None:
    for _ in range(3):
        run = ask(store)
    cancel(store, run)
    assert read(store, 1, 2) == [2]


def test_a_conversation_begins_anew_whatever_waits(store: Store) -> None:
    with store.atomic() as db:
        sessions.begin(
            db, "team", CHAT_LANE, folder="s1", owner=ME, sandbox="box", runtime="r", now=NOW
        )
        sessions.named(db, sessions.get(db, "team", CHAT_LANE), "s-1")
    ask(store, "before")
    with store.atomic() as db:
        conversations.reset(db, "team", CHAT_LANE, 1, NOW)
        conversations.reset(db, "team", "task:7", 1, NOW)
    known = sessions.get(store.db, "team", CHAT_LANE)
    assert (known.session_id, known.generation) == (None, 1)
    run = runs.get(store.db, 1)
    assert (run.state, read(store, run.first_seq - 1, run.last_seq)) == ("queued", [1])
    assert [one.lane for one in sessions.all(store.db, "team")] == [CHAT_LANE, "task:7"]
    assert sessions.all(store.db, "other") == []


def test_an_agent_at_work_is_not_told_what_was_cancelled(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def agent(place: Place) -> None:
        document = await place.document()
        assert document is not None
        place.write(Text(turn=document.turn, text="so far"))
        await go.wait()
        place.write(TurnEnded(turn=document.turn, reply="one", read=4))
        await echo(place)

    async def story() -> None:
        async with bench(tmp_path, agent) as b:
            b.ask("first")
            place = await begun(b)
            with b.store.atomic() as db:
                groups.route_through(db, "team", 1)
            second = b.ask("never mind")
            with b.store.atomic() as db:
                assert cancelling.cancel(db, second, clock.now()).state == "cancelled"
            b.ask("third")
            await b.until(lambda: b.run(1).last_seq == 4, "it was told")
            go.set()
            await b.until(lambda: state(b, 1) == "done", "the answer")
            await b.until(lambda: not b.worker.is_busy(), "rest")
            steered = (place.ipc / "input/1.json").read_text()
            assert "third" in steered
            assert "never mind" not in steered

    script(story)


def test_a_task_s_run_that_waits_is_cancelled_without_a_word(store: Store) -> None:
    ask(store)
    firing = fire(store)
    assert cancel(store, firing).state == "cancelled"
    assert said(store, firing) == []
    assert groups.get(store.db, "team").answered_seq == 0
