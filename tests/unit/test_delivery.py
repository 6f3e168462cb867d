"""Replies get to their chats in order, once, and as they are in the end, whatever the network says:
refusals, lost answers, poison, a network that is away, and a database that can't be written."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.delivery import orders
from pynchy_cli.delivery.deliverer import LONGEST_ASKED, LONGEST_PAUSE, SPOILT, TRIES
from pynchy_cli.delivery.showing import AGAIN, LATE
from pynchy_cli.model import Attachment
from pynchy_cli.store import messages, outbound, outbox
from tests.delivering import CHAT, OTHER, Delivering, order, run
from tests.stand_in_network import ALL, FULL, NAME, Fault

BLIND = ("edit", "threads")
"""What a network can do that can't be asked what it has accepted."""


def test_replies_come_in_order_in_each_chat_and_in_their_thread(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        for number in range(10):
            made.say(f"{number}", thread=f"{CHAT}/77" if number % 2 else None)
            made.say(f"other {number}", OTHER)
        await made.done()
        assert made.remote.texts(CHAT) == [f"{number}" for number in range(10)]
        assert made.remote.texts(OTHER) == [f"other {number}" for number in range(10)]
        assert [one.thread for one in made.remote.shown(CHAT)] == ["", "77"] * 5
        said = messages.after(made.store.db, [CHAT], 0)
        assert [one.thread for one in said] == ["", f"{CHAT}/77"] * 5
        assert set(made.states()) == {"sent"}

    run(story, tmp_path)


def test_what_is_refused_is_sent_when_the_network_has_said_and_holds_up_its_chat_alone(
    tmp_path: Path,
) -> None:
    async def story(made: Delivering) -> None:
        first, _ = made.say("first"), made.say("second")
        made.say("elsewhere", OTHER)
        await made.until(lambda: made.found(first).next_attempt_at is not None)
        refused = made.found(first)
        assert (refused.state, refused.error) == ("pending", "slow down")
        assert refused.next_attempt_at is not None
        assert 100 < clock.seconds_between(clock.now(), refused.next_attempt_at) <= 120
        await made.until(lambda: made.remote.texts(OTHER) == ["elsewhere"])
        made.anew()  # it is kept in the row, for whoever comes next
        made.deliverer.drain()
        assert (made.remote.texts(CHAT), made.network.calls["post"]) == ([], 2)
        assert 100 < (made.deliverer.deadline() or 0) <= 120
        order(made, first)
        await made.done()
        assert made.remote.texts(CHAT) == ["first", "second"]

    run(story, tmp_path, Fault("reject", match="first", retry_after=120))


@pytest.mark.parametrize("abilities", [FULL, FULL - {"edit"}])
def test_many_open_answers_hold_up_no_finished_one(
    tmp_path: Path, abilities: frozenset[str]
) -> None:
    async def story(made: Delivering) -> None:
        for number in range(2 * outbox.AT_ONCE):
            made.grow(f"open {number}", key=f"open:{number}")
        if "edit" in abilities:
            await made.until(lambda: len(made.remote.texts(CHAT)) == 2 * outbox.AT_ONCE)
        made.say("done")
        await made.until(lambda: "done" in made.remote.texts(CHAT))
        stand = 2 * outbox.AT_ONCE if "edit" in abilities else 0
        assert len(made.remote.posts(CHAT)) == stand + 1

    run(story, tmp_path, capabilities=tuple(sorted(abilities)), edit_interval=60.0)


@pytest.mark.parametrize("attempts", [0, 1, 4, 8, 20])
def test_pauses_grow_and_differ(tmp_path: Path, attempts: int) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("no")
        pauses = set()
        for _ in range(12):
            with made.store.atomic() as db:
                db.execute(
                    "UPDATE outbound_deliveries SET attempts = ?, next_attempt_at = NULL",
                    (attempts,),
                )
            before = clock.now()
            await made.until(lambda: made.found(number).next_attempt_at is not None)
            then = made.found(number).next_attempt_at
            assert then is not None
            after = clock.now()
            longest = min(LONGEST_PAUSE, 2.0**attempts)
            assert clock.after(before, longest / 2) <= then <= clock.after(after, longest)
            pauses.add(clock.seconds_between(before, then))
        assert len(pauses) > 3

    run(story, tmp_path, Fault("reject", times=100))


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (1e9, LONGEST_ASKED)])
def test_what_the_network_asks_for_is_obeyed_within_reason(
    tmp_path: Path, asked: float, waited: float
) -> None:
    async def story(made: Delivering) -> None:
        before, number = clock.now(), made.say("no")
        await made.until(lambda: made.found(number).next_attempt_at is not None)
        then = made.found(number).next_attempt_at
        assert then is not None
        assert clock.after(before, waited) <= then <= clock.after(clock.now(), waited)

    run(story, tmp_path, Fault("reject", retry_after=asked))


