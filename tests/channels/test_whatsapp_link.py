"""The connection to WhatsApp over a stand-in for the library's shared object: real events through
the real callbacks, from threads that aren't ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pynchy_cli.channels.base import Away
from pynchy_cli.channels.whatsapp import keys, noise, reach
from pynchy_cli.channels.whatsapp import link as links
from pynchy_cli.channels.whatsapp.asked import Asked
from pynchy_cli.channels.whatsapp.ear import Ignored
from pynchy_cli.channels.whatsapp.gate import Gate
from pynchy_cli.channels.whatsapp.link import Link
from pynchy_cli.errors import (
    EXIT_AGAIN,
    EXIT_BROKEN,
    ChannelBroken,
    DatabaseBusy,
    DatabaseFull,
    DatabaseReplaced,
    LoggedOut,
    ProcessWorn,
    PynchyError,
)
from tests.whatsapp_go import LID, NUMBER, Go, events, jid, message

PATIENCE = 30.0


class Book:
    """An ear that notes what it hears, unless `trouble` has something to raise."""

    def __init__(self) -> None:
        self.heard_: list[tuple[str, Any]] = []
        self.states: list[tuple[bool, str | None]] = []
        self.trouble: list[Exception] = []
        self.stored: set[str] = set()
        self.is_busy = False
        self.refused = 0

    def heard(self, kind: str, event: Any) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        if self.is_busy:
            self.refused += 1
            raise DatabaseBusy("It is locked.")
        self.heard_.append((kind, event))

    def has(self, message: Ignored) -> bool:
        return message.id in self.stored

    def state(self, connected: bool, why: str | None) -> None:
        self.states.append((connected, why))

    @property
    def ids(self) -> list[str]:
        return [event.Info.ID for kind, event in self.heard_ if kind == "Message"]


async def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never became so"
        await asyncio.sleep(0.005)


async def nothing_in_the_way() -> str | None:
    return None


def linked(tmp_path: Path, go: Go, book: Book, **other: Any) -> Link:
    other = {"obstacle": nothing_in_the_way, "pause": lambda failures: 0.0, **other}
    return Link(tmp_path / "neonize.db", book, code=go, **other)


@contextlib.asynccontextmanager
async def held(link: Link, go: Go) -> AsyncIterator[asyncio.Task[None]]:
    """A connection that is held, and stands."""
    task = asyncio.ensure_future(link.hold())
    try:
        await until(lambda: link.client is not None or task.done())
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_what_comes_is_heard_in_order_once_each_and_only_then_acknowledged(tmp_path: Path) -> None:
    go, book = Go(), Book()
    early: list[str] = []

    def acknowledged(name: str) -> None:
        if name not in book.ids:
            early.append(name)
        go.receipts.append(name)

    async def scenario() -> None:
        go.acknowledged = acknowledged
        link = linked(tmp_path, go, book)
        async with held(link, go):
            assert link.me.JID.User == NUMBER
            assert link.me.LID.User == LID
            assert link.require() is link.client
            go.deliver(*(message(f"3EB0{number:04}") for number in range(300)))
            await until(lambda: len(go.receipts) == 300)
            go.tell(events.JoinedGroup(Reason="", Type="", CreateKey=""))
            go.tell(events.GroupInfoEvent(Notify=""))
            await until(lambda: len(book.heard_) >= 300)
        assert book.ids == [f"3EB0{number:04}" for number in range(300)]
        assert early == []
        assert sorted(go.receipts) == book.ids
        assert book.states == [(True, None)]
        assert link.client is None
        with pytest.raises(Away):
            link.require()

    asyncio.run(scenario())


def test_while_the_database_is_busy_only_one_message_is_decrypted_and_none_acknowledged(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        book.is_busy = True
        book.trouble = [DatabaseFull("It is full.")]
        async with held(linked(tmp_path, go, book), go):
            go.deliver(message("A"), message("B"), message("C"))
            await until(lambda: not book.trouble)
            assert (go.decrypted, go.receipts, book.ids) == (["A"], [], [])
            book.is_busy = False
            await until(lambda: len(go.receipts) == 3)
            assert book.ids == ["A", "B", "C"]

    asyncio.run(scenario())


def test_what_storing_raises_ends_it_and_is_not_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        book.trouble = [DatabaseReplaced("It is another file.")]
        async with held(linked(tmp_path, go, book), go) as task:
            go.deliver(message("A"))
            with pytest.raises(DatabaseReplaced):
                await task
        assert go.receipts == []
        assert go.stopped == go.dialled

    asyncio.run(scenario())


def test_one_message_that_is_too_much_for_us_is_told_of_and_stops_no_others(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        book.trouble = [ValueError("a fault of ours")]
        async with held(linked(tmp_path, go, book), go):
            go.deliver(message("A"), message("B"))
            await until(lambda: len(go.receipts) == 2)
            book.trouble = [ValueError("a fault of ours")]
            go.tell(events.GroupInfoEvent(Notify="", JID=jid("1", "g.us"), Timestamp=0))
            go.deliver(message("C"))
            await until(lambda: len(go.receipts) == 3)
        who = "4915550100@s.whatsapp.net"
        assert book.heard_[0] == ("Ignored", Ignored("A", who, who))
        assert book.ids == ["B", "C"]
        assert len(go.dialled) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("event", "kind", "says"),
    [
        (events.LoggedOut(OnConnect=True, Reason="LOGGED_OUT"), LoggedOut, "logged this device"),
        (events.LoggedOut(OnConnect=True, Reason="MAIN_DEVICE_GONE"), LoggedOut, "another phone"),
        (events.TemporaryBan(Code=4, Expire=60), ChannelBroken, "too many people were sent"),
        (events.TemporaryBan(), ChannelBroken, "banned this account for a while. Wait"),
        (events.ClientOutdated(), ChannelBroken, "pip install --upgrade"),
        (events.StreamReplaced(), ChannelBroken, "Another program"),
    ],
)
def test_what_only_a_person_can_mend_is_raised_with_what_to_do(
    tmp_path: Path, event: Any, kind: type[PynchyError], says: str
) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        async with held(linked(tmp_path, go, book), go) as task:
            go.tell(event)
            with pytest.raises(kind, match=says) as raised:
                await task
        assert raised.value.exit_code == EXIT_BROKEN
        assert "pynchy auth whatsapp" in str(raised.value)
        assert len(go.dialled) == 1
        assert go.stopped == go.dialled

    asyncio.run(scenario())


def test_what_neonize_cannot_put_into_words_is_understood_all_the_same(tmp_path: Path) -> None:
    async def scenario() -> None:
        go = Go("proto: required field neonize.TemporaryBan.Code not set")
        with pytest.raises(ChannelBroken, match="banned this account"):
            await linked(tmp_path, go, Book()).hold()

    asyncio.run(scenario())


def test_without_a_device_it_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        go = Go(is_paired=False)
        async with held(linked(tmp_path, go, Book()), go) as task:
            with pytest.raises(LoggedOut, match="`pynchy auth whatsapp` links one"):
                await task

    asyncio.run(scenario())


def test_it_dials_until_it_is_let_in_and_again_when_it_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        go, book = Go("failed to dial", "failed again"), Book()
        ways: list[str | None] = [None, "no way out", None]
        failures: list[int] = []

        async def obstacle() -> str | None:
            return ways.pop(0) if ways else None

        def pause(number: int) -> float:
            failures.append(number)
            return 0.0

        link = linked(tmp_path, go, book, obstacle=obstacle, pause=pause)
        async with held(link, go):
            assert len(go.dialled) == len(set(go.dialled)) == 3
            refused = events.ConnectFailure(Reason="BAD_USER_AGENT", Message="no", Raw=_node())
            go.tell(refused)
            await until(lambda: len(go.dialled) == 4 and link.client is not None)
        assert failures == [1, 2, 3, 1]
        assert book.states == [
            (False, "failed to dial"),
            (False, "no way out"),
            (False, "failed again"),
            (True, None),
            (False, "WhatsApp refused the connection (bad user agent: no)"),
            (True, None),
        ]

    asyncio.run(scenario())


def test_the_state_follows_what_whatsapp_tells(tmp_path: Path) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        link = linked(tmp_path, go, book)
        async with held(link, go):
            go.tell(events.Disconnected(status=True))
            await until(lambda: link.client is None)
            go.tell(events.Connected(status=True))
            await until(lambda: link.client is not None)
            go.tell(events.KeepAliveTimeout(ErrorCount=1, LastSuccess=0))
            await until(lambda: link.client is None)
            go.tell(events.KeepAliveRestored())
            await until(lambda: link.client is not None)
        assert len(go.dialled) == 1
        assert book.states == [
            (True, None),
            (False, "the connection was lost"),
            (True, None),
            (False, "WhatsApp doesn't answer"),
            (True, None),
        ]

    asyncio.run(scenario())


def test_a_connection_that_stays_away_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynchy_cli.channels.whatsapp import life

    monkeypatch.setattr(life, "PATIENCE", 0.2)

    async def scenario() -> None:
        go, book = Go(), Book()
        link = linked(tmp_path, go, book)
        async with held(link, go):
            go.tell(events.Disconnected(status=True))
            await until(lambda: len(go.dialled) == 2 and link.client is not None)
        assert go.stopped == go.dialled

    asyncio.run(scenario())


def test_what_is_ignored_is_asked_for_again_once_unless_it_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynchy_cli.channels.whatsapp import life

    monkeypatch.setattr(life, "LINGER", 0.05)
    lost = Ignored("C", "3:2@lid", "12036@g.us")

    async def ignored(go: Go, name: str, source: str) -> None:
        said = f"Ignoring message {name} from {source}: old counter"
        await asyncio.to_thread(go.log, "Client", said, "WARN")
        go.acknowledge(name)

    async def scenario() -> None:
        go, book = Go(), Book()
        link = linked(tmp_path, go, book)
        async with held(link, go):
            go.deliver(message("A"))
            await until(lambda: go.receipts == ["A"])
            await ignored(go, "A", "1@s.whatsapp.net")
            await until(lambda: go.receipts == ["A", "A"])
            await ignored(go, "C", "3:2@lid in 12036@g.us")
            await until(lambda: len(go.dialled) == 2 and link.client is not None)
            assert go.receipts == ["A", "A"]
            assert len(book.heard_) == 1
            book.stored = {"B"}  # by a process before this one
            await ignored(go, "B", "1@s.whatsapp.net")
            await until(lambda: go.receipts == ["A", "A", "B"])
            await ignored(go, "C", "3:2@lid in 12036@g.us")
            await until(lambda: go.receipts == ["A", "A", "B", "C"])
            await until(lambda: book.heard_[1:] == [("Ignored", lost)])
        assert len(go.dialled) == 2

    asyncio.run(scenario())


def test_what_cannot_be_read_for_long_is_hoped_for_from_another_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynchy_cli.channels.whatsapp import life

    def unreadable(name: str) -> events.UndecryptableMessage:
        info = message(name).Info
        return events.UndecryptableMessage(
            Info=info, IsUnavailable=False, DecryptFailMode="DECRYPT_FAIL_SHOW"
        )

    async def scenario() -> None:
        go, book = Go(), Book()
        link = linked(tmp_path, go, book)
        async with held(link, go):
            go.tell(unreadable("A"))
            go.deliver(message("A"))
            await until(lambda: go.receipts == ["A"])
            assert link._life is not None
            assert not link._life._unread, "it has come"
            monkeypatch.setattr(life, "UNREAD", 0.05)
            go.tell(unreadable("B"))
            await until(lambda: len(go.dialled) == 2 and link.client is not None)
        assert book.ids == ["A"]

    asyncio.run(scenario())


def test_nobody_has_the_connection_be_made_anew_without_end() -> None:
    asked = Asked()
    assert [asked.may("A", 0.0, is_first=True), asked.may("A", 0.0, is_first=True)] == [True, False]
    assert all(asked.may(f"B{one}", 1.0, is_first=False) for one in range(2000))
    assert sum(asked.may(f"C{one}", 2.0, is_first=True) for one in range(100)) == 9
    assert asked.may("D", 3600.0, is_first=True)
    assert not asked.may("E", 3600.0, is_first=True)


def test_what_may_not_be_asked_for_again_is_told_of_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynchy_cli.channels.whatsapp import asked

    monkeypatch.setattr(asked, "OFTEN", 0)

    async def scenario() -> None:
        go, book = Go(), Book()
        link = linked(tmp_path, go, book)
        async with held(link, go):
            said = "Ignoring message A from 1@s.whatsapp.net: old counter"
            await asyncio.to_thread(go.log, "Client", said, "WARN")
            go.acknowledge("A")
            await until(lambda: go.receipts == ["A"])
            assert [kind for kind, _ in book.heard_] == ["Ignored"]
            assert link.client is not None
        assert len(go.dialled) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("id", ["A from 9@s.whatsapp.net: ", "A from 9@lid in 8@g.us: x\n"])
def test_an_id_that_reads_like_a_line_of_the_log(id: str) -> None:
    gate = Gate()
    said = f"Ignoring message {id} from 5@s.whatsapp.net in 7@g.us: old counter"
    assert gate.ignored(said) == (id, "5@s.whatsapp.net", "7@g.us")


def test_a_name_that_reads_like_an_attribute() -> None:
    gate = Gate(idle=1e6, longest=1e6)
    name = 'x" id="B" class="message'
    gate.frame(True, f'<message from="1@lid" id="A" notify="{name}" t="1"><enc/></message>')
    gate.began()
    gate.ended("A")
    following = '<message from="1@lid" id="C" t="1"/>'
    waiting = Thread(target=gate.frame, args=(True, following), daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    is_held = waiting.is_alive()
    gate.open()
    assert not is_held


def test_nothing_is_asked_for_again_while_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynchy_cli.channels.whatsapp import life

    monkeypatch.setattr(life, "LINGER", 0.01)

    async def scenario() -> None:
        go = Go()
        link = linked(tmp_path, go, Book())
        async with held(link, go):
            assert link._life is not None
            link._life._ask(float("inf"), link._life._wire.gate.signs - 1)
            assert not link._life._over.done()
            await until(lambda: len(go.dialled) == 2)

    asyncio.run(scenario())


def test_what_is_being_sent_comes_to_its_end_before_something_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynchy_cli.channels.whatsapp import life

    monkeypatch.setattr(life, "LINGER", 0.01)

    async def scenario() -> None:
        go, book = Go(), Book()
        link = linked(tmp_path, go, book)
        async with held(link, go):
            await asyncio.to_thread(go.log, "Client/Send", '<message id="X" to="1@lid">')
            said = "Ignoring message A from 1@s.whatsapp.net: old counter"
            await asyncio.to_thread(go.log, "Client", said, "WARN")
            await until(lambda: link.client is None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await until(lambda: go.is_cut)
            assert not go.is_cut
            await asyncio.to_thread(go.log, "Client/Recv", '<ack class="message" id="X"/>')
            await until(lambda: len(go.dialled) == 2 and link.client is not None)

    asyncio.run(scenario())


def test_the_keys_that_a_person_used_are_forgotten_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "neonize.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE whatsmeow_sessions (their_id)")
        db.execute("CREATE TABLE whatsmeow_sender_keys (chat_id, sender_id)")
        db.execute("CREATE TABLE whatsmeow_lid_map (lid, pn)")
        db.execute("INSERT INTO whatsmeow_lid_map VALUES ('88', '49'), ('77', '41')")
        for one in ("49:0", "49:12", "88_1:0", "490:0", "41:0", "88_1", "149:0"):
            db.execute("INSERT INTO whatsmeow_sessions VALUES (?)", (one,))
            for chat in ("1@g.us", "2@g.us"):
                db.execute("INSERT INTO whatsmeow_sender_keys VALUES (?, ?)", (chat, one))
    keys.forget(path, [Ignored("A", "88:3@lid", "1@g.us"), Ignored("B", "*@x", "*@x")])
    with contextlib.closing(sqlite3.connect(path)) as db:
        left = [row[0] for row in db.execute("SELECT their_id FROM whatsmeow_sessions")]
        in_groups = list(db.execute("SELECT sender_id FROM whatsmeow_sender_keys ORDER BY chat_id"))
    assert left == ["490:0", "41:0", "88_1", "149:0"]
    assert [row[0] for row in in_groups[:4]] == left
    assert len(in_groups) == 4 + 7


def test_what_the_library_is_writing_is_waited_for_before_keys_are_forgotten(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "neonize.db-journal"
    journal.write_bytes(b"what was there before")
    with pytest.raises(sqlite3.OperationalError, match="still writing"):
        keys.forget(tmp_path / "neonize.db", [], patience=0.0)
    assert journal.read_bytes() == b"what was there before"


def test_of_a_message_with_keys_before_it_the_last_part_is_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        keys_alone = message("A", "")
        keys_alone.Message.Clear()
        keys_alone.Message.senderKeyDistributionMessage.groupID = "12036@g.us"
        async with held(linked(tmp_path, go, book), go):
            go.tell(keys_alone)
            await until(lambda: book.ids == ["A"])
            book.is_busy = True
            go.tell(message("A"))
            await until(lambda: book.refused)
            waiting = go.acknowledge("A")
            waiting.join(0.05)
            assert waiting.is_alive()
            book.is_busy = False
            await until(lambda: go.receipts == ["A"])
            assert book.ids == ["A", "A"]

    asyncio.run(scenario())


def test_what_has_come_when_it_is_to_end_is_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        go, book = Go(), Book()
        book.is_busy = True
        async with held(linked(tmp_path, go, book), go) as task:
            go.deliver(message("A"))
            await until(lambda: go.decrypted)
            task.cancel()
            await until(lambda: go.is_cut)
            book.is_busy = False
            await asyncio.gather(task, return_exceptions=True)
        assert book.ids == ["A"]
        assert go.receipts == []
        assert go.stopped == go.dialled

    asyncio.run(scenario())


def test_it_ends_while_it_dials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynchy_cli.channels.whatsapp import life

    monkeypatch.setattr(life, "CUTTING", 0.05)

    async def scenario() -> None:
        go = Go(is_slow=True)
        task = asyncio.ensure_future(linked(tmp_path, go, Book()).hold())
        await until(lambda: go.dialled)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert go.stopped == []
        go.door.set()
        await until(lambda: go.stopped == go.dialled)

    asyncio.run(scenario())


def test_a_process_that_has_had_many_connections_makes_room_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "LIVES", 2)

    async def scenario() -> None:
        go = Go("no", "no", "no")
        with pytest.raises(ProcessWorn) as raised:
            await linked(tmp_path, go, Book()).hold()
        assert raised.value.exit_code == EXIT_AGAIN
        assert len(go.dialled) == 2

    asyncio.run(scenario())


def test_pauses_grow_up_to_a_minute_and_differ() -> None:
    assert [links.pause(number, lambda: 1.0) for number in (1, 2, 3, 7, 8, 5000)] == [
        1.0,
        2.0,
        4.0,
        60.0,
        60.0,
        60.0,
    ]
    assert links.pause(1, lambda: 0.0) == 0.5


@pytest.mark.parametrize(
    ("environ", "door"),
    [
        ({}, ("web.whatsapp.com", 443)),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, ("proxy.example", 3128)),
        ({"https_proxy": "proxy.example:3128"}, ("proxy.example", 3128)),
        ({"https_proxy": "socks5://user:word@proxy.example"}, ("proxy.example", 1080)),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.b, .whatsapp.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "app.com"}, ("p", 1)),
    ],
)
def test_the_door_is_where_go_dials(environ: dict[str, str], door: tuple[str, int] | None) -> None:
    assert reach.door(environ) == (door or ("web.whatsapp.com", 443))


def test_an_obstacle_is_named() -> None:
    async def scenario() -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
        assert await reach.obstacle(environ) is None
        server.close()
        await server.wait_closed()
        why = await reach.obstacle(environ)
        assert why == f"the proxy 127.0.0.1:{port}: Connection refused"

    asyncio.run(scenario())


def test_a_message_that_brings_no_event_holds_nobody_for_long() -> None:
    gate = Gate(idle=0.02)
    for name in ("A", "B"):
        gate.frame(True, f'<message from="1@s.whatsapp.net" id="{name}" type="text">')
        gate.frame(False, f'<receipt id="{name}" to="1@s.whatsapp.net" type="inactive"/>')


def test_a_message_that_comes_again_is_to_be_stored_again() -> None:
    gate = Gate(idle=PATIENCE)
    came = '<message from="1@s.whatsapp.net" id="A" type="text">'
    leaves = '<receipt id="A" to="1@s.whatsapp.net" type="inactive"/>'
    gate.frame(True, came)
    gate.began()
    gate.ended("A")
    gate.frame(False, leaves)
    gate.frame(True, came)
    gate.began()
    waiting = Thread(target=gate.frame, args=(False, leaves), daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    gate.ended("A")
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_what_is_no_message_and_no_receipt_of_one_is_not_held() -> None:
    gate = Gate(idle=PATIENCE)
    gate.frame(True, '<message from="1@s.whatsapp.net" id="A" type="text">')
    gate.began()
    gate.frame(True, '<ack class="message" id="X"/>')
    gate.frame(False, '<receipt id="A" to="1@s.whatsapp.net" type="read"/>')
    gate.frame(False, '<receipt id="A" to="1@s.whatsapp.net" type="retry"/>')
    gate.frame(False, '<message id="Y" to="1@s.whatsapp.net"/>')


NOISE = """
import os, sys
from pynchy_cli.channels.whatsapp.noise import kept_off
told = []
with kept_off(told.append):
    os.write(1, b"Login event: success\\nSend")
    os.write(1, b"Message: Error\\n")
    print("ours")
    os.system("echo of a child")
