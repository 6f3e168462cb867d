"""One story told of rows: where something stopped, what happens next, and the command to type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import UsageWrong
from pynchy_cli.model import NewMessage, Run
from pynchy_cli.routing import story as telling
from pynchy_cli.routing import subjects
from pynchy_cli.routing.story import Story
from pynchy_cli.store import (
    cancelling,
    events,
    failures,
    groups,
    holding,
    messages,
    outbound,
    outbox,
    runs,
    steering,
    story,
    timetable,
    undelivered,
)
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from pynchy_cli.store.story import Facts
from pynchy_cli.store.timetable import TASKS
from tests.clocks import task
from tests.people import People
from tests.teams import add_team

NOW = "2026-01-31T08:00:00.000Z"
SOON = "2026-01-31T08:00:05.000Z"
LATER = "2026-01-31T09:00:00.000Z"
CHAT = "slack:C1"
ME = 7
ALL = ("route", "run-agent", "listen@slack", "schedule")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        add_team(opened, trigger_mode="mention", jid=CHAT)
        yield opened


def say(store: Store, text: str = "@pynchy hello", **facts: Any) -> int:
    with store.atomic() as db:
        number = messages.highest(db) + 1
        said = NewMessage(f"slack-{number}.5", CHAT, "U1", "Ann", text, NOW, **facts)
        assert messages.add(db, said, NOW) == number
        return number


def routed(store: Store, number: int) -> None:
    with store.atomic() as db:
        groups.route_through(db, "team", number)


def queued(store: Store) -> int:
    number = say(store)
    routed(store, number)
    with store.atomic() as db:
        return runs.queue_chat(db, "team", number, number, CHAT, NOW)


def claim(store: Store) -> Run:
    with store.atomic() as db:
        run = runs.claim(db, ME, 5, NOW)
    assert run is not None
    return run


def answered(store: Store) -> int:
    """A run that has answered; the reply's number."""
    queued(store)
    run = claim(store)
    with store.atomic() as db:
        number = outbound.say(
            *(db,),
            key="run:1:0",
            chat_jid=CHAT,
            content="hi Ann",
            source="agent",
            now=SOON,
            group_folder="team",
            run_id=run.id,
        )
        runs.finish(db, run, "done", SOON)
    return number


def why(store: Store, name: str, alive: tuple[str, ...] = ALL, now: str = SOON) -> Story:
    kind, id = subjects.find(store.db, name)
    rows = subjects.facts(store.db, kind, id)
    facts = Facts(now=now, alive=frozenset(alive), **rows, **story.around(store.db))
    settings = Settings()
    return telling.tell(name, facts, subjects.reading(store.db, facts.message, settings))


def ending(told: Story) -> tuple[str, str | None]:
    return told.ending.state, told.ending.command


def kinds(told: Story) -> list[str]:
    return [step.kind for step in told.steps]


def text(told: Story) -> str:
    return "\n".join(telling.lines(told))


def test_a_chat_of_no_group(store: Store) -> None:
    with store.atomic() as db:
        messages.add(
            db, NewMessage("1", "slack:C9", "U1", "Ann", "hi", NOW, verdict="refused"), NOW
        )
    told = why(store, "message:1")
    assert ending(told) == ("ignored", "pynchy groups add slack:C9 --folder NAME")


def test_a_stranger(store: Store) -> None:
    told = why(store, f"message:{say(store, verdict='refused')}")
    assert ending(told) == ("refused", "pynchy groups allow team slack:U1")
    assert "The sender check said: refused. team listens to: owner." in text(told)


def test_who_may_speak_since_is_not_checked_again(store: Store) -> None:
    number = say(store, verdict="refused")
    with store.atomic() as db:
        groups.let_speak(db, "team", ["slack:U1"])
    assert "Today it would say: allowed; what was said is not checked again." in text(
        why(store, f"message:{number}")
    )


def test_before_route_and_without_it(store: Store) -> None:
    number = say(store)
    assert ending(why(store, f"message:{number}")) == ("waiting", None)
    assert ending(why(store, f"message:{number}", ())) == ("stage_away", "pynchy up")


def test_what_route_fails_with(store: Store) -> None:
    name = f"message:{say(store)}"
    for wanted in ("retrying", "retrying", "set_aside"):
        with store.atomic() as db:
            failures.note(db, "route", name, "no such thing", NOW)
        assert why(store, name).ending.state == wanted
    assert ending(why(store, name)) == ("set_aside", f"pynchy retry {name}")
    assert "route failed with it, 3 times: no such thing" in text(why(store, name))