def test_a_time_that_lies_far_ahead_is_of_another_clock(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        with made.store.atomic() as db:
            outbox.later(db, made.found(number), "2999-01-01T00:00:00.000Z", "slow down")
        await made.done()
        assert made.remote.texts(CHAT) == ["hello"]

    run(story, tmp_path)


def test_poison_blocks_nobody_and_the_admin_group_is_told(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        for text in ("before", "poison", "after"):
            made.say(text)
        await made.done()
        assert made.remote.texts(CHAT) == ["before", "after"]
        assert made.states() == ["sent", "dead", "sent"]
        told = made.store.db.execute(
            "SELECT content FROM outbound_ledger WHERE chat_jid = 'local:main'"
        ).fetchall()
        assert len(told) == 1
        assert "could not be brought to standin:one: no such chat." in told[0][0]

    run(story, tmp_path, Fault("never", match="poison"))


def test_what_is_refused_again_and_again_is_given_up(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.say("the network is well", OTHER)
        await made.done()
        number = made.say("no")
        made.say("after")
        with made.store.atomic() as db:
            db.execute("UPDATE outbound_deliveries SET attempts = ?", (TRIES - 1,))
        await made.done()
        one = made.found(number)
        assert (one.state, one.error) == ("dead", f"it was refused {TRIES} times: slow down")
        assert made.remote.texts(CHAT) == ["after"]

    run(story, tmp_path, Fault("reject", match="no"))


def test_while_nothing_at_all_is_taken_nothing_is_given_up(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        with made.store.atomic() as db:
            db.execute("UPDATE outbound_deliveries SET attempts = ?", (TRIES,))
        await made.until(lambda: made.found(number).attempts > TRIES)
        assert made.states() == ["pending"]
        order(made, number)
        await made.done()
        assert made.states() == ["sent"]

    run(story, tmp_path, Fault("reject"))


def test_while_the_network_is_away_everything_waits_and_nothing_counts(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        made.say("there", OTHER)
        await made.until(lambda: made.network.calls["post"] > 0 and not made.deliverer.is_busy())
        asked = made.network.calls["post"]
        assert (made.deliverer.drain(), made.deliverer.is_busy()) == (0, False)
        assert made.deliverer.deadline() is not None
        assert (made.found(number).attempts, made.parts(number)) == (0, [])
        assert made.network.calls["post"] == asked <= 2
        made.network.faults.clear()
        made.deliverer.connected()
        await made.done()
        assert (made.remote.texts(CHAT), made.remote.texts(OTHER)) == (["hello"], ["there"])

    run(story, tmp_path, Fault("away", times=1000))


@pytest.mark.parametrize("kind", ["unsure-before", "unsure-after"])
def test_a_lost_answer_is_looked_for_in_the_history(tmp_path: Path, kind: str) -> None:
    async def story(made: Delivering) -> None:
        made.say("x" * 250)
        made.say("next")
        await made.done()
        assert made.remote.texts(CHAT) == ["x" * 100, "x" * 100, "x" * 50, "next"]
        assert len(made.remote.posts()) == 4
        assert made.network.calls["find"] == 1

    run(story, tmp_path, Fault(kind, match="x" * 100))


def test_what_was_just_posted_is_not_looked_for_too_soon(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        await made.until(lambda: made.states() == ["unknown"])
        assert made.network.calls["find"] == 0
        then = made.found(number).next_attempt_at
        assert then is not None
        assert 100 < clock.seconds_between(clock.now(), then) <= 120
        order(made, number)  # not even where a person is impatient
        await made.until(lambda: made.found(number).next_attempt_at is not None)
        assert (made.network.calls["find"], made.network.calls["post"]) == (0, 1)

    run(story, tmp_path, Fault("unsure-before"), settle=120.0)


def sent_blindly(
    place: Path, on_unknown: str, kind: str, then: Callable[[Delivering], None], *faults: Fault
) -> None:
    """The answer to a post is lost, and the network can't be asked."""

    async def story(made: Delivering) -> None:
        made.say("hello")
        made.say("next")
        await made.done()
        assert made.remote.texts(CHAT)[-1] == "next"
        then(made)

    faults = (Fault(kind, match="hello"), *faults)
    run(story, place, *faults, capabilities=BLIND, on_unknown=on_unknown)


KINDS = {"unsure-before": 0, "unsure-after": 1}
"""How a post goes wrong, and how many copies of it are there then."""


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_can_be_asked_it_is_sent_again_with_a_mark(tmp_path: Path, kind: str) -> None:
    def check(made: Delivering) -> None:
        texts = made.remote.texts(CHAT)
        assert texts == ["hello"] * KINDS[kind] + [f"{AGAIN}\nhello", "next"]
        assert made.states() == ["sent", "sent"]

    sent_blindly(tmp_path, "resend-marked", kind, check)


@pytest.mark.parametrize("then", ["reject", "away"])
def test_the_mark_stays_when_sending_it_again_is_refused_at_first(
    tmp_path: Path, then: str
) -> None:
    async def story(made: Delivering) -> None:
        made.say("hello")
        await made.until(lambda: made.network.calls["post"] == 2)
        made.deliverer.connected()
        await made.done()
        assert made.remote.texts(CHAT) == ["hello", f"{AGAIN}\nhello"]

    faults = (Fault("unsure-after"), Fault(then, retry_after=0.05))
    run(story, tmp_path, *faults, capabilities=BLIND, on_unknown="resend-marked")


def test_it_is_not_sent_a_third_time(tmp_path: Path) -> None:
    def check(made: Delivering) -> None:
        assert made.remote.texts(CHAT) == ["hello", f"{AGAIN}\nhello", "next"]
        assert made.states() == ["unknown held", "sent"]

    more = Fault("unsure-after", match="hello")
    sent_blindly(tmp_path, "resend-marked", "unsure-after", check, more)


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_person_is_asked_nothing_is_sent_twice(tmp_path: Path, kind: str) -> None:
    def check(made: Delivering) -> None:
        assert made.remote.texts(CHAT) == ["hello"] * KINDS[kind] + ["next"]
        assert made.states() == ["unknown held", "sent"]

    sent_blindly(tmp_path, "ask", kind, check)


@pytest.mark.parametrize("again", [False, True])
def test_a_person_may_have_it_sent_again_all_the_same(tmp_path: Path, again: bool) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        await made.done()
        order(made, number, again=again)
        await made.done()
        assert made.remote.texts(CHAT) == ["hello", "hello"][: 1 + again]
        assert made.states() == ["sent" if again else "unknown held"]

    run(story, tmp_path, Fault("unsure-after"), capabilities=BLIND)


@pytest.mark.parametrize("kind", KINDS)
def test_or_it_is_given_up_and_told_of(tmp_path: Path, kind: str) -> None:
    def check(made: Delivering) -> None:
        assert made.remote.texts(CHAT) == ["hello"] * KINDS[kind] + ["next"]
        assert made.states()[:2] == ["dead", "sent"]

    sent_blindly(tmp_path, "drop", kind, check)


def test_where_the_history_refuses_to_tell_it_is_as_if_there_was_none(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.say("hello")
        await made.done()
        assert (made.states(), made.network.calls["post"]) == (["unknown held"], 1)

    run(story, tmp_path, Fault("unsure-before"), Fault("never", "find"))


def test_an_answer_grows_and_ends_exactly_as_it_is(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("Well", doing="Bash: ls")
        await made.until(lambda: made.remote.texts(CHAT) == ["Well\n[Bash: ls]"])
        made.grow("Well, " + "x" * 150)
        await made.until(lambda: len(made.remote.texts(CHAT)) == 2)
        made.say("Well, short.", key="open")
        await made.done()
        assert made.remote.texts(CHAT) == ["Well, short."]
        assert len(made.remote.posts()) == 2

    run(story, tmp_path)


def test_what_grows_while_it_is_posted_is_shown_then(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("a")
        await made.until(lambda: made.network.calls["post"] == 1)
        for text in ("ab", "abc"):
            made.grow(text)
        made.say("abcd", key="open")
        made.network.release.set()
        await made.done()
        assert made.remote.texts(CHAT) == ["abcd"]
        assert (len(made.remote.posts()), made.network.calls["edit"]) == (1, 1)

    run(story, tmp_path, Fault("slow"))


def test_what_grows_is_not_changed_too_often(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("a")
        await made.until(lambda: made.network.calls["post"] == 1)
        for text in ("ab", "abc", "abcd"):
            made.grow(text)
            made.deliverer.drain()
            await made.until(lambda: not made.deliverer.is_busy())
        assert made.network.calls["edit"] == 0
        made.say("the end", key="open")
        await made.done()
        assert made.network.calls["edit"] == 1
        assert made.remote.texts(CHAT) == ["the end"]

    run(story, tmp_path, edit_interval=1000.0)


def test_what_never_pauses_is_shown_all_the_same(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        text = "a"

        def is_shown() -> bool:
            nonlocal text
            made.grow(text)
            text += "a"
            return made.network.calls["edit"] == 3

        await made.until(is_shown)

    run(story, tmp_path, limit=100_000)


def test_what_was_held_up_says_when_it_was_written(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        then = clock.after(clock.now(), -LATE - 60)
        made.say("long ago", now=then)
        made.say("just now")
        await made.done()
        first, second = made.remote.texts(CHAT)
        assert first.startswith(f"*(Written at {then[:10]} {then[11:16]} UTC")
        assert first.endswith("\n\nlong ago")
        assert second == "just now"

    run(story, tmp_path)


def test_who_cannot_edit_is_sent_the_whole_in_the_end(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("half")
        made.deliverer.drain()
        assert not made.deliverer.is_busy()
        made.say("half and whole", key="open")
        await made.done()
        assert [one.text for one in made.remote.posts()] == ["half and whole"]

    run(story, tmp_path, capabilities=tuple(FULL - {"edit"}))


def test_what_is_open_holds_up_nobody_once_it_stands(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("thinking")
        made.say("meanwhile")
        await made.until(lambda: len(made.remote.texts(CHAT)) == 2)
        made.say("thought", key="open")
        await made.done()
        assert made.remote.texts(CHAT) == ["thought", "meanwhile"]

    run(story, tmp_path)


def test_what_was_withdrawn_is_taken_out(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("x" * 150)
        await made.until(lambda: len(made.remote.texts(CHAT)) == 2)
        with made.store.atomic() as db:
            outbound.withdraw(db, "open")
        made.say("something else", key="open")
        await made.done()
        assert made.remote.texts(CHAT) == ["something else"]

    run(story, tmp_path)


def test_what_was_never_shown_is_withdrawn_without_a_trace(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("oh")
        with made.store.atomic() as db:
            outbound.withdraw(db, "open")
        await made.done()
        assert (made.remote.accepted(), made.states()) == ([], [])

    run(story, tmp_path)


def test_what_another_run_goes_on_with_stays_the_same_message(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("half")
        await made.until(lambda: len(made.remote.texts(CHAT)) == 1)
        with made.store.atomic() as db:
            db.execute(
                "INSERT INTO runs(id, group_folder, lane, kind, state, first_seq, last_seq,"
                " created_at) VALUES (7, 'main', 'chat', 'chat', 'running', 1, 1, ?)",
                (clock.now(),),
            )
            outbound.hand_on(db, "open", 7)
        made.say("whole", key="run:7:0", run_id=7)
        await made.done()
        assert made.remote.texts(CHAT) == ["whole"]
        assert len(made.remote.posts()) == 1

    run(story, tmp_path)


def test_a_changed_reply_is_changed_in_its_chat(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.say("Shall I?")
        await made.done()
        with made.store.atomic() as db:
            outbound.amend(db, "say:Shall I?", "Approved.")
        await made.done()
        assert made.remote.texts(CHAT) == ["Approved."]

    run(story, tmp_path)


@pytest.mark.parametrize("kind", ["reject", "unsure-before", "unsure-after"])
def test_an_edit_is_made_again_until_it_is_there(tmp_path: Path, kind: str) -> None:
    async def story(made: Delivering) -> None:
        made.grow("half")
        await made.until(lambda: len(made.remote.texts(CHAT)) == 1)
        number = made.say("whole", key="open")
        await made.until(lambda: made.found(number).next_attempt_at is not None)
        order(made, number)
        await made.done()
        assert (made.remote.texts(CHAT), len(made.remote.posts())) == (["whole"], 1)

    run(story, tmp_path, Fault(kind, "edit", retry_after=100.0))


def test_an_end_that_cannot_be_put_in_place_of_the_beginning_is_posted(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.grow("half")
        await made.until(lambda: len(made.remote.texts(CHAT)) == 1)
        made.grow("half of it")
        await made.until(lambda: made.network.calls["edit"] == 1 and made.is_over())
        assert (made.remote.texts(CHAT), made.states()) == (["half\n[writing]"], ["sent"])
        number = made.say("whole", key="open")
        made.say("next")
        await made.done()
        assert made.remote.texts(CHAT) == ["half\n[writing]", "whole", "next"]
        assert made.states() == ["sent", "sent"]
        (part,) = made.parts(number)
        first, last, _ = made.remote.shown(CHAT)
        assert (part.remote_id, part.after_id) == (last.id, first.id)

    run(story, tmp_path, Fault("never", "edit", times=2))


def test_what_another_process_was_posting_is_given_time_to_arrive(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        with made.store.atomic() as db:  # begun long ago, or by another clock
            begun = clock.after(clock.now(), -3600)
            outbox.begin(db, made.found(number), 0, "digest", begun)
        made.anew()
        assert (made.deliverer.drain(), made.states()) == (0, ["unknown"])
        assert 100 < (made.deliverer.deadline() or 0) <= 120

    run(story, tmp_path, settle=120.0)


def test_patience_that_is_asked_for_wears_nothing_out(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        with made.store.atomic() as db:
            db.execute("UPDATE outbound_deliveries SET attempts = ?", (TRIES - 1,))
        await made.until(lambda: made.found(number).next_attempt_at is not None)
        assert made.found(number).attempts == TRIES - 1
        order(made, number)
        await made.done()
        assert made.states() == ["sent"]

    run(story, tmp_path, Fault("reject", retry_after=100.0))


@pytest.mark.parametrize("kind", ["unsure-before", "unsure-after"])
def test_a_file_is_there_once_though_its_answer_was_lost(tmp_path: Path, kind: str) -> None:
    async def story(made: Delivering) -> None:
        for text in ("one", "two"):
            number = made.say(text)
            with made.store.atomic() as db:
                outbound.attach(db, number, [Attachment("same name", 1, "sha")])
            await made.done()
        names = [one["name"] for one in made.remote.accepted() if one["call"] == "file"]
        assert names == ["same name"] * 2

    run(story, tmp_path, Fault(kind, "send_file", times=2), capabilities=tuple(ALL))


def test_files_follow_once(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("see")
        with made.store.atomic() as db:
            for at, name in enumerate(("a.txt", "b.txt")):
                db.execute(
                    "INSERT INTO outbound_files(ledger_id, number, name, size, sha256)"
                    " VALUES (?, ?, ?, 1, ?)",
                    (number, at, name, name),
                )
        await made.until(lambda: made.found(number).next_attempt_at is not None)
        order(made, number)
        await made.done()
        accepted = [one.get("text", one.get("name")) for one in made.remote.accepted()]
        assert accepted == ["see", "a.txt", "b.txt"]

    fault = Fault("reject", "send_file", match="b.txt", retry_after=100.0)
    run(story, tmp_path, fault, capabilities=tuple(ALL))


def test_a_fault_of_ours_spoils_one_reply_and_no_other(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("spoilt")
        made.say("elsewhere", OTHER)
        made.deliverer._spoilt[number, CHAT] = SPOILT - 1
        await made.until(lambda: made.remote.texts(OTHER) == ["elsewhere"])
        await made.until(lambda: made.network.calls["post"] == 2 and not made.deliverer.is_busy())
        made.deliverer._not_before.clear()
        made.say("after")
        await made.done()
        assert made.states()[0] == "dead"
        assert made.remote.texts(CHAT) == ["after"]

    run(story, tmp_path, Fault("broken", match="spoilt", times=100))


def test_what_a_person_drops_is_not_posted_any_more(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        number = made.say("hello")
        made.say("next")
        await made.until(lambda: made.network.calls["find"] == 1)
        with made.store.atomic() as db:
            orders.drop(db, [made.found(number)], {NAME})
        made.network.release.set()
        await made.done()
        assert made.remote.texts(CHAT) == ["next"]
        assert made.states() == ["dropped", "sent"]
        assert not made.context.has_failed

    run(story, tmp_path, Fault("unsure-before", match="hello"), Fault("slow", "find"))


@pytest.mark.parametrize("at_once", [1, 20])
def test_so_many_chats_are_brought_something_at_once_and_more_wait(
    tmp_path: Path, at_once: int
) -> None:
    async def story(made: Delivering) -> None:
        for number in range(25):
            made.say("hello", f"{NAME}:{number}", key=f"{number}")
        await made.until(lambda: made.network.under_way == at_once)
        begun = made.store.db.execute("SELECT count(*) FROM outbound_parts").fetchone()[0]
        assert begun == at_once, "of what waits it is known that it isn't sent"
        made.network.release.set()
        await made.done()
        assert made.network.most_at_once == at_once

    run(story, tmp_path, Fault("slow", times=1000), at_once=at_once)


def test_of_a_thousand_replies_one_task_brings_those_of_a_chat(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        made.say("0", CHAT)
        made.say("1", OTHER)
        now = clock.now()
        with made.store.atomic() as db:
            for number in range(2, 1000):
                outbound.say(
                    db,
                    key=f"{number}",
                    chat_jid=[CHAT, OTHER][number % 2],
                    content=f"{number}",
                    source="agent",
                    now=now,
                )
        most = 0

        def is_over() -> bool:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            return made.is_over()

        await made.until(is_over)
        for at, chat in enumerate((CHAT, OTHER)):
            assert made.remote.texts(chat) == [f"{number}" for number in range(at, 1000, 2)]
        assert most <= 3

    run(story, tmp_path)


@pytest.mark.parametrize("kind", ["locked", "full"])
def test_what_was_posted_is_noted_as_soon_as_it_can_be_and_never_posted_again(
    tmp_path: Path, kind: str
) -> None:
    async def story(made: Delivering) -> None:
        made.say("hello")
        await made.until(lambda: made.network.calls["post"] == 1)
        free = unwritable(made, kind)
        made.network.release.set()
        await made.until(lambda: len(made.remote.posts()) == 1)
        for _ in range(20):
            made.deliverer.drain()
            await asyncio.sleep(0.002)
        assert made.states() == ["sending"]
        free()
        await made.done()
        assert (made.states(), len(made.remote.posts())) == (["sent"], 1)

    run(story, tmp_path, Fault("slow"), capabilities=BLIND)


def unwritable(made: Delivering, kind: str) -> Callable[[], None]:
    """Have nobody be able to write; gives what ends that."""
    db = made.store.db
    if kind == "full":
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        db.execute(
            "CREATE TEMP TRIGGER fuller BEFORE UPDATE ON outbound_parts BEGIN"
            " INSERT INTO counters VALUES ('filler', 0, hex(zeroblob(100000))); END"
        )
        return lambda: db.execute("DROP TRIGGER fuller").close()
    db.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(made.store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other.close
