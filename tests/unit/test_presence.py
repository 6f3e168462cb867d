"""What people see of a run: where it is under way, what its reply quotes, how chats are called,
and that a channel which only a person can mend says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.channels.base import Away, Piece, Place, Working
from pynchy_cli.delivery.holder import Holder
from pynchy_cli.errors import AlreadyRunning, LoggedOut, PynchyError
from pynchy_cli.model import Chat, NewMessage
from pynchy_cli.store import chats, groups, messages, naming, runs
from tests.delivering import CHAT, OTHER, Delivering, run
from tests.stand_in_network import NAME, StandIn, make

QUIET = "2026-01-31T08:00:00.000Z"


class Seen(StandIn):
    """A network that notes what it is told of presence, quotes and names."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.capabilities |= {"presence", "quotes", "names"}
        self.told: list[Sequence[Working]] = []
        self.places: list[Place] = []
        self.called: list[Chat] = []
        self.is_away = False
        self.asked = 0
        self.broken: PynchyError | None = None

    async def run(self, host: object) -> None:
        if self.broken is not None:
            raise self.broken
        await super().run(host)  # type: ignore[arg-type]

    def at_work(self, working: Sequence[Working]) -> None:
        self.told.append(working)

    async def post(self, place: Place, piece: Piece, mark: str) -> str:
        self.places.append(place)
        return await super().post(place, piece, mark)

    async def names(self) -> list[Chat]:
        self.asked += 1
        if self.is_away:
            raise Away("the network is away")
        return self.called


def seeing(made: Delivering, tmp_path: Path) -> tuple[Seen, Holder]:
    """The network in place of the plain one, and its stage."""
    network = Seen(make(tmp_path / "seen", limit=30))
    return network, Holder(made.context, network)


def team(made: Delivering, mode: str = "mention") -> None:
    with made.store.atomic() as db:
        for jid in (CHAT, OTHER):
            chats.claim(db, jid, NAME, None, clock.now())
        groups.add(
            db,
            folder="dev",
            name="Dev",
            jid=CHAT,
            is_admin=False,
            trigger_mode="always" if mode == "always" else "mention",
            trigger_pattern=None,
            allowed_users=("*",),
            now=clock.now(),
        )


def hear(made: Delivering, id: str, text: str, verdict: str = "allowed", chat: str = CHAT) -> int:
    said = NewMessage(id, chat, "U1", "Ann", text, QUIET)
    if verdict == "refused":
        said = NewMessage(id, chat, "U9", "Eve", text, QUIET, verdict="refused")
    with made.store.atomic() as db:
        seq = messages.add(db, said, clock.now())
    assert seq is not None
    return seq


def begin(made: Delivering, first: int, last: int) -> int:
    """A run takes up a range, and is under way."""
    now = clock.now()
    with made.store.atomic() as db:
        number = runs.queue_chat(db, "dev", first, last, CHAT, now)
        db.execute(
            "UPDATE runs SET state = 'running', started_at = ?, owner = 1 WHERE id = ?",
            (now, number),
        )
    return number


def test_a_network_is_told_once_where_runs_are_under_way(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        network, holder = seeing(made, tmp_path)
        team(made)
        first = hear(made, "1", "among ourselves")
        hear(made, "2", "buy this", "refused")
        called = hear(made, "3", "@pynchy what is it?")
        last = hear(made, "4", "he never answers")
        hear(made, "5", "elsewhere", chat=OTHER)
        holder.drain()
        assert network.told == []
        number = begin(made, first, last)
        for _ in range(3):
            holder.drain()
        ((now,),) = network.told
        assert now.chat_jid == CHAT
        assert [one.id for one in now.messages] == ["1", "3", "4"]
        assert now.answers.seq == called
        with made.store.atomic() as db:
            db.execute("UPDATE runs SET state = 'done' WHERE id = ?", (number,))
        holder.drain()
        assert list(network.told[-1]) == []
        assert len(network.told) == 2
        await holder.stop()

    run(story, tmp_path)


@pytest.mark.parametrize("mode", ["mention", "always"])
def test_the_first_message_of_an_answer_quotes_what_it_answers(tmp_path: Path, mode: str) -> None:
    async def story(made: Delivering) -> None:
        network, holder = seeing(made, tmp_path)
        team(made, mode)
        first = hear(made, "1", "@pynchy what is it?")
        last = hear(made, "2", "he never answers")
        number = begin(made, first, last)
        long = "a" * 40
        made.say(long, key="run:1", run_id=number, group_folder="dev")
        made.say("told", key="told:1", run_id=number, group_folder="dev", source="host")
        made.say("of nothing")
        while len(network.places) < 4:
            holder.drain()
            await asyncio.sleep(0.002)
        quoted = [one.answers.id if one.answers else None for one in network.places]
        assert quoted == ["1" if mode == "mention" else "2", None, None, None]
        await holder.stop()

    run(story, tmp_path)


def test_names_are_asked_for_daily_and_when_somebody_wants_it(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        network, holder = seeing(made, tmp_path)
        network.called = [Chat(CHAT, "Family"), Chat("standin:new", "Choir")]

        async def until(asked: int, named: str) -> None:
            while True:
                holder.drain()
                found = chats.get(made.store.db, CHAT)
                if network.asked == asked and found is not None and found.name == named:
                    return
                await asyncio.sleep(0.002)

        await until(1, "Family")
        for _ in range(5):
            holder.drain()
            await asyncio.sleep(0)
        assert network.asked == 1
        network.called = [Chat(CHAT, "The family")]
        with made.store.atomic() as db:
            assert naming.ask(db, clock.now()) == [NAME]
        await until(2, "The family")
        now = clock.now()
        assert not naming.is_due(made.store.db, NAME, now)
        assert not naming.is_due(made.store.db, NAME, clock.after(now, 23 * 3600))
        assert naming.is_due(made.store.db, NAME, clock.after(now, 24 * 3600 + 1))
        assert naming.is_due(made.store.db, NAME, clock.after(now, -86_400))
        await holder.stop()

    run(story, tmp_path)


def test_who_cannot_be_asked_is_asked_again_later(tmp_path: Path) -> None:
    async def story(made: Delivering) -> None:
        network, holder = seeing(made, tmp_path)
        network.is_away = True
        while network.asked == 0:
            holder.drain()
            await asyncio.sleep(0.002)
        for _ in range(5):
            holder.drain()
            await asyncio.sleep(0)
        assert network.asked == 1
        wait = holder.naming.deadline()
        assert wait is not None
        assert wait > 60
        assert naming.is_due(made.store.db, NAME, clock.now())
        await holder.stop()

    run(story, tmp_path)


async def drained(holder: Holder) -> None:
    """Drain until that raises."""
    while True:
        holder.drain()
        await asyncio.sleep(0.002)


def notices(made: Delivering) -> list[tuple[str, str]]:
    rows = made.store.db.execute("SELECT chat_jid, content FROM outbound_ledger ORDER BY id")
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("error", [LoggedOut("It was logged out. Pair it."), AlreadyRunning("no")])
def test_the_admin_group_is_told_of_what_a_person_must_mend(
    tmp_path: Path, error: PynchyError
) -> None:
    async def story(made: Delivering) -> None:
        network, _ = seeing(made, tmp_path)
        for _ in range(2):
            holder = Holder(made.context, network)
            network.broken = error
            with pytest.raises(type(error)):
                await drained(holder)
        told = [("local:main", "⚠️ The channel standin has stopped: It was logged out. Pair it.")]
        assert notices(made) == (told if isinstance(error, LoggedOut) else [])

    run(story, tmp_path)
