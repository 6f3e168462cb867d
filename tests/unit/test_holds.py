"""Holds as rows: whoever claims a run or begins a delivery asks for them in its own transaction, so
that of a claim and a hold at the same moment one comes first, and the other knows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pynchy_cli.errors import DeliveryHeld
from pynchy_cli.model import Delivery, Run
from pynchy_cli.store import (
    audit,
    chats,
    groups,
    history,
    holding,
    holds,
    outbound,
    outbox,
    runs,
    steering,
)
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.unit.test_runs_store import CHAT, ME, NOW, add_group, claimed, queued, sure

WHO = "owner (shell)"
SLACK = "slack:C1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        add_group(opened, "team")
        add_group(opened, "desk")
        yield opened


def hold(store: Store, group: str | None = "team", **facts: bool) -> holding.Held:
    with store.atomic() as db:
        return holding.hold(db, group, who=WHO, now=NOW, reason="why not", **facts)


def release(store: Store, group: str | None = "team") -> holds.Hold | None:
    with store.atomic() as db:
        return holding.release(db, group, who=WHO, now=NOW)


@pytest.mark.parametrize("whom", ["team", None])
def test_what_is_held_is_never_claimed_and_is_when_it_is_released(
    store: Store, whom: str | None
) -> None:
    queued(store)
    hold(store, whom)
    assert not runs.is_any_due(store.db, NOW)
    assert claimed(store) is None
    queued(store, 2, 2, "desk")
    other = claimed(store)
    assert (other.group_folder if other else None) == ("desk" if whom else None)
    release(store, whom)
    assert sure(claimed(store)).group_folder == "team" or whom is None


def test_a_group_held_twice_is_released_from_both(store: Store) -> None:
    queued(store)
    hold(store)
    hold(store, None)
    assert [one.group_folder for one in holds.all(store.db)] == [None, "team"]
    release(store, None)
    assert claimed(store) is None
    release(store)
    assert claimed(store) is not None
    assert release(store) is None


def test_held_again_it_keeps_its_time_and_holds_what_either_holds(store: Store) -> None:
    hold(store, outbound=True)
    with store.atomic() as db:
        again = holding.hold(db, "team", who="slack:U1", now="2026-02-01T08:00:00.000Z").hold
    assert again == holds.Hold("team", True, "why not", WHO, NOW)


def test_a_turn_at_work_takes_over_nothing_that_was_said_since_the_hold(store: Store) -> None:
    queued(store)
    run = sure(claimed(store))
    queued(store, 2, 2)
    hold(store)
    assert not steering.is_more(store.db, run)
    with store.atomic() as db:
        assert steering.absorb(db, run, NOW) is None
    release(store)
    assert steering.is_more(store.db, run)


def test_each_is_a_decision_in_the_audit(store: Store) -> None:
    queued(store)
    run = sure(claimed(store))
    held = hold(store, None, stop=True, outbound=True)
    assert [one.id for one in held.stopped] == [run.id]
    assert runs.get(store.db, run.id).asked == "stop"
    hold(store, "desk", stop=True)
    release(store, None)
    release(store, None)
    found = [
        (one.kind, one.decision, one.subject, one.group_folder, one.who, one.reason)
        for one in audit.entries(store.db)
    ]
    assert found == [
        ("hold", "held", "all groups", None, WHO, "why not"),
        ("hold", "held", "desk", "desk", WHO, "why not"),
        ("hold", "released", "all groups", None, WHO, None),
    ]
    assert '"outbound": true, "stopped": [1]' in next(audit.entries(store.db)).detail


def test_a_group_that_goes_takes_its_hold_with_it(store: Store) -> None:
    hold(store)
    with store.atomic() as db:
        groups.remove(db, "team")
    assert holds.all(store.db) == []


def test_lists_say_what_waits_because_of_it(store: Store) -> None:
    queued(store)
    assert not history.row(store.db, 1)["held"]
    hold(store)
    assert history.newest(store.db, None, None, 9)[0]["held"]


def reply(store: Store, group: str | None = "team") -> Delivery:
    with store.atomic() as db:
        chats.claim(db, SLACK, "slack", None, NOW)
        number = outbound.say(
            *(db,),
            key=f"say:{group}",
            chat_jid=SLACK,
            content="hello",
            source="host",
            now=NOW,
            group_folder=group,
        )
    found = outbox.get(store.db, number, SLACK)
    assert found is not None
    return found


def begin(store: Store, delivery: Delivery) -> None:
    with store.atomic() as db:
        outbox.begin(db, delivery, 0, "digest", NOW)


def test_what_goes_out_is_held_only_where_that_was_said(store: Store) -> None:
    mine, nobodys = reply(store), reply(store, None)
    hold(store)
    assert outbox.chats(store.db, "slack") == [SLACK]
    hold(store, outbound=True)
    assert [one.reply.id for one in outbox.undelivered(store.db, "slack", SLACK)] == [
        nobodys.reply.id
    ]
    with pytest.raises(DeliveryHeld, match="is held back"):
        begin(store, mine)
    begin(store, nobodys)
    hold(store, None, outbound=True)
    assert outbox.chats(store.db, "slack") == []
    release(store, None)
    release(store)
    assert next(outbox.undelivered(store.db, "slack", SLACK)).reply.id == mine.reply.id
    begin(store, mine)


def race(store: Store, first: Callable[[Store], object], then: Callable[[Store], object]) -> object:
    """Another connection has `then` wait for the write lock that `first` has; what it gave."""
    begun, found = threading.Event(), list[object]()

    def other() -> None:
        with Store.open(store.path) as mine:
            begun.set()
            found.append(then(mine))

    thread = threading.Thread(target=other)
    with store.atomic():
        first(store)
        thread.start()
        begun.wait(30)
    thread.join(60)
    return found[0]


def test_of_a_claim_and_a_hold_at_once_one_comes_first(store: Store) -> None:
    queued(store)
    held = lambda mine: holds.add(  # noqa: E731
        mine.db, "team", outbound=False, reason=None, by=WHO, now=NOW
    )
    assert race(store, held, claimed) is None
    release(store)

    def stopped(mine: Store) -> list[Run]:
        return list(hold(mine, stop=True).stopped)

    taken = race(store, lambda mine: runs.claim(mine.db, ME, 5, NOW), stopped)
    assert isinstance(taken, list)
    assert [one.id for one in taken] == [1], "whoever holds and stops knows of it"


def test_of_a_delivery_and_a_hold_at_once_one_comes_first(store: Store) -> None:
    delivery = reply(store)
    held = lambda mine: holds.add(  # noqa: E731
        mine.db, "team", outbound=True, reason=None, by=WHO, now=NOW
    )

    def tried(mine: Store) -> str:
        try:
            begin(mine, delivery)
        except DeliveryHeld:
            return "held"
        return "begun"

    assert race(store, held, tried) == "held"
    assert outbox.parts(store.db, delivery) == []
    release(store)
    race(
        store,
        lambda mine: outbox.begin(mine.db, delivery, 0, "digest", NOW),
        lambda mine: hold(mine, outbound=True),
    )
    assert [one.state for one in outbox.parts(store.db, delivery)] == ["sending"]
    assert CHAT != SLACK
