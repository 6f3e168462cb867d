"""Runs: whatever is queued, claimed, given back and taken over, each question is in one run,
one run of a lane is at work, and what waits is claimed when its time has come."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pynchy_cli import clock
from pynchy_cli.errors import UsageWrong
from pynchy_cli.model import CHAT_LANE, NewMessage, Run, Verdict
from pynchy_cli.store import (
    children,
    groups,
    messages,
    requests,
    runs,
    sessions,
    steering,
    totals,
)
from pynchy_cli.store.connection import Connection, Store
from pynchy_cli.store.migrate import migrate
from tests.fired import fire

NOW = "2026-01-31T08:00:00.000Z"
LATER = "2026-01-31T08:00:05.000Z"
YESTERDAY = "2026-01-30T08:00:00.000Z"
CHAT = "local:team"
ME, OTHER = 1, 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        add_group(opened, "team")
        yield opened


def add_group(store: Store, folder: str) -> None:
    with store.atomic() as db:
        groups.add(
            db,
            folder=folder,
            name=folder,
            jid=f"local:{folder}",
            is_admin=False,
            trigger_mode="mention",
            trigger_pattern=None,
            allowed_users=("owner",),
            now=NOW,
        )


def queued(store: Store, first: int = 1, last: int = 1, folder: str = "team") -> int:
    with store.atomic() as db:
        return runs.queue_chat(db, folder, first, last, f"local:{folder}", NOW)


def claimed(store: Store, owner: int = ME, now: str = NOW, limit: int = 5) -> Run | None:
    with store.atomic() as db:
        return runs.claim(db, owner, limit, now)


def sure(run: Run | None) -> Run:
    assert run is not None
    return run


def back(store: Store, run: Run, later: str | None = None, *, free: bool = False) -> int:
    with store.atomic() as db:
        return runs.give_back(db, run, now=NOW, not_before=later, error="why", free=free)


def test_a_queued_run_takes_all_that_comes_before_it_is_claimed(store: Store) -> None:
    first = queued(store, 1, 2)
    assert queued(store, 3, 5) == first
    run = sure(claimed(store))
    assert (run.id, run.first_seq, run.last_seq, run.attempts) == (first, 1, 5, 1)
    assert queued(store, 6, 6) != first
    assert claimed(store) is None, "the lane is at work"


def test_a_run_given_back_is_taken_over_by_the_one_that_waits(store: Store) -> None:
    queued(store, 1, 2)
    run = sure(claimed(store))
    waiting = queued(store, 4, 5)
    assert back(store, run, LATER) == waiting
    assert runs.get(store.db, run.id).state == "superseded"
    merged = runs.get(store.db, waiting)
    assert (merged.first_seq, merged.last_seq, merged.attempts) == (1, 5, 1)
    assert claimed(store, now=NOW) is None
    assert sure(claimed(store, now=LATER)).attempts == 2


def test_a_free_return_costs_no_attempt_three_times(store: Store) -> None:
    queued(store)
    seen = []
    for _ in range(5):
        run = sure(claimed(store))
        seen.append((run.attempts, run.takeovers))
        back(store, run, free=True)
    assert seen == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 4)]


def test_no_attempt_has_the_name_of_another(store: Store) -> None:
    queued(store)
    names = []
    for free in (False, True, True, False, True, True, False):
        run = sure(claimed(store))
        names.append(run.turn)
        back(store, run, free=free)
    assert len(set(names)) == len(names)


def test_a_warm_lane_is_its_owner_s(store: Store) -> None:
    with store.atomic() as db:
        sessions.begin(
            db, "team", CHAT_LANE, folder="s", owner=OTHER, sandbox="x", runtime="r", now=NOW
        )
    queued(store)
    assert claimed(store, ME) is None
    assert claimed(store, OTHER) is not None


def test_the_limit_counts_all_workers(store: Store) -> None:
    add_group(store, "other")
    queued(store)
    queued(store, folder="other")
    assert claimed(store, ME, limit=1) is not None
    assert claimed(store, OTHER, limit=1) is None


def test_what_is_put_off_is_due_later_and_not_before(store: Store) -> None:
    queued(store)
    back(store, sure(claimed(store)), LATER)
    assert runs.next_due(store.db, NOW) == LATER
    assert not runs.is_any_due(store.db, NOW)
    assert runs.is_any_due(store.db, LATER)


def test_what_is_due_but_can_t_be_claimed_is_no_deadline(store: Store) -> None:
    """Or a worker would spin until somebody else's run has ended."""
    add_group(store, "other")
    queued(store)
    back(store, sure(claimed(store)), LATER)
    queued(store, folder="other")
    assert claimed(store, OTHER, limit=1) is not None
    assert claimed(store, ME, LATER, limit=1) is None
    assert runs.next_due(store.db, LATER) is None


