"""What comes by the connection is stored in its order, and acknowledged when it is, in time for
Slack: whatever names, histories and the database do meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli import clock
from pynchy_cli.channels.base import Event
from pynchy_cli.channels.slack import inbox
from pynchy_cli.channels.slack.events import Read
from pynchy_cli.errors import DatabaseBusy, DatabaseForeign, DatabaseReplaced, PynchyError
from pynchy_cli.model import NewMessage
from tests.slack_host import Book, held, until
from tests.slack_server import SlackServer

ACK = 3.0
"""Seconds in which Slack wants to hear that something came."""


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer(ack=ACK) as server:
        server.person("alice", "Alice Doe")
        yield server


@pytest.fixture
def dev(slack: SlackServer) -> str:
    return slack.channel("dev", "alice")


def test_three_hundred_in_their_order_while_names_are_asked_for(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    people = [slack.person(f"p{number}", f"Person {number}") for number in range(10)]
    for person in people:
        slack.invite(dev, "alice", person)
    slack.fault("users.info", "sleep", times=None, seconds=0.1)

    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.forget()
            said = [f"number {at}" for at in range(300)]
            for at, text in enumerate(said):
                slack.say(people[at % 10], dev, text)
                await asyncio.sleep(0)
            await until(lambda: len(book.events) == 300)
            assert book.texts == said
            names = {event.message.sender_name for event in book.events}
            assert names == {f"Person {number}" for number in range(10)}
            await until(lambda: not slack.unacked())
            assert not [one for one in slack.acks() if one.get("failed")]

    asyncio.run(scenario())


@pytest.mark.parametrize("method", ["users.info", "conversations.history"])
def test_slack_waits_for_neither_names_nor_history(
    slack: SlackServer, dev: str, tmp_path: Path, method: str
) -> None:
    slack.say("alice", dev, "before", silent=True)
    slack.fault(method, "sleep", times=None, seconds=2.2)

    async def scenario() -> None:
        book = Book(tmp_path, dev, added=-60)
        async with held(slack, book):
            slack.say("alice", dev, "now")
            await until(lambda: book.inbox)
            assert "now" not in book.texts, "it isn't its turn"
            assert book.cursor(dev) is None, "what was before is missing still"
            await until(lambda: not slack.unacked())
            (ack,) = slack.acks()
            assert ack["attempt"] == 0
            assert inbox.WAIT <= ack["seconds"] < ACK
            await until(lambda: "now" in book.texts)
            assert book.texts == ["before", "now"]
            assert book.events[1].message.sender_name == "Alice Doe"
            await until(lambda: not book.inbox)

    asyncio.run(scenario())


def test_what_was_kept_outlives_us(slack: SlackServer, dev: str, tmp_path: Path) -> None:
    slack.fault("conversations.history", "sleep", times=None, seconds=20)

    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.say("alice", dev, "in its time")
            await until(lambda: book.inbox)
            await until(lambda: not slack.unacked())
        assert not book.events
        slack.heal()
        slack.delete(dev, slack.history(dev)[0]["ts"])  # so that no history tells of it
        async with held(slack, book):
            await until(lambda: "in its time" in book.texts)
        assert not book.inbox

    asyncio.run(scenario())


def test_what_can_t_be_stored_is_not_acknowledged_and_comes_in_its_order(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    slack.option(ack=0.2)

    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            await until(lambda: book.cursor(dev))
            book.busy = True
            for at in range(5):
                slack.say("alice", dev, f"number {at}")
            await until(lambda: book.refused > 1 and len(slack.acks()) >= 5)
            assert not book.events
            assert all(one.get("failed") for one in slack.acks())
            book.busy = False
            await until(lambda: len(book.events) == 5)
            assert book.texts == [f"number {at}" for at in range(5)]

    asyncio.run(scenario())


def test_what_slack_says_again_changes_nothing(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            slack.say("alice", dev, "@pynchy hello")
            await until(lambda: book.events and not slack.unacked())
            first = slack.acks()[0]["event_id"]
            slack.again(first)
            slack.say("alice", dev, "and on")
            await until(lambda: len(book.events) == 2 and not slack.unacked())
            assert book.texts == ["@pynchy hello", "and on"]
            assert sum(book.batches) >= 4, "the mention, and the repeat, came too"

    asyncio.run(scenario())


def test_what_is_no_event_is_acknowledged_and_hurts_nobody(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            limited = {"type": "app_rate_limited", "team_id": "T1", "minute_rate_limited": 1}
            slack.event(limited, whole=True)
            slack.event({"type": "message", "channel": 7, "text": None})
            slack.say("alice", dev, "still here")
            await until(lambda: book.texts == ["still here"])
            await until(lambda: not slack.unacked())

    asyncio.run(scenario())


class Shelf:
    """Everything around an inbox, where a chat's history is never asked for."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.stored: list[str] = []
        self.acked: list[str] = []
        self.busy = True

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        raise AssertionError("nothing is late")

    def kept(self) -> list[tuple[int, str, str]]:
        return []

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        if self.busy:
            raise DatabaseBusy("somebody else writes")
        self.stored += [event.message.content for event in events]

    async def ack(self, envelope_id: str, kind: str, read: Read) -> bool:
        self.acked.append(envelope_id)
        return True

    def joined(self, chat_id: str) -> None: ...

    async def fetch(self, ids: Collection[str]) -> None: ...

    def is_settled(self, chat_jid: str) -> bool:
        return True

    def is_whole(self, chat_jid: str) -> bool:
        return False

    def hurry(self, chat_jid: str) -> None: ...

    def missed(self, chat_jid: str) -> None:
        self.lost.append(chat_jid)


