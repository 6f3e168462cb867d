"""Kill -9 of the stage that brings replies to their chats, at every system call of it: also between
the moment at which the network accepts a post and the note of that. Where the network can be asked,
each reply is there once, in order, and as it is in the end; where it can't, there are no more
copies than is configured."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from pynchy_cli import clock, delivery, locks
from pynchy_cli.delivery.showing import AGAIN
from pynchy_cli.store import chats, outbound
from pynchy_cli.store.connection import Store
from tests.planted import plant_plugin
from tests.schedule_sweep import ScheduleSweep
from tests.stand_in_network import FULL, NAME, PLACE, Remote, make

ROOT = Path(__file__).resolve().parents[2]
ONE, TWO = f"{NAME}:one", f"{NAME}:two"
LONG = "".join(f"{number:04d} " for number in range(50))
"""A text that takes three of the network's messages."""
CHUNKS = [LONG[:100], LONG[100:200], LONG[200:]]
FINAL = {ONE: [*CHUNKS, "second"], TWO: [*CHUNKS, "after the answer"]}
"""What the chats show in the end."""
BLIND = tuple(sorted(FULL - {"history", "ordered"}))
MODES = {
    "history": {},
    "resend-marked": {"capabilities": BLIND, "on_unknown": "resend-marked"},
    "ask": {"capabilities": BLIND, "on_unknown": "ask"},
    "drop": {"capabilities": BLIND, "on_unknown": "drop"},
}
TELLING = ("write", "fsync", "fdatasync")
"""Calls before and after which the network or the database is another."""
ACCEPTED = ("fsync",)
"""The call at which a post is accepted, and nothing of that is noted yet."""


class Sweep(ScheduleSweep):
    """A reply in several messages and a short one wait for one chat; in the other one an answer has
    to be finished that stands there as far as it was written, and one to be taken out."""

    stage = f"listen@{NAME}"
    options: Mapping[str, str] = MappingProxyType({"channel": NAME})

    def __init__(
        self, home: Path, environ: Mapping[str, str], root: Path, mode: str, code: Path
    ) -> None:
        self.mode = mode
        self.network = home / "data/network"
        place = root.with_name("plugin")
        plant_plugin(place, NAME, "from tests.stand_in_network import plugin\n")
        found = os.pathsep.join(map(str, (code, place, ROOT)))
        super().__init__(home, {**environ, PLACE: str(self.network), "PYTHONPATH": found}, root)

    @property
    def remote(self) -> Remote:
        return Remote(self.network)

    def prepare(self) -> None:
        make(self.network, until_done=str(self.data / "messages.db"), **MODES[self.mode])
        now = clock.now()
        with Store.open(self.data / "messages.db") as store, store.atomic() as db:
            for chat in (ONE, TWO):
                chats.seen(db, chat, None, now)
            for key, half in (("open", "half of it"), ("nothing", LONG[:150])):
                outbound.grow(
                    db, key=key, chat_jid=TWO, content=half, now=now, group_folder="", run_id=1
                )

    def begun(self) -> None:
        """What is open stands in its chat; then all is said that is to be brought."""
        self.once()
        now = clock.now()
        with Store.open(self.data / "messages.db") as store, store.atomic() as db:
            outbound.withdraw(db, "nothing")
            for chat, key, text in (
                (ONE, "long", LONG),
                (ONE, "short", "second"),
                (TWO, "open", LONG),
                (TWO, "after", "after the answer"),
            ):
                outbound.say(
                    db, key=key, chat_jid=chat, content=text, source="agent", now=now, thread=""
                )
        shutil.rmtree(self.snapshot)
        shutil.copytree(self.data, self.snapshot)

    def problems(self, was_killed: bool) -> Iterator[str]:
        states = self._rows("SELECT chat_jid, state, held FROM outbound_deliveries ORDER BY 1, 2")
        odd = [one for one in states if one[1:] != ("sent", 0)]
        known = {"ask": ("unknown", 1), "drop": ("dead", 0)}.get(self.mode)
        # In each chat one post was under way, at most.
        is_one_each = len(odd) == len({chat for chat, *_ in odd})
        if odd and not (was_killed and is_one_each and {one[1:] for one in odd} == {known}):
            yield f"deliveries are {states}"
        if self.mode == "history" or not was_killed:
            yield from self._exactly()
        else:
            yield from self._copies()
        if not odd:
            yield from self._notes()
        for row in (*self._rows("SELECT * FROM failures"), *self._rows("PRAGMA integrity_check")):
            if row != ("ok",):
                yield f"{row}"
        if locks.is_held(self.data / f"run/{self.stage}.lock"):
            yield "somebody holds the lock"

    def _exactly(self) -> Iterator[str]:
        for chat, wanted in FINAL.items():
            if (shown := self.remote.texts(chat)) != wanted:
                yield f"{chat} shows {shown}"
        posts = [one.mark for one in self.remote.posts()]
        if len(posts) != len(set(posts)):
            yield f"posted twice: {posts}"

    def _copies(self) -> Iterator[str]:
        """What may be there twice says so, and is one post of each chat; what is missing is known
        to be."""
        for chat, wanted in FINAL.items():
            marks = [one.mark for one in self.remote.shown(chat)]
            if marks != sorted(marks, key=_order):
                yield f"in {chat} the order is {marks}"
            shown = self.remote.texts(chat)
            plain = [text for text in shown if not text.startswith(AGAIN)]
            again = [text.removeprefix(f"{AGAIN}\n") for text in shown if text.startswith(AGAIN)]
            if len(plain) != len(set(plain)) or len(again) > (self.mode == "resend-marked"):
                yield f"{chat} shows twice, unmarked: {shown}"
            if self.mode == "resend-marked" and set(wanted) != {*plain, *again}:
                yield f"{chat} shows {shown}"
            if not {*plain, *again} <= set(wanted):
                yield f"{chat} shows what isn't final: {shown}"

    def _notes(self) -> Iterator[str]:
        noted = self._rows("SELECT chat_jid, remote_id FROM outbound_parts WHERE state = 'sent'")
        there = [(one.chat, one.id) for chat in FINAL for one in self.remote.shown(chat)]
        if self.mode != "resend-marked" and sorted(noted) != sorted(there):
            yield f"noted is {noted}, and there is {there}"

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        db = sqlite3.connect(self.data / "messages.db")
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()