print("after", told)
"""


def test_what_go_prints_is_told_and_not_printed() -> None:
    done = subprocess.run([sys.executable, "-c", NOISE], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "ours\nafter ['Login event: success', 'SendMessage: Error', 'of a child']\n"
    )


WITHOUT = """
import sys
from pynchy_cli.channels.whatsapp import library
from pynchy_cli.errors import ChannelBroken
sys.path[:0] = sys.argv[1:]
if not sys.argv[1:]:
    sys.modules["neonize"] = None
try:
    library.load()
except ChannelBroken as error:
    print(error)
"""


def test_without_the_library_it_says_how_to_get_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True
    )
    assert 'pip install "pynchy[whatsapp]"' in done.stdout


@pytest.mark.parametrize(
    ("shared", "raised", "says"),
    [
        (
            "neonize-linux-amd64.so",
            "ImportError('failed to find libmagic')",
            "apt install libmagic1",
        ),
        ("neonize-linux-amd64.so", "OSError('wrong ELF class')", "wrong ELF class"),
        ("neonize-linux-amd64.so", "RuntimeError('another version')", "another version"),
        ("_binder.py", "AssertionError('it would be fetched')", "no shared object"),
    ],
)
def test_a_library_that_does_not_work_is_told_of(
    tmp_path: Path, shared: str, raised: str, says: str
) -> None:
    package = tmp_path / "neonize"
    package.mkdir()
    (package / "__init__.py").write_text(f"raise {raised}")
    (package / shared).touch()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert says in done.stdout
    assert 'pip install "pynchy[whatsapp]"' in done.stdout


LOADED = """
import logging
import os
from pynchy_cli.channels.whatsapp import library
library.load()
import asyncio, time
root = logging.getLogger()
print(root.handlers, root.level)
async def main():
    asyncio.get_running_loop().set_default_executor(library.DaemonThreads())
    assert await asyncio.to_thread(lambda: 5) == 5
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
asyncio.run(main())
"""


def test_loading_leaves_the_log_alone_and_a_blocked_call_does_not_hold_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout == f"[] {logging.WARNING}\n"


def _node() -> Any:
    return events.Node(Tag="failure")


def test_standard_output_elsewhere_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with noise.kept_off(print):
        assert sys.stdout is before


BEGUN = """
import os
from pynchy_cli.stage import ENVIRON, begin_with
print("begun", flush=True)
begin_with(ENVIRON["listen@whatsapp"])
print(os.environ["NEONIZE_BOT_TAG"], os.environ["GOMEMLIMIT"])
"""


def test_a_stage_begins_anew_with_what_go_reads_only_then() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "NEONIZE_BOT_TAG"}
    done = subprocess.run(
        [sys.executable, "-c", BEGUN], capture_output=True, text=True, check=True, env=environ
    )
    assert done.stdout == "begun\nbegun\noff 24MiB\n"
