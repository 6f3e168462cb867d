"""`pynchy outbox`: what is listed and shown of replies that didn't get to their chats, and that
they are sent again or given up only as a person means it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock, locks
from pynchy_cli.commands import app
from pynchy_cli.config.home import prepare
from pynchy_cli.config.paths import Home
from pynchy_cli.delivery import dead
from pynchy_cli.model import Delivery
from pynchy_cli.store import chats, outbound, outbox, processes
from pynchy_cli.store.connection import Store
from pynchy_cli.store.migrate import migrate
from tests.commands.test_runs import on_terminal
from tests.teams import add_team

HERE, THERE = "slack:C1", "slack:C2"
LONG_AGO = "2026-01-31T08:00:00.000Z"


@dataclass(frozen=True)
class Told:
    """What a command wrote."""

    stdout: str
    stderr: str


Pynchy = Callable[..., Told]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = Home(tmp_path / "home")
    prepare(made)
    migrate(made.database)
    return made.root


@pytest.fixture
def pynchy(home: Path, capsys: pytest.CaptureFixture[str]) -> Pynchy:
    """Runs a command in this process: what is told here is in what it reads and writes."""

    def run(*arguments: str, code: int = 0) -> Told:
        capsys.readouterr()
        ended = app.run(["--home", str(home), *arguments])
        told = capsys.readouterr()
        assert ended == code, told
        return Told(told.out, told.err)

    return run


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with closing(Store.open(home / "data/messages.db")) as opened:
        add_team(opened)
        yield opened


def said(store: Store, text: str, chat: str = HERE) -> Delivery:
    """A reply that is to be brought to a chat."""
    now = clock.now()
    with store.atomic() as db:
        chats.seen(db, chat, None, now)
        number = outbound.say(
            db, key=f"t:{text}", chat_jid=chat, content=text, source="agent", now=LONG_AGO
        )
        found = outbox.get(db, number, chat)
    assert found is not None
    return found


def begun(store: Store, one: Delivery) -> Delivery:
    """Its first part is just being posted."""
    with store.atomic() as db:
        outbox.begin(db, one, 0, "digest", clock.now())
    return one


def killed(store: Store, one: Delivery) -> Delivery:
    """It was being posted when its channel died."""
    begun(store, one)
    with store.atomic() as db:
        outbox.recover(db, "slack", clock.now())
    return one


def held(store: Store, one: Delivery) -> Delivery:
    """Nobody can tell whether it got there."""
    killed(store, one)
    with store.atomic() as db:
        outbox.hold(db, one, "nobody knows")
    return one


def buried(store: Store, one: Delivery, why: str = "no such chat") -> Delivery:
    with store.atomic() as db:
        dead.bury(db, one, why, clock.now())
    return one


def now(store: Store, one: Delivery) -> Delivery:
    found = outbox.get(store.db, one.reply.id, one.chat_jid)
    assert found is not None
    return found


def parts(store: Store, one: Delivery) -> list[str]:
    return [part.state for part in outbox.parts(store.db, one)]


def listed(pynchy: Pynchy, *arguments: str) -> list[dict[str, Any]]:
    lines = pynchy("outbox", "list", *arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def told(pynchy: Pynchy, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    done = pynchy("outbox", *arguments, "--json", code=code)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_not_there_is_listed_oldest_first(store: Store, pynchy: Pynchy) -> None:
    waits = said(store, "\n\nwaits\nand has more lines")
    with store.atomic() as db:
        outbox.later(db, waits, "2999-01-01T00:00:00.000Z", "slow down")
    gone = buried(store, said(store, "gone", THERE))
    sent = said(store, "there")
    with store.atomic() as db:
        outbox.done(db, sent, clock.now())
    first, second = listed(pynchy)
    assert first == {
        "id": waits.reply.id,
        "state": "pending",
        "chat": HERE,
        "channel": "slack",
        "group": None,
        "created_at": LONG_AGO,
        "attempts": 1,
        "next_attempt_at": "2999-01-01T00:00:00.000Z",
        "waits_for_a_person": False,
        "error": "slow down",
        "content": "waits",
    }
    assert (second["id"], second["state"], second["error"]) == (
        gone.reply.id,
        "dead",
        "no such chat",
    )
    assert [row["id"] for row in listed(pynchy, "--state", "dead")] == [gone.reply.id]
    assert [row["id"] for row in listed(pynchy, "--chat", HERE)] == [waits.reply.id]
    assert [row["id"] for row in listed(pynchy, "--limit", "1")] == [gone.reply.id]
    assert [row["state"] for row in listed(pynchy, "--chat", HERE, "--state", "sent")] == ["sent"]
    assert listed(pynchy, "team") == []


def test_a_table_says_the_same_to_people(store: Store, home: Path) -> None:
    held(store, said(store, "was it said? \x1b[2J"))
    shown = on_terminal(home, "outbox", "list", columns=200)
    head, line = shown.splitlines()
    assert head.split() == [
        *("ID", "STATE", "CHAT", "AGE", "TRIES", "NEXT", "TRY", "ERROR", "CONTENT")
    ]
    assert "unknown  slack:C1" in line
    assert " d " in line
    assert "was it said? \\x1b[2J" in line


def test_one_is_shown_with_its_messages_in_each_chat(store: Store, pynchy: Pynchy) -> None:
    one = begun(store, said(store, "first\nsecond"))
    with store.atomic() as db:
        outbox.placed(db, one, 0, "1700.1", "digest")
        outbox.begin(db, one, 1, "digest", LONG_AGO)
    (document,) = [json.loads(pynchy("outbox", "show", str(one.reply.id)).stdout)]
    assert document["content"] == "first\nsecond"
    assert (document["id"], document["chat"], document["source"]) == (one.reply.id, HERE, "agent")
    (there,) = document["deliveries"]
    assert (there["chat"], there["state"], there["waits_for_a_person"]) == (HERE, "sending", False)
    assert there["parts"][0]["remote_id"] == "1700.1"
    assert there["parts"][1] == {
        "number": 1,
        "state": "sending",
        "remote_id": None,
        "begun_at": LONG_AGO,
        "again": False,
    }
    assert "No reply 99 " in pynchy("outbox", "show", "99", code=1).stderr


def test_what_can_be_looked_for_is_not_simply_sent_again(store: Store, pynchy: Pynchy) -> None:
    one = held(store, said(store, "perhaps"))
    (done,) = told(pynchy, "retry", str(one.reply.id))
    assert done == {
        "ok": True,
        "id": one.reply.id,
        "chat": HERE,
        "was": "unknown",
        "becomes": "sought",
    }
    assert (now(store, one).state, now(store, one).held) == ("unknown", False)
    assert parts(store, one) == ["unknown"]


def test_again_sends_it_though_it_may_be_there(store: Store, pynchy: Pynchy) -> None:
    one = held(store, said(store, "perhaps"))
    done = pynchy("outbox", "retry", str(one.reply.id), "--again", "--json")
    assert json.loads(done.stdout)["becomes"] == "again"
    assert "listen@slack is not running" in done.stderr
    assert (now(store, one).state, now(store, one).held) == ("pending", False)
    assert parts(store, one) == []


def test_what_is_looked_for_anyway_is_not_sent_again(store: Store, pynchy: Pynchy) -> None:
    one = killed(store, said(store, "will be found"))
    assert told(pynchy, "retry", str(one.reply.id), "--again")[0]["becomes"] == "sought"
    assert parts(store, one) == ["unknown"]


def test_parts_that_are_there_are_never_forgotten(store: Store, pynchy: Pynchy) -> None:
    one = begun(store, said(store, "two parts"))
    with store.atomic() as db:
        outbox.placed(db, one, 0, "1700.1", "digest")
        outbox.begin(db, one, 1, "digest", clock.now())
        outbox.recover(db, "slack", clock.now())
    buried(store, one)
    assert told(pynchy, "retry", str(one.reply.id), "--again")[0]["becomes"] == "again"
    assert parts(store, one) == ["sent"]


def test_what_is_dead_is_tried_again_from_the_beginning(store: Store, pynchy: Pynchy) -> None:
    one = said(store, "refused")
    with store.atomic() as db:
        outbox.later(db, one, "2999-01-01T00:00:00.000Z", "no")
    buried(store, one)
    assert told(pynchy, "retry", str(one.reply.id))[0]["becomes"] == "sent"
    found = now(store, one)
    assert (found.state, found.attempts, found.next_attempt_at) == ("pending", 0, None)


def test_all_that_wait_for_a_person_are_tried_at_once(store: Store, pynchy: Pynchy) -> None:
    dead_one, unknown = buried(store, said(store, "a")), held(store, said(store, "b", THERE))
    waiting = said(store, "c")
    assert [one["id"] for one in told(pynchy, "retry", "--all", "--chat", THERE)] == [
        unknown.reply.id
    ]
    assert [one["id"] for one in told(pynchy, "retry", "--all")] == [dead_one.reply.id]
    assert now(store, waiting).state == "pending"
    assert told(pynchy, "retry", "--all") == []


def test_what_is_dropped_is_listed_no_more_and_never_sent(store: Store, pynchy: Pynchy) -> None:
    one, other = held(store, said(store, "enough")), buried(store, said(store, "more", THERE))
    assert "needs --yes" in pynchy("outbox", "drop", str(one.reply.id), code=2).stderr
    assert now(store, one).state == "unknown"
    assert told(pynchy, "drop", str(one.reply.id), "--yes")[0]["becomes"] == "dropped"
    assert [row["id"] for row in listed(pynchy)] == [other.reply.id]
    with store.atomic() as db:  # whatever its channel was about to note
        outbox.done(db, one, clock.now())
        outbox.later(db, one, clock.now(), "no")
    assert now(store, one).state == "dropped"
    assert "is dropped already" in pynchy("outbox", "retry", str(one.reply.id), code=1).stderr
    assert [row["id"] for row in told(pynchy, "drop", "--all", "--yes")] == [other.reply.id]
    assert listed(pynchy) == []


def test_what_is_just_being_sent_is_left_to_its_channel(
    store: Store, home: Path, pynchy: Pynchy
) -> None:
    one = begun(store, said(store, "on its way"))
    words = "is just being sent to slack:C1"
    assert words in pynchy("outbox", "retry", str(one.reply.id), code=1).stderr
    with store.atomic() as db:
        id = processes.start(
            db,
            stage="listen@slack",
            pid=os.getpid(),
            version="0",
            config_hash="x",
            settings="{}",
            hashes="{}",
            now=clock.now(),
        )
    lock = locks.take(home / f"data/run/owner-{id}.lock")
    assert lock is not None
    try:
        assert words in pynchy("outbox", "drop", str(one.reply.id), "--yes", code=1).stderr
    finally:
        lock.release()
    assert now(store, one).state == "sending"
    assert told(pynchy, "drop", str(one.reply.id), "--yes")[0]["was"] == "sending"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("retry", 2, "Name a reply by its number, or say --all."),
        ("retry 1 --all", 2, "Name a reply by its number, or say --all."),
        ("drop", 2, "Name a reply by its number, or say --all."),
        ("retry 99", 1, "No reply 99 goes to any chat."),
        ("list nowhere", 1, "nowhere"),
        ("list --state lost", 2, "'lost' is not one of"),
        ("show 0", 2, "greater than or equal to 1"),
    ],
)
def test_a_wrong_order_is_answered_in_a_sentence(
    home: Path, pynchy: Pynchy, arguments: str, code: int, words: str
) -> None:
    assert words in pynchy("outbox", *arguments.split(), code=code).stderr


def test_a_chat_that_it_does_not_go_to_is_named(store: Store, pynchy: Pynchy) -> None:
    one = said(store, "here")
    wrong = pynchy("outbox", "retry", str(one.reply.id), "--chat", THERE, code=1).stderr
    assert f"Reply {one.reply.id} doesn't go to {THERE}, but to {HERE}." in wrong


def test_status_counts_them(store: Store, pynchy: Pynchy) -> None:
    said(store, "waits")
    held(store, said(store, "perhaps"))
    begun(store, said(store, "on its way"))
    buried(store, said(store, "never"))
    document = json.loads(pynchy("status", code=4).stdout)["messages"]
    counts = {name: value for name, value in document.items() if name.endswith("deliveries")}
    assert counts == {
        "pending_deliveries": 3,
        "unknown_deliveries": 1,
        "held_deliveries": 1,
        "dead_deliveries": 1,
    }
