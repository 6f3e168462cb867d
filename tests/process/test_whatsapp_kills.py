"""Kill -9 of the stage that holds WhatsApp, between a message's arrival, its row and its receipt,
and between a reply's sending and its note; bursts, and a file that can't be written, while messages
come. Real processes, the real library. What can be had is stored once, in order; what can't is told
of once. What may have been sent is held, told, and never sent again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psutil
import pytest

from pynchy_cli import clock
from pynchy_cli.store import chats, outbound
from pynchy_cli.store.connection import Store
from tests.process.test_run_agent import wait_for
from tests.whatsapp_home import WhatsAppHome, linked
from tests.whatsapp_server import WhatsAppProcess

BURST = 300
REPLIES = 100
LIMIT = 120 * 2**20
"""Bytes of memory that the stage may take."""
LOST = "key LIKE 'lost:%'"
OPEN = "state NOT IN ('sent', 'dead') AND NOT held AND channel = 'whatsapp'"


class Line:
    """A linked home without any stages but the one that listens; each test has people of its own,
    since the file stays."""

    def __init__(self, home: WhatsAppHome) -> None:
        self.home = home
        self.whatsapp: WhatsAppProcess = home.whatsapp
        self.stage: subprocess.Popen[bytes] | None = None
        self.people = 0

    def person(self) -> tuple[str, str]:
        """Somebody new in a group with the assistant: number and chat."""
        self.people += 1
        phone = f"49155502{self.people:02}"
        chat = self.whatsapp.person(phone, f"Person {self.people}")
        self.home.group(f"person-{self.people}", chat)
        return phone, chat

    def circle(self) -> tuple[str, str]:
        """Somebody new, and a group that they talk in."""
        phone, _ = self.person()
        chat = self.whatsapp.group(f"Circle {self.people}", phone)
        self.home.group(f"circle-{self.people}", chat)
        return phone, chat

    def start(self, **env: str) -> None:
        self.stage = self.home.listen(**env)
        self.whatsapp.wait_online()

    def kill(self) -> None:
        assert self.stage is not None
        self.stage.kill()
        assert self.stage.wait(30) == -signal.SIGKILL
        wait_for(lambda: not self.whatsapp.online(), "the end of the connection")

    def again(self) -> None:
        """Killed and begun once more, with all that WhatsApp has kept taken in."""
        self.kill()
        self.start()
        self.whatsapp.wait_received()

    def stop(self) -> None:
        if self.stage is not None and self.stage.poll() is None:
            self.stage.terminate()
            assert self.stage.wait(30) == 0
        self.whatsapp.mend()

    def stored(self, chat: str) -> list[str]:
        """What people said in a chat, in the order of the rows."""
        return self.home.rows(
            f"SELECT content FROM messages WHERE chat_jid = 'whatsapp:{chat}'"
            " AND message_type = 'user' ORDER BY seq"
        )

    def lost(self, chat: str) -> list[str]:
        """The ids of which the chat is told that they were said, in the order of telling."""
        start = f"lost:whatsapp:{chat}:"
        keys = self.home.rows(f"SELECT key FROM outbound_ledger WHERE {LOST} ORDER BY id")
        return [key.removeprefix(start) for key in keys if key.startswith(start)]

    def keys(self) -> list[Any]:
        """The keys by which messages are read, as they are now: another one for the next."""
        db = sqlite3.connect(f"file:{self.home.home / 'data/neonize.db'}?mode=ro", uri=True)
        with closing(db):
            sessions = db.execute("SELECT their_id, session FROM whatsmeow_sessions").fetchall()
            return sessions + db.execute("SELECT * FROM whatsmeow_sender_keys").fetchall()

    def read_by(self, saying: Callable[[], Any]) -> Any:
        """What `saying` gives, once the library has read what was said."""
        before = self.keys()
        said = saying()
        wait_for(lambda: self.keys() != before, "the library has read it")
        return said

    def store(self) -> Store:
        return Store.open(self.home.home / "data/messages.db")

    def reply(self, chat: str, *texts: str) -> None:
        """Replies for a chat."""
        with self.store() as store, store.atomic() as db:
            now = clock.now()
            chats.claim(db, f"whatsapp:{chat}", "whatsapp", None, now)
            for text in texts:
                outbound.say(
                    db, key=f"{chat} {text}", chat_jid=f"whatsapp:{chat}", content=text,
                    source="agent", now=now,
                )  # fmt: skip

    def sent(self, chat: str) -> list[str]:
        """What was sent to a chat."""
        return [row["text"] for row in self.whatsapp.outbound(chat)]

    def states(self, chat: str) -> list[tuple[str, int]]:
        """How deliveries to a chat stand: the state, and whether it waits for a person."""
        return self.home.rows(
            "SELECT state, held FROM outbound_deliveries"
            f" WHERE chat_jid = 'whatsapp:{chat}' ORDER BY ledger_id"
        )

    def told(self, chat: str) -> list[str]:
        """What the admin group is told of replies to a chat that wait."""
        rows = self.home.rows(
            "SELECT content FROM outbound_ledger WHERE key LIKE 'held:%'"
            " AND chat_jid = 'local:main'"
        )
        return [text for text in rows if chat in text]

    def settled(self) -> None:
        query = f"SELECT 1 FROM outbound_deliveries WHERE {OPEN}"
        wait_for(lambda: not self.home.rows(query), "all is brought")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can write to the file."""
        db = sqlite3.connect(self.home.home / "data/messages.db", isolation_level=None, timeout=30)
        with closing(db):
            db.execute("BEGIN IMMEDIATE")
            yield


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with linked(tmp_path_factory.mktemp("kills")) as home:
        yield Line(home)