@pytest.mark.parametrize(
    ("said", "why_not"),
    [
        ("hello", "it doesn't begin with @pynchy, so it triggers nothing by itself."),
        ("@pynchyx hello", "it doesn't begin with @pynchy"),
    ],
)
def test_what_is_not_for_the_assistant(store: Store, said: str, why_not: str) -> None:
    number = say(store, said)
    routed(store, number)
    told = why(store, f"message:{number}")
    assert ending(told) == ("not_triggered", 'pynchy send team "@pynchy …"')
    assert f"As it is read by today's rules: {why_not}" in text(told)


def test_a_queued_run_waits_for_what_holds_it_first(store: Store) -> None:
    queued(store)
    assert ending(why(store, "message:1")) == ("waiting", "pynchy status")
    assert ending(why(store, "run:1", ())) == ("stage_away", "pynchy up")
    run = claim(store)
    with store.atomic() as db:
        error = "the model was away"
        runs.give_back(db, run, now=NOW, not_before=LATER, error=error, free=False)
    assert ending(why(store, "run:1")) == ("backed_off", "pynchy runs cancel 1")
    assert "tried again at 2026-01-31T09:00:00.000Z. Its last attempt failed: the model" in text(
        why(store, "run:1")
    )
    assert why(store, "run:1", now=LATER).ending.state == "waiting"
    with store.atomic() as db:
        holding.hold(db, None, who="owner", now=NOW, reason="moving")
    assert ending(why(store, "run:1")) == ("held", "pynchy release --all")
    assert "is held by owner since 2026-01-31T08:00:00.000Z: moving." in text(why(store, "run:1"))


def test_one_behind_another_of_its_lane(store: Store) -> None:
    queued(store)
    claim(store)
    queued(store)
    assert ending(why(store, "run:2")) == ("behind", "pynchy why run:1")


def test_what_was_told_to_a_run_at_work(store: Store) -> None:
    queued(store)
    run = claim(store)
    queued(store)
    with store.atomic() as db:
        steering.absorb(db, run, SOON)
        events.add(db, "tool_use", {"name": "Bash", "input": {"command": "ls"}}, SOON, run_id=1)
        facts = {"attempt": 1, "owner": ME, "sandbox": "pynchy-team", "session": "s"}
        events.add(db, "begun", facts, SOON, run_id=1)
    told = why(store, "message:2")
    assert "What Run 2 was for was told to run 1 at work, in the same turn." in text(told)
    assert "It called Bash: “{'command': 'ls'}”" in text(told)
    assert "Run 1 was at work, attempt 1 in the sandbox pynchy-team." in text(told)
    assert ending(told) == ("at_work", "pynchy runs show 1 --log")
    assert ending(why(store, "run:1", ())) == ("stage_away", "pynchy up")


def test_many_calls_are_counted(store: Store) -> None:
    queued(store)
    with store.atomic() as db:
        for number in range(60):
            events.add(db, "tool_use", {"name": f"T{number % 2}"}, SOON, run_id=1)
    assert "And 50 calls more (T0 20×, T1 20×)" in text(why(store, "run:1"))


def test_given_up_cancelled_and_tried_again(store: Store) -> None:
    queued(store)
    run = claim(store)
    with store.atomic() as db:
        runs.finish(db, run, "failed", SOON, "no luck")
    assert ending(why(store, "message:1")) == ("failed", "pynchy runs retry 1")
    assert "Run 1 was given up after 1 attempts: no luck." in text(why(store, "run:1"))
    with store.atomic() as db:
        runs.retry(db, 1, SOON)
    assert ending(why(store, "run:1")) == ("waiting", "pynchy status")
    assert "It was tried again as run 2." in text(why(store, "message:1"))
    with store.atomic() as db:
        cancelling.cancel(db, 2, SOON)
    assert ending(why(store, "message:1")) == ("cancelled", None)


