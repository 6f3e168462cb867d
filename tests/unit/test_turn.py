"""One attempt of a run as rows: all of a piece or nothing of it, each answer once, and a run
that can't go on is put back, handed over or given up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from agent_runner import protocol
from agent_runner.protocol import (
    Notice,
    Record,
    Replied,
    Started,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    TurnEnded,
)
from pynchy_cli.agent import earlier
from pynchy_cli.agent.turn import NOTHING, STOPPED, RunLost, Turn
from pynchy_cli.config.settings import Queue
from pynchy_cli.errors import DatabaseBusy, DatabaseFull
from pynchy_cli.model import CHAT_LANE, NewMessage, Reply, Run, Session
from pynchy_cli.store import (
    approvals,
    groups,
    messages,
    outbound,
    requests,
    runs,
    sessions,
    steering,
)
from pynchy_cli.store.connection import Store, connect
from pynchy_cli.store.migrate import migrate
from tests.teams import add_team

NOW = "2026-01-31T08:00:00.000Z"
FAR = "2999-01-01T00:00:00.000Z"
CHAT = "local:team"
ME, OTHER = 1, 2
QUEUE = Queue(max_retries=2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "messages.db"
    migrate(path)
    with Store.open(path) as opened:
        add_team(opened)
        yield opened


def ask(store: Store, number: int = 1) -> int:
    with store.atomic() as db:
        message = NewMessage(str(number), CHAT, "owner", "Ann", f"question {number}", NOW)
        seq = messages.add(db, message, NOW)
        assert seq is not None
        return runs.queue_chat(db, "team", seq, seq, CHAT, NOW)


def begin(store: Store, owner: int = ME, folder: str = "s1-1") -> Session:
    with store.atomic() as db:
        sessions.begin(
            db, "team", CHAT_LANE, folder=folder, owner=owner, sandbox="x", runtime="r", now=NOW
        )
        return sessions.get(db, "team", CHAT_LANE)


def claim(store: Store, owner: int = ME) -> Run:
    with store.atomic() as db:
        run = runs.claim(db, owner, 5, FAR)
    assert run is not None
    return run


def turn(store: Store, owner: int = ME) -> Turn:
    """A claimed run's attempt, its sandbox begun."""
    run = claim(store, owner)
    return Turn(store, QUEUE, run, begin(store, owner), show_every=0)


def said(store: Store) -> list[Reply]:
    rows = store.db.execute("SELECT DISTINCT run_id FROM outbound_ledger ORDER BY id").fetchall()
    return [reply for row in rows for reply in outbound.of_run(store.db, row[0])]


def final(store: Store) -> list[str]:
    return [reply.content for reply in said(store) if reply.is_final]


def state(store: Store, number: int) -> str:
    return runs.get(store.db, number).state


def answered(store: Store) -> int:
    return groups.get(store.db, "team").answered_seq


def offset(store: Store) -> int:
    return sessions.get(store.db, "team", CHAT_LANE).output_offset


def writes(now: Turn) -> list[Callable[[], None]]:
    """Every way to end an attempt but with the agent's own word."""
    return [partial(now.fail, "why"), partial(now.give_back, "why"), now.skip]


class Full:
    """The database can't grow by a page, as on a full disk."""

    def __init__(self, store: Store) -> None:
        self.db = store.db

    def __enter__(self) -> None:
        self.db.execute("PRAGMA max_page_count = 1")

    def __exit__(self, *_: object) -> None:
        self.db.execute("PRAGMA max_page_count = 1073741823")


LONG = "x" * 20_000
"""More text than the pages of the file have room for."""