@pytest.fixture
def line(shared: Line) -> Iterator[Line]:
    try:
        yield shared
    finally:
        shared.stop()


def is_held(line: Line, chat: str, sent: list[str]) -> None:
    """A reply is held and told, once; this much of it was sent."""
    wait_for(lambda: line.states(chat) == [("unknown", 1)], "the reply is held")
    [told] = line.told(chat)
    assert "waits for you" in told
    assert line.sent(chat) == sent


# In.


def test_a_message_that_was_not_read_comes_again(line: Line) -> None:
    phone, chat = line.person()
    line.start()
    assert line.stage is not None
    os.kill(line.stage.pid, signal.SIGSTOP)
    ids = line.whatsapp.flood(phone, ["m0", "m1", "m2"])
    assert line.whatsapp.waiting() == ids
    line.again()
    assert line.stored(chat) == ["m0", "m1", "m2"]
    assert line.lost(chat) == []


def test_a_message_that_was_read_and_not_stored_is_had_once_more(line: Line) -> None:
    (phone, chat), (member, group) = line.person(), line.circle()
    line.start()
    # The first one brings the keys with it, the next ones come by those that are known.
    for who, where, place in ((phone, chat, ""), (phone, chat, ""), (member, group, group)):
        number = len(line.stored(where))
        with line.locked():
            cut = line.read_by(lambda who=who, n=number, place=place: (  # type: ignore[misc]
                line.whatsapp.say(who, f"m{n}", place)
            ))  # fmt: skip
            assert cut in line.whatsapp.waiting()
            line.kill()
        line.whatsapp.say(who, f"m{number + 1}", place)
        line.start()
        line.whatsapp.wait_received()
    line.again()
    for where, count in ((chat, 4), (group, 2)):
        assert sorted(line.stored(where)) == [f"m{number}" for number in range(count)]
        assert line.lost(where) == []


def test_a_message_that_is_stored_and_was_not_confirmed_stands_there_once(line: Line) -> None:
    phone, chat = line.person()
    line.start()
    line.whatsapp.lose_receipts(2)
    ids = line.whatsapp.flood(phone, ["m0", "m1"])
    wait_for(lambda: line.stored(chat) == ["m0", "m1"], "both rows")
    line.whatsapp.until(lambda: len(line.whatsapp.log("lost")) >= 2)
    assert line.whatsapp.waiting() == ids
    line.again()
    assert line.stored(chat) == ["m0", "m1"]
    assert line.lost(chat) == []


# Out.


