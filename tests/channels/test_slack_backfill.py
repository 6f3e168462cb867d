"""What was said while nobody listened is stored with each connection: in chats and in threads,
once, in its order, and whatever Slack answers meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pynchy_cli.channels.slack import api, backfill
from tests.slack_host import Book, held, until
from tests.slack_server import SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer(ack=1.0) as server:
        server.person("alice", "Alice Doe")
        server.person("bob")
        yield server


@pytest.fixture
def dev(slack: SlackServer) -> str:
    return slack.channel("dev", "alice", "bob")


def test_from_when_the_chat_came_to_its_group(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    now = time.time()
    slack.say("alice", dev, "long before", at=now - 5000, silent=True)
    ours = slack.say("alice", dev, "since", at=now - 50, silent=True)
    slack.say("bob", dev, "later", at=now - 40, silent=True)
    slack.say("bob", dev, "in a thread", ours, at=now - 45, silent=True)

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        async with held(slack, book):
            await until(lambda: book.cursor(dev))
        assert book.texts == ["since", "in a thread", "later"]
        assert book.events[1].message.thread == f"slack:{dev}/{ours}"
        assert [event.message.sender_name for event in book.events] == ["Alice Doe", "Bob", "Bob"]
        assert all(event.cursor is None for event in book.events)

    asyncio.run(scenario())


def test_many_pages_with_patience(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    now = time.time()
    slack.option(page_size=7)
    said = [f"number {at}" for at in range(50)]
    for at, text in enumerate(said):
        slack.say("alice", dev, text, at=now - 100 + at, silent=True)
    slack.fault("conversations.history", "429", retry_after=0, times=2)
    slack.fault("conversations.history", "429", retry_after=1)
    slack.fault("conversations.history", "500")

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-200)
        async with held(slack, book):
            await until(lambda: book.cursor(dev))
        assert book.texts == said
        calls = slack.calls("conversations.history")
        assert [one.get("fault") for one in calls[:4]] == ["429", "429", "429", "500"]
        assert calls[3]["at"] - calls[2]["at"] >= 1.0, "Slack asked for a second"

    asyncio.run(scenario())


def test_replies_to_what_was_said_long_ago(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    now = time.time()
    slack.option(page_size=5)
    known = slack.say("alice", dev, "very old", at=now - 9000, silent=True)
    for at in range(20):
        slack.say("bob", dev, f"talk {at}", at=now - 8000 + at, silent=True)
    old = slack.say("alice", dev, "old", at=now - 7000, silent=True)
    quiet = slack.say("alice", dev, "quiet", at=now - 6900, silent=True)
    slack.say("bob", dev, "long answered", quiet, at=now - 6800, silent=True)

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-2000)
        chat = book.known[dev]
        book.known[dev] = backfill.Known(
            chat.chat_jid, f"{now - 1000:.6f}", None, chat.added_at, threads=(known,)
        )
        slack.say("bob", dev, "to the very old", known, at=now - 30, silent=True)
        slack.say("bob", dev, "to the old", old, at=now - 20, silent=True)
        async with held(slack, book):
            await until(lambda: (book.cursor(dev) or "") > f"{now - 100:.6f}")
        assert book.texts == ["to the very old", "to the old"]
        asked = [one["args"]["ts"] for one in slack.calls("conversations.replies")]
        assert sorted(asked) == sorted([known, old]), "where nothing is new, nothing is asked"

    asyncio.run(scenario())


def test_what_comes_meanwhile_is_there_once(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        async with held(slack, book):
            await until(lambda: book.cursor(dev))
            for round, expected in enumerate((3, 6, 9)):
                slack.say("alice", dev, f"heard {round}")
                await until(lambda: not slack.unacked())
                slack.kill()
                slack.say("bob", dev, f"missed {round}", silent=True)
                slack.say("alice", dev, f"both ways {round}")
                await until(partial(book.holds, expected))
            await until(lambda: not slack.unacked())
        said = [f"{how} {at}" for at in range(3) for how in ("heard", "missed", "both ways")]
        assert book.texts == said
        assert book.cursor(dev) == slack.history(dev)[-1]["ts"]

    asyncio.run(scenario())


def test_a_chat_in_which_somebody_waits_comes_first(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    others = [slack.channel(f"c{at}", "alice") for at in range(12)]
    last = others[-1]
    slack.fault("conversations.history", "sleep", times=None, seconds=0.1)

    async def scenario() -> None:
        book = Book(tmp_path, *others, added=-100)
        slack.say("alice", last, "before", silent=True)
        async with held(slack, book):
            slack.say("alice", last, "now")
            await until(lambda: book.texts == ["before", "now"])
            await until(lambda: all(book.cursor(chat) for chat in others))
            asked = [one["args"]["channel"] for one in slack.calls("conversations.history")]
            assert asked.index(last) < len(others) - 1
            assert sorted(asked) == sorted(others)

    asyncio.run(scenario())


def test_a_chat_that_comes_to_a_group_meanwhile(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path)
        async with held(slack, book):
            slack.say("alice", dev, "before", silent=True)
            added = Book(tmp_path, dev, added=-100)
            book.known = added.known
            slack.say("alice", dev, "now")
            await until(lambda: book.texts == ["before", "now"])
            slack.say("alice", dev, "later")
            await until(lambda: book.cursor(dev) == slack.history(dev)[-1]["ts"])

    asyncio.run(scenario())


def test_what_waits_for_its_history_waits_for_the_next_connection(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        slack.say("alice", dev, "before", silent=True)
        slack.fault("conversations.history", "500", None)
        async with held(slack, book):
            slack.say("alice", dev, "now")
            await until(lambda: slack.calls("conversations.history"))
            slack.kill()
            await until(lambda: book.states.count((True, None)) == 2)
            await until(lambda: book.inbox)
            slack.heal()
            await until(lambda: book.texts == ["before", "now"])

    asyncio.run(scenario())


def test_a_chat_that_can_t_be_read_holds_nobody_up(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    other = slack.channel("other", "alice")

    async def scenario() -> None:
        book = Book(tmp_path, other, dev, added=-100)
        slack.fault("conversations.history", "error", None, error="missing_scope",
                    match={"channel": other})  # fmt: skip
        slack.say("alice", dev, "before", silent=True)
        async with held(slack, book):
            slack.say("alice", other, "heard all the same")
            await until(lambda: set(book.texts) == {"before", "heard all the same"})
            assert book.cursor(other) is None, "something may be missing there"

    asyncio.run(scenario())


def test_what_is_too_old_to_be_answered(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    now = time.time()
    slack.say("alice", dev, "old", at=now - 500, silent=True)
    slack.say("alice", dev, "new", at=now - 5, silent=True)

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-1000)
        async with held(slack, book, answer_within=60.0):
            await until(lambda: book.cursor(dev))
        assert [(event.message.content, event.is_old) for event in book.events] == [
            ("old", True),
            ("new", False),
        ]

    asyncio.run(scenario())


def test_what_was_changed_meanwhile(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        async with held(slack, book):
            ts = slack.say("alice", dev, "helo")
            await until(lambda: book.events and not slack.unacked())
        slack.edit(dev, ts, "hello")
        async with held(slack, book):
            await until(lambda: len(book.events) == 2)
        edit = book.events[1].message
        assert (edit.message_type, edit.replaces, edit.content) == ("edit", f"slack-{ts}", "hello")

    asyncio.run(scenario())


def test_replies_to_what_was_said_far_back_in_a_long_absence(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    now = time.time()
    first = slack.say("alice", dev, "first", at=now - 500, silent=True)
    for at in range(api.PAGE + 5):
        slack.say("bob", dev, f"talk {at}", at=now - 400 + at, silent=True)
    slack.say("bob", dev, "to the first", first, at=now - 20, silent=True)

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-1000)
        async with held(slack, book):
            await until(lambda: book.cursor(dev))
        assert book.texts[-1] == "to the first"

    asyncio.run(scenario())


def test_what_is_said_while_threads_are_read_is_not_taken_for_read(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    old = slack.say("alice", dev, "old", silent=True)
    known = slack.say("bob", dev, "in a thread", old, silent=True)
    slack.fault("conversations.replies", "hold")

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        async with held(slack, book):
            await until(slack.held)
            slack.say("alice", dev, "never heard of", silent=True)
            slack.say("bob", dev, "in the thread, too", old, silent=True)
            slack.release()
            await until(lambda: book.cursor(dev))
            assert book.texts[-1] == "in the thread, too"
            assert book.cursor(dev) == known

    asyncio.run(scenario())


def test_what_was_edited_long_after_it_was_said(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    now = time.time()
    ts = slack.say("alice", dev, "helo", at=now - 2000, silent=True)
    slack.say("alice", dev, "known", at=now - 1999, silent=True)
    slack.edit(dev, ts, "hello")

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-3000)
        cursor = f"{now - 1000:.6f}"
        book.known[dev] = replace(book.known[dev], cursor=cursor, floor=f"{now - 2900:.6f}")
        async with held(slack, book):
            await until(lambda: "edit" in [event.message.message_type for event in book.events])
        assert book.events[0].message.id == f"slack-{ts}"
        assert book.texts == ["hello", "hello"]

    asyncio.run(scenario())


def test_nothing_from_before_a_group_came_there_again(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    now = time.time()
    slack.say("alice", dev, "while no group was there", at=now - 200, silent=True)
    slack.say("alice", dev, "to the group", at=now - 20, silent=True)

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        cursor = f"{now - 1000:.6f}"
        book.known[dev] = replace(book.known[dev], cursor=cursor, floor=cursor)
        async with held(slack, book):
            await until(lambda: "to the group" in book.texts)
        assert book.texts == ["to the group"]

    asyncio.run(scenario())


def test_what_was_said_while_we_were_thrown_out(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-100)
        async with held(slack, book):
            slack.say("alice", dev, "before")
            await until(lambda: book.texts and book.cursor(dev))
            slack.kick(dev)
            slack.say("alice", dev, "meanwhile", silent=True)
            slack.invite(dev, "alice")
            slack.say("alice", dev, "after")
            await until(lambda: book.holds(3))
            assert book.texts == ["before", "meanwhile", "after"]
            assert book.states == [(True, None)]

    asyncio.run(scenario())