def test_a_turn_ends_with_its_reply_its_session_and_its_cursor(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    name = now.run.turn
    assert now.take([(Started(turn=name, session_id="one"), 10)]) is None
    assert now.take([(Text(turn=name, text="he"), 20), (Text(turn=name, text="llo"), 30)]) is None
    (reply,) = said(store)
    assert (reply.content, reply.is_final) == ("hello", False)
    ended = now.take([(TurnEnded(turn=name, reply="hello!", session_id="two"), 40)])
    assert ended is not None
    (reply,) = said(store)
    assert (reply.content, reply.is_final, reply.source) == ("hello!", True, "agent")
    assert (state(store, number), answered(store), offset(store)) == ("done", 1, 40)
    assert sessions.get(store.db, "team", CHAT_LANE).session_id == "two"
    with pytest.raises(RunLost):
        now.take([(TurnEnded(turn=name, reply="and again"), 50)])
    assert final(store) == ["hello!"]


def test_records_of_another_turn_are_passed_over(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    assert now.take([(TurnEnded(turn="0.1.0", reply="not this one"), 10)]) is None
    assert (state(store, number), offset(store), said(store)) == ("running", 10, [])


def test_no_answer_is_said_too(store: Store) -> None:
    ask(store)
    now = turn(store)
    now.take([(TurnEnded(turn=now.run.turn, reply=" \n"), 10)])
    assert final(store) == [NOTHING]


def test_what_can_t_be_stored_is_stored_once_when_it_can(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    name = now.run.turn
    now.take([(Text(turn=name, text="begun, "), 10)])
    piece: list[tuple[Record, int]] = [(Text(turn=name, text=LONG), 20)]
    for _ in range(2):
        with Full(store), pytest.raises(DatabaseFull):
            now.take(piece)
    assert (offset(store), said(store)[0].content) == (10, "begun, ")
    now.take(piece)
    assert (offset(store), said(store)[0].content) == (20, "begun, " + LONG)
    end: list[tuple[Record, int]] = [(TurnEnded(turn=name, reply=LONG + LONG), 30)]
    with Full(store), pytest.raises(DatabaseFull):
        now.take(end)
    assert (state(store, number), answered(store), final(store)) == ("running", 0, [])
    assert now.take(end) is not None
    assert (state(store, number), answered(store), final(store)) == ("done", 1, [LONG + LONG])


def test_a_locked_database_changes_nothing(store: Store) -> None:
    ask(store)
    now = turn(store)
    store.db.execute("PRAGMA busy_timeout = 10")
    other = connect(store.path)
    other.execute("BEGIN IMMEDIATE")
    for attempt in writes(now):
        with pytest.raises(DatabaseBusy):
            attempt()
    other.execute("ROLLBACK")
    other.close()
    assert now.take([(TurnEnded(turn=now.run.turn, reply="well"), 10)]) is not None


def test_a_failure_is_tried_again_then_given_up_and_said(store: Store) -> None:
    number = ask(store)
    for attempt in (1, 2, 3):
        now = turn(store)
        assert now.run.attempts == attempt
        now.take([(Text(turn=now.run.turn, text="half "), 10)])
        now.fail("no luck")
    assert state(store, number) == "failed"
    (reply,) = said(store)
    assert (reply.content, reply.is_final) == (
        "half\n\nSorry, I could not finish this: no luck",
        True,
    )
    assert answered(store) == 1


def test_a_permanent_error_isn_t_tried_again(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    now.take([(TurnEnded(turn=now.run.turn, error="wrong key", is_permanent=True), 10)])
    assert (state(store, number), final(store)) == (
        "failed",
        ["Sorry, I could not answer this: wrong key"],
    )


def test_a_run_that_goes_back_hands_its_open_answer_to_the_one_that_waits(store: Store) -> None:
    first = ask(store, 1)
    now = turn(store)
    now.take([(Text(turn=now.run.turn, text="half "), 10)])
    second = ask(store, 2)
    now.give_back("stopped")
    assert (state(store, first), state(store, second)) == ("superseded", "queued")
    (reply,) = said(store)
    assert (reply.key, reply.run_id, reply.is_final) == (f"run:{second}:0", second, False)
    now = turn(store)
    now.take([(TurnEnded(turn=now.run.turn, reply="both"), 10)])
    assert (final(store), answered(store)) == (["both"], 2)
    assert len(said(store)) == 1


def test_an_interrupted_turn_leaves_no_answer_open_behind_it(store: Store) -> None:
    first = ask(store, 1)
    now = turn(store)
    now.take([(Text(turn=now.run.turn, text="half "), 10)])
    now.fail("no luck")
    now = turn(store)
    second = ask(store, 2)
    with store.atomic() as db:
        steering.ask(db, first, "interrupt")
    now.take([(TurnEnded(turn=now.run.turn, is_interrupted=True), 10)])
    assert (state(store, first), runs.get(store.db, second).attempts) == ("superseded", 1)
    (reply,) = said(store)
    assert (reply.key, reply.is_final) == (f"run:{second}:0", False)


def test_an_agent_that_is_deaf_to_an_interruption_costs_nothing_either(store: Store) -> None:
    first = ask(store, 1)
    now = turn(store)
    name = now.run.turn
    now.take([(ToolUse(turn=name, tool_id="t", name="Bash"), 5), (Text(turn=name, text="half"), 9)])
    second = ask(store, 2)
    with store.atomic() as db:
        db.execute("UPDATE runs SET started_at = ?", (NOW,))
        steering.ask(db, first, "interrupt")
    now.give_back("it was ended")
    merged = runs.get(store.db, second)
    assert (merged.first_seq, merged.attempts, merged.takeovers) == (1, 0, 0)
    assert "<call>Bash" in str(merged.note)
    assert [(one.key, one.content, one.is_final) for one in said(store)] == [
        (f"run:{first}:0", "half", True)
    ]


def test_what_is_not_asked_again_leaves_no_answer_open(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    now.take([(Text(turn=now.run.turn, text="half "), 10)])
    now.fail("no luck")
    turn(store).skip()
    assert (state(store, number), said(store)) == ("done", [])


def test_who_fails_after_the_whole_answer_has_answered(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    name = now.run.turn
    now.take([(Replied(turn=name, reply="well", read=1), 10), (Text(turn=name, text="and"), 20)])
    now.fail("it took longer than 3600 s")
    assert (state(store, number), answered(store)) == ("done", 1)
    assert [(one.content, one.is_final) for one in said(store)] == [("well", True)]


def test_a_run_that_always_takes_its_worker_down_is_given_up(store: Store) -> None:
    number = ask(store)
    for _ in range(20):
        if state(store, number) != "queued":
            break
        turn(store).give_back("its worker died")
    assert state(store, number) == "failed"
    assert final(store) == ["Sorry, I could not answer this: its worker died"]
    assert answered(store) == 1


def test_a_run_may_be_tried_again_very_often(store: Store) -> None:
    number = ask(store)
    with store.atomic() as db:
        db.execute("UPDATE runs SET attempts = 5000")
    now = turn(store)
    now.queue = Queue(max_retries=1_000_000, base_retry=0.0)
    now.fail("no luck")
    assert state(store, number) == "queued"


def test_a_lost_run_is_written_by_nobody_but_its_owner(store: Store) -> None:
    ask(store)
    lost = turn(store)
    with store.atomic() as db:
        runs.adopt(db, ME, OTHER)
        (mine,) = runs.adopt(db, OTHER, 3)
    for attempt in writes(lost):
        with pytest.raises(RunLost):
            attempt()
    with pytest.raises(RunLost):
        lost.take([(TurnEnded(turn=lost.run.turn, reply="mine?"), 10)])
    heir = Turn(store, QUEUE, mine, sessions.get(store.db, "team", CHAT_LANE))
    assert heir.take([(TurnEnded(turn=mine.turn, reply="mine!"), 10)]) is not None
    assert final(store) == ["mine!"]


def test_what_its_worker_stored_of_an_answer_is_continued(store: Store) -> None:
    ask(store)
    dead = turn(store)
    dead.take([(Text(turn=dead.run.turn, text="one "), 10)])
    with store.atomic() as db:
        (run,) = runs.adopt(db, ME, OTHER)
        (session,) = sessions.adopt(db, ME, OTHER)
    heir = Turn(store, QUEUE, run, session)
    heir.resume(None)
    heir.take([(Text(turn=run.turn, text=" two"), 20)])
    assert [reply.content for reply in said(store)] == ["one two"]


def test_what_is_continued_is_told_by_the_log_and_not_by_what_people_saw(
    store: Store, tmp_path: Path
) -> None:
    ask(store)
    dead = turn(store)
    name = dead.run.turn
    tool = ToolUse(turn=name, tool_id="t", name="Bash")
    wrote = [
        Text(turn="other", text="not ours"),
        Text(turn=name, text="Let me look."),
        tool,
        Text(turn=name, text=" Yes.<internal>sec"),
        Text(turn=name, text="ret</internal> no"),
        tool,
    ]
    found, end = [], 0
    for record in wrote:
        end += len(protocol.write_record(record))
        found.append((record, end))
    (tmp_path / "log").write_bytes(b"".join(map(protocol.write_record, wrote)))
    dead.take(found[:4])
    with store.atomic() as db:
        (run,) = runs.adopt(db, ME, OTHER)
        (session,) = sessions.adopt(db, ME, OTHER)
    heir = Turn(store, QUEUE, run, session)
    heir.resume(asyncio.run(earlier.said(tmp_path, name, session.output_offset)))
    heir.take(found[4:])
    heir.fail("no luck", retry=False)
    sorry = "\n\nSorry, I could not finish this: no luck"
    assert final(store) == [f"Let me look. Yes. no{sorry}"]
    kept = store.db.execute("SELECT payload FROM events WHERE event_type = 'text' ORDER BY id")
    assert [row[0] for row in kept] == [
        '{"text": "Let me look."}',
        '{"text": "Yes.<internal>secret</internal> no"}',
    ]
    (tmp_path / "log").unlink()
    (tmp_path / "log").symlink_to("/etc/passwd")
    assert asyncio.run(earlier.said(tmp_path, name, 1)) is None


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_a_turn_can_t_bring_back_what_was_forgotten(store: Store, is_taken_over: bool) -> None:
    ask(store)
    now = turn(store)
    now.take([(Started(turn=now.run.turn, session_id="old"), 10)])
    with store.atomic() as db:
        sessions.forget(db, "team", CHAT_LANE, NOW)
    if is_taken_over:
        with store.atomic() as db:
            (run,) = runs.adopt(db, ME, OTHER)
            (session,) = sessions.adopt(db, ME, OTHER)
        now = Turn(store, QUEUE, run, session)
    now.take([(TurnEnded(turn=now.run.turn, reply="done", session_id="old"), 20)])
    assert not sessions.get(store.db, "team", CHAT_LANE).session_id
    with store.atomic() as db:
        sessions.end(db, now.session)
    assert sessions.get(store.db, "team", CHAT_LANE).session_id is None
    ask(store, 2)
    new = turn(store)
    assert new.session.session_id is None
    new.take([(TurnEnded(turn=new.run.turn, reply="well", session_id="new"), 10)])
    assert sessions.get(store.db, "team", CHAT_LANE).session_id == "new"


def test_a_conversation_that_is_let_go_is_gone_on_with(store: Store) -> None:
    ask(store)
    now = turn(store)
    with store.atomic() as db:
        sessions.let_go(db, "team", CHAT_LANE)
    now.take([(TurnEnded(turn=now.run.turn, reply="bye", session_id="one"), 10)])
    assert sessions.get(store.db, "team", CHAT_LANE).session_id == "one"


def test_an_old_sandbox_s_rows_don_t_touch_the_new_one_s(store: Store) -> None:
    ask(store)
    now = turn(store)
    old = now.session
    begin(store, folder="s1-2")
    with store.atomic() as db:
        sessions.advance(db, old, 99, NOW)
        sessions.end(db, old)
    session = sessions.get(store.db, "team", CHAT_LANE)
    assert (session.folder, session.owner, session.output_offset) == ("s1-2", ME, 0)


def test_the_trace_is_stored_and_shown_once(store: Store) -> None:
    ask(store)
    now = turn(store)
    name = now.run.turn
    found: list[tuple[Record, int]] = [
        (Thinking(turn=name, text="hm"), 10),
        (ToolUse(turn=name, tool_id="t", name="Bash", input={"command": "ls"}), 20),
        (ToolResult(turn=name, tool_id="t", content="a file"), 30),
        (Notice(turn=name, subtype="session_lost"), 40),
    ]
    with Full(store), pytest.raises(DatabaseFull):
        now.take([*found, (Text(turn=name, text=LONG), 50)])
    now.take(found)
    kinds = [row[0] for row in store.db.execute("SELECT event_type FROM events ORDER BY id")]
    assert kinds == ["thinking", "tool_use", "tool_result", "notice"]
    shown = [m.content for m in messages.last(store.db, [CHAT], 9)]
    assert shown[1:4] == ["hm", "Bash ls", "a file"]
    assert len(final(store)) == 1
    assert "could not continue" in shown[4]


def test_an_answer_without_a_pause_is_shown_as_it_grows(store: Store) -> None:
    ask(store)
    now = Turn(store, QUEUE, claim(store), begin(store), show_every=0.1)
    now.take([(Text(turn=now.run.turn, text="x"), 1)])
    first, number = said(store)[0].content, 1
    until = time.monotonic() + 30
    while said(store)[0].content == first:
        assert time.monotonic() < until
        number += 1
        now.take([(Text(turn=now.run.turn, text="x"), number)])


def test_an_endless_answer_is_not_stored_without_end(store: Store) -> None:
    ask(store)
    now = turn(store)
    for number in range(1, 5):
        now.take([(Text(turn=now.run.turn, text="y" * 1_000_000), number)])
    assert len(said(store)[0].content) <= 1 << 20


def test_a_shell_s_turn_says_nothing_in_a_chat(store: Store) -> None:
    heard: list[Record] = []
    with store.atomic() as db:
        run = runs.start_now(db, "team", "shell:1", "shell", "hello", ME, NOW)
    assert run is not None
    now = Turn(store, QUEUE, run, sessions.get(store.db, "team", "shell:1"), heard.append)
    now.take([(Text(turn=run.turn, text="wo"), 5), (TurnEnded(turn=run.turn, reply="word"), 10)])
    assert (now.reply, len(heard), said(store)) == ("word", 2, [])
    assert state(store, run.id) == "done"


def test_what_is_internal_is_kept_and_not_said(store: Store) -> None:
    ask(store)
    now = turn(store)
    name = now.run.turn
    now.take([(Text(turn=name, text="<internal>hm</inter"), 10)])
    assert said(store) == []
    now.take([(Text(turn=name, text="nal>Yes."), 20)])
    assert [one.content for one in said(store)] == ["Yes."]
    now.take([(TurnEnded(turn=name, reply="<internal>hm</internal>Yes."), 30)])
    assert final(store) == ["Yes."]
    kept = store.db.execute("SELECT payload FROM events WHERE event_type = 'internal'").fetchall()
    assert [row[0] for row in kept] == ['{"text": "hm"}']


def test_what_is_said_between_tools_is_kept_though_no_answer_holds_it(store: Store) -> None:
    ask(store)
    now = turn(store)
    name = now.run.turn
    tool = ToolUse(turn=name, tool_id="t", name="Bash")
    look, again = Text(turn=name, text="Let me look. "), Text(turn=name, text="Once more.")
    with Full(store), pytest.raises(DatabaseFull):
        now.take([(look, 10), (tool, 20), (Text(turn=name, text=LONG), 30)])
    now.take([(look, 10), (tool, 20), (tool, 30)])
    now.take([(again, 40), (tool, 50), (Text(turn=name, text="Done."), 60)])
    now.take([(TurnEnded(turn=name, reply="Done."), 70)])
    kept = store.db.execute("SELECT payload FROM events WHERE event_type = 'text' ORDER BY id")
    assert [row[0] for row in kept] == ['{"text": "Let me look."}', '{"text": "Once more."}']
    assert final(store) == ["Done."]


def test_an_agent_may_have_nothing_to_say(store: Store) -> None:
    number = ask(store)
    now = turn(store)
    name = now.run.turn
    now.take([(Text(turn=name, text="Well"), 10)])
    now.take([(TurnEnded(turn=name, reply="<internal>nothing new</internal>"), 20)])
    assert said(store) == []
    assert (state(store, number), answered(store)) == ("done", 1)


@pytest.mark.parametrize(("asked", "left"), [("stop", f"Yes.\n\n{STOPPED}"), ("interrupt", "Yes.")])
def test_what_was_internal_in_an_answer_that_was_cut_short_is_not_said(
    store: Store, asked: str, left: str
) -> None:
    ask(store)
    now = turn(store)
    with store.atomic() as db:
        steering.ask(db, now.run.id, asked)
    now.take([(Text(turn=now.run.turn, text="Yes.<internal>she mu"), 10)])
    now.take([(TurnEnded(turn=now.run.turn, is_interrupted=True), 20)])
    assert final(store) == [left]


def test_what_an_attempt_has_asked_is_void_when_it_goes_back(store: Store) -> None:
    """Its next attempt asks anew, and nothing is done twice because both were approved."""
    ask(store)
    now = turn(store)
    with store.atomic() as db:
        request = requests.add(
            db,
            group_folder="team",
            session="s1-1",
            request_id="a",
            lane=CHAT_LANE,
            role="admin",
            type="register_group",
            payload="{}",
            state="waiting",
            now=NOW,
            run_id=now.run.id,
        )
        approvals.ask(
            db,
            id="k7m2",
            request=request,
            chats=[CHAT],
            summary="",
            approvers=["owner"],
            expires_at=FAR,
            now=NOW,
        )
    now.give_back("its worker died")
    approval = approvals.get(store.db, "k7m2")
    assert approval.state == "withdrawn"
    told = outbound.by_key(store.db, "approval:k7m2:withdrawn")
    assert told is not None
    assert told.content == "↩️ k7m2 is void: the turn that asked begins again."
    with store.atomic() as db:
        assert not approvals.decide(db, approval, "approved", "owner", NOW)
    row = requests.get(store.db, request.id)
    assert row is not None
    assert (row.state, "withdrawn" in str(row.answer)) == ("refused", True)