def test_a_clock_that_was_set_back_puts_nothing_off(store: Store) -> None:
    queued(store)
    back(store, sure(claimed(store)), LATER)
    assert runs.is_any_due(store.db, YESTERDAY)
    assert runs.next_due(store.db, YESTERDAY) is None
    assert claimed(store, now=YESTERDAY) is not None


def test_who_lost_a_run_changes_nothing_of_it(store: Store) -> None:
    queued(store)
    run = sure(claimed(store, ME))
    with store.atomic() as db:
        (taken,) = runs.adopt(db, ME, OTHER)
        assert runs.adopt(db, ME, OTHER) == [], "only one takes it over"
    with store.atomic() as db:
        assert runs.mine(db, run) is None
        assert runs.mine(db, taken) == taken
        runs.finish(db, run, "done", NOW)
    assert runs.get(store.db, run.id).state == "running"
    assert runs.owners(store.db) == {OTHER}


def test_only_a_failed_run_is_retried_and_once(store: Store) -> None:
    number = queued(store, 2, 3)
    with pytest.raises(UsageWrong), store.atomic() as db:
        runs.retry(db, number, NOW)
    run = sure(claimed(store))
    with store.atomic() as db:
        runs.finish(db, run, "failed", NOW, "why")
    with store.atomic() as db:
        again = runs.get(db, runs.retry(db, number, NOW))
    assert (again.first_seq, again.last_seq, again.attempts) == (2, 3, 0)
    with pytest.raises(UsageWrong), store.atomic() as db:
        runs.retry(db, number, NOW)


def failed(store: Store, first: int, last: int) -> int:
    number = queued(store, first, last)
    run = sure(claimed(store))
    with store.atomic() as db:
        runs.finish(db, run, "failed", NOW, "why")
    return number


def retried(store: Store, number: int) -> Run:
    with store.atomic() as db:
        return runs.get(db, runs.retry(db, number, NOW))


def test_a_retried_run_is_joined_with_nothing_said_later(store: Store) -> None:
    """Or what lies between the two would be answered twice."""
    number = failed(store, 1, 1)
    failed(store, 2, 3)
    before = queued(store, 4, 4)
    again = retried(store, number)
    assert queued(store, 5, 5) == before
    waiting = runs.get(store.db, before)
    assert (again.first_seq, again.last_seq, again.apart) == (1, 1, True)
    assert (waiting.first_seq, waiting.last_seq, waiting.apart) == (4, 5, False)


def test_a_retried_run_takes_over_nothing_and_goes_back_alone(store: Store) -> None:
    number = failed(store, 1, 1)
    failed(store, 2, 2)
    retried(store, number)
    run = sure(claimed(store))
    waiting = queued(store, 3, 3)
    assert not steering.is_more(store.db, run)
    with store.atomic() as db:
        assert steering.absorb(db, run, NOW) is None
    assert back(store, run) == run.id
    after = [runs.get(store.db, one) for one in (run.id, waiting)]
    assert [(one.state, one.first_seq, one.last_seq) for one in after] == [
        ("queued", 1, 1),
        ("queued", 3, 3),
    ]