def _order(mark: str) -> tuple[int, int]:
    reply, part = mark.rpartition(":")[2].split(".")
    return int(reply), int(part)


@contextmanager
def sweep(
    home: Path, environment: Mapping[str, str], place: Path, mode: str, code: Path = ROOT
) -> Iterator[Sweep]:
    made = Sweep(home, environment, place / "sweep", mode, code)
    try:
        made.begun()
        yield made
    finally:
        made.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
def test_no_kill_loses_or_doubles_a_reply(
    home: Path, environment: dict[str, str], tmp_path: Path, mode: str
) -> None:
    with sweep(home, environment, tmp_path, mode) as made:
        calls, count = (TELLING, 5) if mode == "history" else (ACCEPTED, 2)
        points = [point for point in made.points() if point.call in calls]
        assert len(points) >= 8
        made.kill(points[len(points) // count - 1 :: len(points) // count], 1)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
def test_so_it_is_at_every_point(
    home: Path, environment: dict[str, str], tmp_path: Path, mode: str
) -> None:
    with sweep(home, environment, tmp_path, mode) as made:
        points = made.points()
        made.kill(points, 2 + len(points) // 10)
        print(json.dumps({"mode": mode, "killed": made.killed, "of": len(points)}))


PLANTS = {
    "begun after it was posted": (
        "        await self._begun(delivery, number, digest, again=again)\n"
        "        mark = self._mark(delivery, number)\n",
        "        mark = self._mark(delivery, number)\n"
        "        remote_id = await self.network.post(_place(delivery), piece, mark)\n"
        "        await self._begun(delivery, number, digest, again=again)\n"
        "        return await self._placed(delivery, number, remote_id, digest)\n",
    ),
    "not looked for": (
        "        await self._settle(delivery)\n",
        "        await self.write(lambda db: outbox.put_back(db, delivery))\n",
    ),
}
"""What showing.py says, and what it is to say."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_found(
    home: Path, environment: dict[str, str], tmp_path: Path, fault: str
) -> None:
    copy = tmp_path / "planted"
    shutil.copytree(Path(delivery.__file__).parents[1], copy / "pynchy_cli")
    module = copy / "pynchy_cli/delivery/showing.py"
    sound, planted = PLANTS[fault]
    source = module.read_text()
    assert source.count(sound) == 1
    module.write_text(source.replace(sound, planted))
    with sweep(home, environment, tmp_path, "history", copy) as made:
        posts = [point for point in made.points() if point.call == "fsync"]
        assert made.found == []
        for point in posts:
            # Accepted, and not noted yet.
            made.kill_at(point)
            if made.found:
                return
    pytest.fail(f"it was not found: {fault}")
