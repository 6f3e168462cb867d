"""A day in WhatsApp, in seconds: people talk in groups and with the account alone while the network
fails in every way it knows and every stage is killed at random. What was said is answered once, in
its order, but where nobody can know whether the answer got there: that answer is held, never sent
again, and told. What the stage had read when it was killed comes once more, later than what was
said after it, or its chat is told that it is lost. What was drawn is printed: PYNCHY_CHAOS_SEED
draws the same again."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.test_run_agent import wait_for
from tests.whatsapp_home import WhatsAppHome, linked, words

SEED = "PYNCHY_CHAOS_SEED"
BOB, CAROL = "4915550100", "4915550101"
STAGES = ("listen@whatsapp", "route", "run-agent")
UNDECIDED = (
    "SELECT 1 FROM outbound_deliveries WHERE channel = 'whatsapp'"
    " AND state IN ('pending', 'sending', 'unknown') AND NOT held"
)
HELD = (
    "SELECT d.ledger_id, d.chat_jid, l.content FROM outbound_deliveries d"
    " JOIN outbound_ledger l ON l.id = d.ledger_id WHERE d.held"
)
DELIVERIES = (
    "SELECT state, held, max(attempts), max(error), max(next_attempt_at), count(*)"
    " FROM outbound_deliveries WHERE channel = 'whatsapp' GROUP BY state, held"
)
QUERIES = ("usync", "w:g2", "prekeys")


class Day:
    """What people say and what goes wrong, drawn by chance."""

    def __init__(self, home: WhatsAppHome, chance: random.Random) -> None:
        self.whatsapp = home.whatsapp
        self.home = home
        self.chance = chance
        self.story: list[str] = []
        self.faults: Counter[str] = Counter()
        self.asked: dict[str, tuple[str, str]] = {}
        self.patience = False
        """Whether there is time to wait for an answer that got lost."""
        bob, carol = self.whatsapp.person(BOB, "Bob"), self.whatsapp.person(CAROL, "Carol")
        self.places = [
            (self.whatsapp.group("Family", BOB, CAROL), (BOB, CAROL)),
            (self.whatsapp.group("Choir", BOB, CAROL, by_lid=True), (BOB, CAROL)),
            (bob, (BOB,)),
            (carol, (CAROL,)),
        ]
        for number, (chat, _) in enumerate(self.places):
            home.group(f"team-{number}", chat)
        self.stages: dict[str, subprocess.Popen[bytes]] = {}
        for name in STAGES:
            self.start(name)
        self.whatsapp.wait_online()

    def start(self, name: str) -> None:
        home = self.home
        self.stages[name] = home.listen() if name == STAGES[0] else home.start(name)

    def say(self) -> None:
        """Somebody says a word that nobody else says."""
        word = f"m{len(self.asked)}"
        chat, people = self.chance.choice(self.places)
        who = self.chance.choice(people)
        where = chat if chat.endswith("@g.us") else ""
        address = self.chance.choice(("phone", "lid"))
        self.asked[word] = chat, self.whatsapp.say(who, word, where, address=address)

    def go_wrong(self) -> None:
        """Something that goes wrong."""
        wrongs: list[Callable[[], str]] = [
            self.cut,
            self.stall,
            self.refuse,
            self.unavailable,
            self.stream_error,
            self.late_acks,
            self.lost_acks,
            self.cut_at_a_message,
            self.lost_receipts,
            self.nack,
            self.query,
            self.again,
            *(lambda name=name: self.kill(name) for name in STAGES),
            lambda: self.kill(STAGES[0]),
        ]
        what = self.chance.choice(wrongs)()
        self.faults[what.partition(":")[0]] += 1
        self.story.append(f"after m{len(self.asked) - 1}: {what}")

    def cut(self) -> str:
        self.whatsapp.drop()
        return "connection dropped"

    def stall(self) -> str:
        self.whatsapp.stall()
        self.go_on()
        self.whatsapp.stall(False)
        self.whatsapp.drop()  # as a line that was dead is noticed one day
        return "stalled"

    def refuse(self) -> str:
        self.whatsapp.refuse()
        self.whatsapp.drop()
        self.go_on()
        self.whatsapp.refuse(False)
        return "connections refused"

    def unavailable(self) -> str:
        self.whatsapp.fail_login(503)
        self.whatsapp.drop()
        return "503 at login"

    def stream_error(self) -> str:
        code = self.chance.choice(("503", "515"))
        self.whatsapp.stream_error(code)
        return f"stream error: {code}"

    def late_acks(self) -> str:
        self.whatsapp.hold_acks()
        self.go_on()
        self.whatsapp.hold_acks(False)
        return "acks late"

    def lost_acks(self) -> str:
        accepted = self.chance.random() < 0.7
        self.whatsapp.lose_acks(self.chance.randint(1, 2), accepted=accepted)
        if not self.patience or self.chance.random() < 0.7:
            self.go_on()
            self.whatsapp.drop()
        return f"ack lost: {'after' if accepted else 'before'} it was accepted"

    def cut_at_a_message(self) -> str:
        accepted = self.chance.random() < 0.7
        self.whatsapp.drop_at(self.chance.randint(1, 2), accepted=accepted)
        return f"dropped at a message: {'after' if accepted else 'before'} it was accepted"

    def lost_receipts(self) -> str:
        self.whatsapp.lose_receipts(self.chance.randint(1, 3))
        return "receipts lost"

    def nack(self) -> str:
        code = self.chance.choice((420, 421, 429, 479, 500))
        self.whatsapp.nack(code, self.chance.randint(1, 3))
        return f"nack: {code}"

    def query(self) -> str:
        name = self.chance.choice(QUERIES)
        self.whatsapp.fail_query(name, number=self.chance.randint(1, 2))
        return f"query failed: {name}"

    def again(self) -> str:
        """WhatsApp brings something once more."""
        if self.asked:
            _, id = self.chance.choice(list(self.asked.values()))
            with contextlib.suppress(RuntimeError):  # nobody is there
                self.whatsapp.again(id)
        return "again"

    def kill(self, name: str) -> str:
        self.stages[name].kill()
        self.stages[name].wait(30)
        self.start(name)
        return f"{name} killed"

    def go_on(self) -> None:
        """Life goes on for a while."""
        for _ in range(self.chance.randint(1, 4)):
            self.say()
            time.sleep(self.chance.random() * 0.1)

    # What came of it.

    def end(self) -> None:
        """All is well again, and what was said is answered."""
        self.whatsapp.mend()
        self.whatsapp.hold_acks(False)
        self.whatsapp.drop()
        self.whatsapp.wait_online(60)
        self.whatsapp.wait_received(60)
        wait_for(lambda: len(self.stored()) + len(self.lost()) >= len(self.asked), "all words", 60)
        wait_for(lambda: self.home.is_quiet() and not self.home.rows(UNDECIDED), "answers", 60)

    def stored(self, chat: str = "") -> list[str]:
        """What was said, in the order of the rows."""
        where = f"AND chat_jid = 'whatsapp:{chat}'" if chat else ""
        return self.home.rows(
            f"SELECT content FROM messages WHERE message_type = 'user' {where} ORDER BY seq"
        )

    def late(self) -> list[str]:
        """The words that stand behind one that was said later in the same chat."""
        found = []
        for chat, _ in self.places:
            newest = -1
            for number in (int(word[1:]) for word in self.stored(chat)):
                found += [f"m{number}"] if number < newest else []
                newest = max(newest, number)
        return found

    def lost(self) -> set[str]:
        """The words of which their chats were told that they can't be had any more."""
        keys = set(self.home.rows("SELECT key FROM outbound_ledger WHERE key LIKE 'lost:%'"))
        asked = self.asked.items()
        return {word for word, (chat, id) in asked if f"lost:whatsapp:{chat}:{id}" in keys}

    def held(self) -> set[str]:
        """The words in answers of which nobody knows whether they got there."""
        return {one for _, _, text in self.home.rows(HELD) for one in re.findall(r"\bm\d+\b", text)}

    def problems(self) -> Iterator[str]:
        yield from self.wrong_in_the_file()
        held, lost = self.held(), self.lost()
        for chat, _ in self.places:
            wanted = [word for word, (where, _) in self.asked.items() if where == chat]
            said = words(self.whatsapp, chat)
            for word in wanted:
                fewest = 0 if word in held or word in lost else 1
                if not fewest <= said[word] <= (word not in lost):
                    yield f"{word} is answered {said[word]} times in {chat}"
            if [word for word in self.stored(chat) if word in said] != list(said):
                yield f"answered out of order in {chat}: {list(said)}"

    def wrong_in_the_file(self) -> Iterator[str]:
        stored = Counter(self.stored())
        yield from (f"{word} is stored {n} times" for word, n in stored.items() if n > 1)
        yield from (f"{word} is stored and lost" for word in self.lost() if word in stored)
        if (late := self.late()) and not self.faults[f"{STAGES[0]} killed"]:
            yield f"stored out of order: {late}"
        held = self.home.rows(HELD)
        told = self.home.rows(
            "SELECT content FROM outbound_ledger WHERE key LIKE 'held:%'"
            " AND chat_jid = 'local:main'"
        )
        for _, chat, _ in held:
            if not any(chat in one for one in told):
                yield f"nobody is told of what is held in {chat}: {told}"
        dead = self.home.rows("SELECT error FROM outbound_deliveries WHERE state = 'dead'")
        yield from (f"given up: {error}" for error in dead)