def test_what_a_failed_run_has_answered_is_not_asked_again(store: Store) -> None:
    number = queued(store, 1, 3)
    run = sure(claimed(store))
    with store.atomic() as db:
        runs.finish(db, steering.replied(db, run, 2), "failed", NOW, "why")
    again = retried(store, number)
    assert (again.first_seq, again.last_seq) == (3, 3)


class Lane(RuleBasedStateMachine):
    """One group's chat and two workers that may die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "messages.db"
        migrate(path)
        self.store = Store.open(path)
        add_group(self.store, "team")
        self.numbers = itertools.count()
        self.owners = itertools.count(3)
        self.now = NOW
        self.asked: list[int] = []
        self.at_work: Run | None = None

    def teardown(self) -> None:
        while (run := self.at_work or self._claim(ME, "2999-01-01T00:00:00.000Z")) is not None:
            self.at_work = run
            self._end("done")
        done = self._ranges("('done', 'failed')")
        for seq in self.asked:
            assert sum(first <= seq <= last for first, last in done) == 1
        if self.asked:
            assert groups.get(self.store.db, "team").answered_seq >= self.asked[-1]
        self.store.close()
        self.folder.cleanup()

    @rule(triggers=st.booleans(), refused=st.booleans())
    def say(self, triggers: bool, refused: bool) -> None:
        verdict: Verdict = "refused" if refused else "allowed"
        message = NewMessage(
            str(next(self.numbers)), CHAT, "owner", "Ann", "hi", self.now, verdict=verdict
        )
        with self.store.atomic() as db:
            seq = messages.add(db, message, self.now)
            assert seq is not None
            if triggers and not refused:
                first = messages.first_unread(db, "team", seq)
                runs.queue_chat(db, "team", first, seq, CHAT, self.now)
                self.asked.append(seq)
            groups.route_through(db, "team", seq)

    @rule()
    def forget(self) -> None:
        with self.store.atomic() as db:
            seq = messages.highest(db)
            sessions.forget(db, "team", CHAT_LANE, self.now)
            messages.clear(db, "team", seq)
            groups.answer_through(db, "team", seq)

    @rule(seconds=st.sampled_from([0, 1, 10, -3600]))
    def wait(self, seconds: int) -> None:
        self.now = clock.after(self.now, seconds)

    @rule(owner=st.sampled_from([ME, OTHER]))
    def claim(self, owner: int) -> None:
        run = self._claim(owner, self.now)
        assert run is None or self.at_work is None
        self.at_work = run or self.at_work

    @precondition(lambda self: self.at_work)
    @rule(state=st.sampled_from(["done", "failed"]))
    def finish(self, state: str) -> None:
        self._end(state)

    @precondition(lambda self: self.at_work)
    @rule(seconds=st.sampled_from([None, 5]), free=st.booleans())
    def give_back(self, seconds: int | None, free: bool) -> None:
        assert self.at_work is not None
        later = None if seconds is None else clock.after(self.now, seconds)
        with self.store.atomic() as db:
            waiting = runs.give_back(
                db, self.at_work, now=self.now, not_before=later, error="why", free=free
            )
            took = runs.get(db, waiting)
            assert took.first_seq <= self.at_work.first_seq
            assert took.last_seq >= self.at_work.last_seq
            assert took.attempts >= self.at_work.attempts - free
        self.at_work = None

    @precondition(lambda self: self.at_work)
    @rule()
    def die(self) -> None:
        assert self.at_work is not None
        assert self.at_work.owner is not None
        heir = next(self.owners)
        with self.store.atomic() as db:
            (self.at_work,) = runs.adopt(db, self.at_work.owner, heir)

    @invariant()
    def each_question_is_in_one_run(self) -> None:
        ranges = self._ranges("('queued', 'running', 'done', 'failed')")
        for seq in self.asked:
            assert sum(first <= seq <= last for first, last in ranges) == 1
        for (_, end), (start, _) in itertools.pairwise(sorted(ranges)):
            assert end < start, "ranges overlap"

    @invariant()
    def one_is_at_work_and_one_waits(self) -> None:
        assert len(self._ranges("('running', '')")) == (self.at_work is not None)
        assert len(self._ranges("('queued', '')")) <= 1

    @invariant()
    def what_is_asked_is_read(self) -> None:
        """The prompt of the run at work holds all of its questions."""
        if self.at_work is None:
            return
        group = groups.get(self.store.db, "team")
        run = self.at_work
        since = min(run.first_seq - 1, group.answered_seq)
        heard = {m.seq for m in messages.for_agent(self.store.db, "team", since, run.last_seq)}
        assert heard >= {seq for seq in self.asked if run.first_seq <= seq <= run.last_seq}
        assert not heard & {seq for seq in self.asked if not run.first_seq <= seq <= run.last_seq}

    def _claim(self, owner: int, now: str) -> Run | None:
        with self.store.atomic() as db:
            return runs.claim(db, owner, 5, now)

    def _end(self, state: str) -> None:
        run = sure(self.at_work)
        with self.store.atomic() as db:
            runs.finish(db, run, state, self.now)
            groups.answer_through(db, "team", run.last_seq)
        self.at_work = None

    def _ranges(self, states: str) -> list[tuple[int, int]]:
        db: Connection = self.store.db
        query = f"SELECT first_seq, last_seq FROM runs WHERE state IN {states}"
        return [(row[0], row[1]) for row in db.execute(query)]


TestLane = Lane.TestCase
TestLane.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, derandomize=True
)


def waits(store: Store, run: Run, session: str) -> requests.Request:
    """The run's agent has asked something in a session, and waits for a person."""
    with store.atomic() as db:
        return requests.add(
            db,
            group_folder=run.group_folder,
            session=session,
            request_id=session,
            lane=run.lane,
            role="group",
            type="ask_user",
            payload="{}",
            state="waiting",
            now=NOW,
            run_id=run.id,
        )