def test_a_reply_on_its_way_and_there(store: Store) -> None:
    number = answered(store)
    name = f"reply:{number}"
    assert ending(why(store, "message:1")) == ("sending", None)
    assert ending(why(store, "message:1", ("run-agent",))) == ("stage_away", "pynchy up")
    delivery = outbox.get(store.db, number, CHAT)
    assert delivery is not None
    with store.atomic() as db:
        outbox.later(db, delivery, LATER, "slow down")
    assert ending(why(store, name)) == ("backed_off", f"pynchy outbox retry {number}")
    with store.atomic() as db:
        holding.hold(db, "team", who="owner", now=NOW, outbound=True)
    assert ending(why(store, name)) == ("held", "pynchy release team")
    with store.atomic() as db:
        holding.release(db, "team", who="owner", now=NOW)
        outbox.begin(db, delivery, 0, "digest", NOW)
        outbox.hold(db, delivery, "nobody can tell")
    assert ending(why(store, name)) == ("unknown", f"pynchy outbox retry {number} --again")
    with store.atomic() as db:
        undelivered.drop(db, delivery)
    assert ending(why(store, name)) == ("dropped", None)
    assert "reply 1" in text(why(store, "message:2")), "its row among the messages tells the same"


def test_a_reply_that_is_dead_or_there(store: Store) -> None:
    number = answered(store)
    delivery = outbox.get(store.db, number, CHAT)
    assert delivery is not None
    with store.atomic() as db:
        outbox.bury(db, delivery, "no such channel")
    assert ending(why(store, "run:1")) == ("dead", f"pynchy outbox retry {number}")
    with store.atomic() as db:
        undelivered.retry(db, delivery)
        outbox.begin(db, delivery, 0, "digest", SOON)
        outbox.placed(db, delivery, 0, "171.5", "digest")
        outbox.done(db, delivery, LATER)
    told = why(store, "message:1")
    assert ending(told) == ("done", None)
    assert told.steps[-1].text == "Reply 1 stood in slack:C1 (171.5)."
    assert kinds(told) == [
        *("came_in", "checked", "read", "queued", "started", "reply", "ended", "delivered")
    ]
    assert [one["at"] for one in telling.document(told)[:-1]] == sorted(
        str(one["at"]) for one in telling.document(told)[:-1]
    )


def test_an_approval_and_a_question_are_waited_for(
    environment: dict[str, str], tmp_path: Path
) -> None:
    people = People.moved_in(environment, tmp_path / "home")
    people.group("team", "owner")
    people.say(("owner", "@pynchy register it"))
    with people.store() as store:
        routed(store, 1)
        with store.atomic() as db:
            runs.queue_chat(db, "team", 1, 1, "local:team", NOW)
    people.at_work()
    people.gated("k4m2", "local:team")
    with people.store() as store:
        told = why(store, "message:1")
        assert ending(told) == ("waits_for_approval", "pynchy approvals show k4m2")
        assert "A yes was asked of people, as k4m2, until 2999-01-01" in text(told)
        assert "begins with the word that wakes the assistant" in text(told)
    people.said("owner", "approve k4m2")
    with people.store() as store:
        told = why(store, "run:1")
        assert "k4m2 was approved by owner." in text(told)
        assert told.ending.state == "at_work"
        seq = messages.highest(store.db) - 1
        told = why(store, f"message:{seq}")
        assert "it is the command `approve`, which the host itself obeys." in text(told)
        assert ending(told) == ("done", None)


def test_a_task(store: Store) -> None:
    one = task(NOW, "cron", "0 * * * *")
    assert one.group_folder == "team"
    from pynchy_cli.store import tasks

    with store.atomic() as db:
        tasks.add(db, one)
        timetable.reschedule(db, TASKS, one, LATER, NOW)
    assert ending(why(store, one.id)) == ("due", f"pynchy tasks run {one.id}")
    assert ending(why(store, f"task:{one.id}", ())) == ("stage_away", "pynchy up")
    with store.atomic() as db:
        timetable.pause(db, TASKS, one, "person")
    assert ending(why(store, one.id)) == ("paused", f"pynchy tasks resume {one.id}")


def test_what_an_id_means(store: Store) -> None:
    answered(store)
    with pytest.raises(UsageWrong, match=r"'1' is several things: say which of message:1, run:1,"):
        why(store, "1")
    assert subjects.find(store.db, "2") == ("message", "2")
    for name in ("1.5", "slack-1.5", "message:1.5", "message:1"):
        assert subjects.find(store.db, name) == ("message", "1")
    for name in ("17", "run:17", "x", "message:", "run:x", "task:1", "²", "9" * 30, "reply:-1"):
        with pytest.raises(UsageWrong, match="There is nothing called"):
            subjects.find(store.db, name)