def test_a_reply_that_may_have_been_sent_is_held_and_told_once(line: Line) -> None:
    whatsapp = line.whatsapp
    _, unwritten = line.person()
    _, unanswered = line.person()
    _, unnoted = line.person()
    line.start()
    before = len(whatsapp.log())
    whatsapp.fail_query("usync", 0)
    line.reply(unwritten, "m0")
    is_asking = lambda: [row for row in whatsapp.log("query", after=before) if row["fault"] == 0]  # noqa: E731
    whatsapp.until(is_asking)
    line.kill()

    whatsapp.hold_acks()
    line.reply(unanswered, "m0")
    line.start()
    whatsapp.wait_outbound(1, unanswered)
    line.kill()
    whatsapp.hold_acks(False)

    whatsapp.hold_acks()
    line.reply(unnoted, "m0")
    line.start()
    [row] = whatsapp.wait_outbound(1, unnoted)
    with line.locked():
        whatsapp.hold_acks(False)
        wait_for(lambda: whatsapp.log("message", after=row["n"] - 1)[0]["acked"], "the ack")
        line.kill()

    line.start()
    for _ in range(2):
        is_held(line, unwritten, [])
        is_held(line, unanswered, ["m0"])
        is_held(line, unnoted, ["m0"])
        line.again()
    asked = line.home.run("outbox", "list", "--state", "unknown", "--json", code=None)
    assert all(chat in asked for chat in (unwritten, unanswered, unnoted))


def test_what_was_refused_or_noted_is_sent_once(line: Line) -> None:
    _, refused = line.person()
    _, noted = line.person()
    line.start()
    line.whatsapp.nack(429)
    line.reply(refused, "m0", "m1")
    retried = "state = 'pending' AND attempts = 1"
    wait_for(
        lambda: line.home.rows(f"SELECT 1 FROM outbound_deliveries WHERE {retried}"), "the refusal"
    )
    line.reply(noted, "m0")
    wait_for(lambda: line.states(noted) == [("sent", 0)], "the other chat doesn't wait")
    line.again()
    line.settled()
    assert line.sent(refused) == ["m0", "m1"]
    assert line.sent(noted) == ["m0"]


# Much, and a file that can't be written.


def is_whole(line: Line, chat: str, wanted: list[str]) -> None:
    """Everything is stored once, and nobody is told that anything is lost."""
    assert Counter(line.stored(chat)) == Counter(wanted)
    assert line.lost(chat) == []


def test_a_burst_is_stored_in_order_in_little_memory_whatever_happens_in_its_middle(
    line: Line,
) -> None:
    phone, chat = line.person()
    line.start()
    said = [f"m{number}" for number in range(BURST)]
    line.whatsapp.flood(phone, said)
    replies = [f"reply {number}" for number in range(REPLIES)]
    line.reply(chat, *replies)
    line.whatsapp.wait_received()
    assert line.stored(chat) == said
    assert line.lost(chat) == []
    line.settled()
    assert line.sent(chat) == replies
    assert line.stage is not None
    assert psutil.Process(line.stage.pid).memory_info().rss < LIMIT

    more = [f"m{number}" for number in range(BURST, 2 * BURST)]
    line.whatsapp.flood(phone, more)
    wait_for(lambda: len(line.stored(chat)) > BURST + 50, "some of them")
    line.whatsapp.drop()
    wait_for(lambda: len(line.stored(chat)) > BURST + 150, "more of them")
    line.kill()
    assert len(line.stored(chat)) < 2 * BURST
    line.start()
    line.whatsapp.wait_received()
    wait_for(lambda: len(line.stored(chat)) == 2 * BURST, "all")
    is_whole(line, chat, [*said, *more])
    # What was being read when the stage was killed comes again, behind some others.
    assert line.stored(chat)[: BURST + 150] == [*said, *more][: BURST + 150]


def test_a_locked_file_holds_up_what_comes_and_loses_nothing(line: Line) -> None:
    phone, chat = line.person()
    line.start(PYNCHY_LOG__LEVEL="warning")
    assert line.stage is not None
    assert line.stage.stderr is not None
    said = [f"m{number}" for number in range(20)]
    with line.locked():
        ids = line.whatsapp.flood(phone, said)
        while b"what came waits" not in (one := line.stage.stderr.readline()):
            assert one, "it ended"
        assert line.whatsapp.waiting() == ids
    line.whatsapp.wait_received()
    assert line.stored(chat) == said
    assert line.lost(chat) == []