def test_a_run_that_waits_for_a_person_keeps_nobody_else_from_theirs(store: Store) -> None:
    add_group(store, "desk")
    queued(store)
    run = sure(claimed(store, limit=1))
    queued(store, folder="desk")
    waits(store, run, "of an earlier sandbox")
    assert claimed(store, limit=1) is None
    with store.atomic() as db:
        sessions.begin(
            db, "team", CHAT_LANE, folder="s1-1", owner=ME, sandbox="x", runtime="r", now=NOW
        )
    asked = waits(store, run, "s1-1")
    assert runs.yielding(store.db, ME) == 1
    assert sure(claimed(store, limit=1)).group_folder == "desk"
    with store.atomic() as db:
        requests.answer(db, asked.id, "done", "{}", NOW)
    assert runs.yielding(store.db, ME) == 0


def served(store: Store, *, limit: int = 1) -> list[tuple[str, str]]:
    """The groups and kinds of all that is queued, in the order in which it is claimed, one at a
    time."""
    found = []
    while (run := claimed(store, limit=limit)) is not None:
        found.append((run.group_folder, run.kind))
        with store.atomic() as db:
            runs.finish(db, run, "done", NOW)
    return found


def test_what_people_say_goes_before_what_their_group_s_tasks_want(store: Store) -> None:
    for mode in ("isolated", "group"):
        fire(store, id=f"task-{mode}", context_mode=mode)
    queued(store)
    assert [kind for _, kind in served(store)] == ["chat", "task", "task"]