def live(home: WhatsAppHome, messages: int, wrongs: int, *, patience: bool = False) -> None:
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(1 << 32))
    print(f"{SEED}={seed}")
    chance = random.Random(seed)
    day = Day(home, chance)
    day.patience = patience
    steps = [day.say] * messages + [day.go_wrong] * wrongs
    chance.shuffle(steps)
    try:
        for step in steps:
            step()
            time.sleep(chance.random() * 0.05)
        day.end()
        assert [stage.poll() for stage in day.stages.values()] == [None] * len(STAGES)
        assert not (found := list(day.problems())), found
    finally:
        print(*day.story, sep="\n")
        for name, stage in day.stages.items():
            if stage.poll() is not None:
                assert stage.stderr is not None
                print(f"{name} has ended: {stage.returncode}", stage.stderr.read().decode())
        missing = day.asked.keys() - set(day.stored()) - day.lost()
        print(f"{len(day.asked)} messages, neither stored nor told of: {sorted(missing)}")
        print("runs:", home.rows("SELECT state, count(*) FROM runs GROUP BY state"))
        print("deliveries:", home.rows(DELIVERIES))
        print(f"faults: {dict(day.faults)}")
        print(f"late: {len(day.late())}, lost and told: {len(day.lost())}")
        print(f"held and told: {len(home.rows(HELD))}")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[WhatsAppHome]:
    with linked(tmp_path) as made:
        yield made


@pytest.mark.timeout(300)
def test_a_day_in_whatsapp(home: WhatsAppHome) -> None:
    live(home, messages=90, wrongs=14)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_a_long_day_in_whatsapp(home: WhatsAppHome) -> None:
    live(home, messages=1500, wrongs=150, patience=True)