def test_of_what_is_too_much_the_oldest_is_fetched_again_later() -> None:
    def read(payload: Mapping[str, Any], kind: str) -> Read:
        text = payload["text"]
        now = clock.now()
        return Read(Event(NewMessage(text, f"slack:C{text}", "U1", "Alice", text, now)))

    async def scenario() -> None:
        shelf = Shelf()
        taken = inbox.Inbox(shelf, read, shelf, shelf, most=3)
        for at in range(5):
            taken.put({"envelope_id": f"e{at}", "type": "events_api", "payload": {"text": str(at)}})
        assert shelf.lost == ["slack:C0", "slack:C1"]
        shelf.busy = False
        running = asyncio.ensure_future(taken.run())
        await until(lambda: len(shelf.acked) == 3)
        running.cancel()
        assert shelf.stored == ["2", "3", "4"]
        assert shelf.acked == ["e2", "e3", "e4"]

    asyncio.run(scenario())


class Kept(Shelf):
    """One on which two things lie from a process before us, and nothing's turn has come."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [1, 2]
        self.is_its_turn = False

    def kept(self) -> list[tuple[int, str, str]]:
        return [(row, "events_api", json.dumps({"text": f"kept {row}"})) for row in self.rows]

    def keep(self, came: Sequence[tuple[str, str]]) -> list[int]:
        raise DatabaseBusy("somebody else writes")

    def is_settled(self, chat_jid: str) -> bool:
        return self.is_its_turn


def test_what_slack_was_told_of_is_not_let_go() -> None:
    def read(payload: Mapping[str, Any], kind: str) -> Read:
        said = NewMessage(payload["text"], "slack:C1", "U1", "Alice", payload["text"], clock.now())
        return Read(Event(said))

    async def scenario() -> None:
        shelf = Kept()
        shelf.busy = False
        taken = inbox.Inbox(shelf, read, shelf, shelf, most=3)
        running = asyncio.ensure_future(taken.run())
        await asyncio.sleep(0)
        for at in range(4):
            taken.put({"envelope_id": f"e{at}", "type": "events_api", "payload": {"text": str(at)}})
        assert shelf.lost == ["slack:C1"] * 3
        shelf.is_its_turn = True
        taken.stir()
        await until(lambda: shelf.acked)
        running.cancel()
        assert shelf.stored == ["kept 1", "kept 2", "0"]
        assert shelf.acked == ["e0"]

    asyncio.run(scenario())


class Torn(Shelf):
    """One on which nothing can be stored any more."""

    def __init__(self, error: PynchyError) -> None:
        super().__init__()
        self.error = error

    def take(self, events: Sequence[Event], kept: Sequence[int] = ()) -> None:
        if events or kept:
            raise self.error


@pytest.mark.parametrize("kind", [DatabaseForeign, DatabaseReplaced])
def test_nothing_is_acknowledged_that_no_file_holds(kind: type[PynchyError]) -> None:
    def read(payload: Mapping[str, Any], kind: str) -> Read:
        return Read(Event(NewMessage("1", "slack:C1", "U1", "Alice", "hello", clock.now())))

    async def scenario() -> None:
        shelf = Torn(kind("not this file"))
        taken = inbox.Inbox(shelf, read, shelf, shelf)
        taken.put({"envelope_id": "e1", "type": "events_api", "payload": {}})
        with pytest.raises(kind):
            async with asyncio.timeout(30):
                await taken.run()
        assert shelf.acked == []

    asyncio.run(scenario())


def test_commands_and_invitations_are_answered(
    slack: SlackServer, dev: str, tmp_path: Path
) -> None:
    other = slack.channel("other", "alice", bot=False)

    async def scenario() -> None:
        book = Book(tmp_path, dev)
        async with held(slack, book):
            here = slack.command("alice", dev, "what is up")
            said = await asyncio.to_thread(slack.answer, here)
            assert said == {"response_type": "in_channel"}
            assert book.texts == ["@pynchy what is up"]
            slack.invite(other, "alice")
            await until(lambda: book.invited == [f"slack:{other}"])
            assert book.chats_met[f"slack:{other}"].name == "#other"
            there = slack.command("alice", other, "hello")
            said = await asyncio.to_thread(slack.answer, there)
            assert said["response_type"] == "ephemeral"
            assert f"groups add slack:{other}" in said["text"]

    asyncio.run(scenario())