def test_a_storm_of_one_group_s_tasks_keeps_no_other_group_waiting(store: Store) -> None:
    add_group(store, "desk")
    for number in range(30):
        fire(store, id=f"task-{number}")
    fire(store, id="task-desk", group_folder="desk")
    assert sure(claimed(store, limit=1)).group_folder == "team"
    queued(store, folder="desk")
    back(store, sure(runs.mine(store.db, runs.get(store.db, 1))))
    assert served(store)[:4] == [
        ("desk", "chat"),
        ("team", "task"),
        ("desk", "task"),
        ("team", "task"),
    ]


def test_tasks_leave_people_one_place(store: Store) -> None:
    add_group(store, "desk")
    for number in range(5):
        fire(store, id=f"task-{number}")
    assert [sure(claimed(store, limit=3)).kind for _ in range(2)] == ["task", "task"]
    assert claimed(store, limit=3) is None
    queued(store, folder="desk")
    assert sure(claimed(store, limit=3)).kind == "chat"
    assert claimed(store, limit=3) is None


def test_where_there_is_one_place_tasks_have_it_too(store: Store) -> None:
    fire(store)
    assert sure(claimed(store, limit=1)).kind == "task"


def test_what_one_group_says_goes_before_no_other_group_s_tasks(store: Store) -> None:
    add_group(store, "desk")
    queued(store)
    back(store, sure(claimed(store, limit=1)))
    fire(store, group_folder="desk")
    assert served(store) == [("desk", "task"), ("team", "chat")]


def kinds(store: Store, limit: int) -> list[str]:
    """What is claimed now, until nothing more can be."""
    return [run.kind for run in iter(lambda: claimed(store, limit=limit), None)]


def hands_on(store: Store, run: Run, name: str) -> Run:
    """The run's agent has handed something to another one, and waits for it."""
    asked = waits(store, run, name)
    with store.atomic() as db:
        child = children.queue(db, run, asked.id, "count", "read", NOW)
        requests.wait_for(db, asked.id, child)
        return runs.get(db, child)


def test_what_a_task_hands_on_takes_no_place_of_people(store: Store) -> None:
    add_group(store, "desk")
    fire(store, id="task-one")
    fire(store, id="task-two")
    run = sure(claimed(store, limit=2))
    for name in ("one", "another"):
        hands_on(store, run, name)
    first = sure(claimed(store, limit=2))
    assert first.parent == run.id
    assert claimed(store, limit=2) is None
    child = hands_on(store, first, "one of its own")
    second = sure(claimed(store, limit=2))
    assert second.parent == run.id
    assert claimed(store, limit=2) is None
    queued(store, folder="desk")
    assert kinds(store, 2) == ["chat"]
    with store.atomic() as db:
        runs.finish(db, second, "done", NOW)
    assert sure(claimed(store, limit=2)).id == child.id


def test_a_task_s_run_is_joined_with_nothing(store: Store) -> None:
    firing = fire(store, context_mode="group")
    run = sure(claimed(store))
    asked = queued(store, 1, 2)
    other = fire(store, id="task-other", context_mode="group")
    assert back(store, run) == firing
    found = [runs.get(store.db, one) for one in (firing, asked, other)]
    assert [one.state for one in found] == ["queued"] * 3
    assert [one.last_seq for one in found] == [0, 2, 0]


def test_a_task_s_run_is_not_retried_but_run_anew(store: Store) -> None:
    firing = fire(store, id="daily")
    with store.atomic() as db:
        runs.finish(db, sure(runs.claim(db, ME, 5, clock.now())), "failed", NOW, "why")
    with pytest.raises(UsageWrong, match="`pynchy tasks run daily`"), store.atomic() as db:
        runs.retry(db, firing, NOW)
    assert totals.given_up(store.db) == {"given_up": 0, "runs": []}


def test_a_conversation_is_not_at_work_because_of_a_task_beside_it(store: Store) -> None:
    fire(store)
    assert runs.unfinished(store.db, "team") == 0
    fire(store, id="task-group", context_mode="group")
    assert runs.unfinished(store.db, "team") == 1
