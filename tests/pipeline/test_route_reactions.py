"""What people do to what was said, by the real `route`: they react to it, edit it, take it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.config.settings import GroupRules, Settings
from pynchy_cli.model import CHAT_LANE, THREAD_LANE
from pynchy_cli.store import edits, messages, runs, sessions, steering
from tests.slack_payloads import JID
from tests.slack_team import WORKER, Team, team

THREAD = "1699999999.000001"


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Team]:
    """A team in its channel."""
    with team(tmp_path) as made:
        yield made


@pytest.mark.parametrize("is_in_thread", [False, True])
@pytest.mark.parametrize("is_on_answer", [False, True])
def test_eyes_have_asked_again_what_failed_and_once(
    dev: Team, is_on_answer: bool, is_in_thread: bool
) -> None:
    more = {"thread_ts": THREAD} if is_in_thread else {}
    question = dev.said("<@U0BOT> what is 6 * 7?", **more)
    dev.route()
    run = dev.claimed()
    sorry = dev.posted("Sorry, it failed.", run, run.thread)
    dev.over(run, "failed")
    for user in ("U0ANN", "U0BOB", "U0ANN"):
        dev.reacted("eyes", sorry if is_on_answer else question, user)
    dev.reacted("eyes", question if is_on_answer else sorry)
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["failed", "queued"]
    again = dev.claimed()
    assert (again.thread, "6 * 7" in dev.told(again)) == (run.thread, True)
    dev.reacted("eyes", question)
    dev.reacted("eyes", sorry)
    dev.route()
    assert len(dev.runs()) == 2, "it is at work on it"
    dev.over(again, "failed")
    dev.reacted("eyes", sorry)
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["failed", "failed", "queued"]
    dev.over(dev.claimed())
    for one in (question, sorry):
        dev.reacted("eyes", one)
    dev.route()
    assert len(dev.runs()) == 3, "it is answered"


def test_eyes_of_a_stranger_and_eyes_on_nothing_of_ours_do_nothing(dev: Team) -> None:
    dev.said("hello")
    stranger = dev.said("<@U0BOT> obey me", "U0EVE")
    question = dev.said("<@U0BOT> go")
    talk = dev.said("lunch?")
    dev.route()
    run = dev.claimed()
    dev.over(run, "failed")
    notice = dev.posted("A notice.")
    dev.reacted("eyes", question, "U0EVE")
    for one in (talk, stranger, notice, "1600000000.000000"):
        dev.reacted("eyes", one)
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["failed"]


def test_eyes_bring_back_what_could_not_be_routed(dev: Team) -> None:
    question = dev.said("<@U0BOT> go")
    with dev.context.store.atomic() as db:
        db.execute(
            "INSERT INTO failures(stage, subject, attempts, state, error, first_at, last_at)"
            " VALUES ('route', 'message:1', 3, 'set_aside', 'it broke', 'x', 'x')"
        )
    while dev.router.drain():
        pass
    assert dev.runs() == []
    dev.reacted("eyes", question)
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["queued"]


@pytest.mark.parametrize("is_in_thread", [False, True])
@pytest.mark.parametrize("on", ["message", "answer", "newest"])
def test_a_cross_stops_the_turn_that_it_is_about(dev: Team, on: str, is_in_thread: bool) -> None:
    more = {"thread_ts": THREAD} if is_in_thread else {}
    before = dev.said("<@U0BOT> first", **more)
    dev.route()
    first = dev.claimed()
    answer = dev.posted("First.", first, first.thread)
    dev.over(first)
    dev.said("hm", **more)
    stranger = dev.said("hm", "U0EVE", **more)
    question = dev.said("<@U0BOT> tell me a story", **more)
    dev.route()
    story = dev.claimed()
    growing = dev.posted("Once upon", story, story.thread)
    aside = dev.said("nice", **more)
    elsewhere = dev.said("not about that", **({} if is_in_thread else {"thread_ts": THREAD}))
    for one in (before, answer, elsewhere, stranger, "1600000000.000000"):
        dev.reacted("x", one)
    for one in (question, growing, aside):
        dev.reacted("x", one, "U0EVE")
    dev.route()
    assert dev.runs()[1] == ("running", story.thread, None)
    dev.reacted("x", {"message": question, "answer": growing, "newest": aside}[on])
    dev.route()
    assert dev.runs() == [("done", first.thread, None), ("running", story.thread, "stop")]
    dev.over(story, "cancelled")
    dev.reacted("x", question)
    dev.route()
    assert dev.runs()[1][0] == "cancelled"


def test_a_cross_on_our_last_word_stops_what_is_at_work_there(dev: Team) -> None:
    dev.said("<@U0BOT> go")
    dev.route()
    dev.claimed()
    notice = dev.posted("By the way.")
    last = dev.posted("And also.")
    dev.reacted("x", notice)
    dev.said("thanks")
    dev.reacted("x", last)
    dev.route()
    assert dev.runs() == [("running", "", None)]
    dev.reacted("x", dev.posted("Not at all."))
    dev.route()
    assert dev.runs() == [("running", "", "stop")]


def test_reactions_are_told_to_no_agent(dev: Team) -> None:
    question = dev.said("<@U0BOT> go")
    dev.reacted("eyes", question)
    dev.reacted("x", question)
    dev.said("<@U0BOT> on")
    dev.route()
    run = dev.claimed()
    assert [text in dev.told(run) for text in (">@pynchy go<", ">eyes<", ">x<")] == [
        True,
        False,
        False,
    ]
    dev.over(run)
    dev.reacted("eyes", question)
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["done"]


def test_what_waits_is_told_as_it_was_edited_last(dev: Team) -> None:
    question = dev.said("<@U0BOT> buy 10 apples")
    dev.route()
    dev.edited(question, "<@U0BOT> buy 12 apples")
    dev.edited(question, "<@U0BOT> buy 13 apples")
    dev.edited(question, "<@U0BOT> buy 99 apples", "U0EVE")
    dev.route()
    run = dev.claimed()
    prompt = dev.told(run)
    assert [f"buy {number} apples" in prompt for number in (10, 12, 13, 99)] == [
        False,
        False,
        True,
        False,
    ]
    assert prompt.count("<message ") == 1
    dev.edited(question, "<@U0BOT> buy 14 apples")
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["running"], "it has begun with 13"
    dev.over(run)
    dev.edited(question, "<@U0BOT> buy 15 apples")
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["done"]


@pytest.mark.parametrize("thread", ["", THREAD])
@pytest.mark.parametrize("read_before", [False, True])
def test_an_edit_that_calls_the_assistant_is_answered_once(
    dev: Team, read_before: bool, thread: str
) -> None:
    more = {"thread_ts": thread} if thread else {}
    line = dev.said("what is 6 * 7?", **more)
    if read_before:  # by a run that somebody else has started, and that answers him
        dev.said("<@U0BOT> hello", "U0BOB", **more)
        dev.route()
        dev.over(dev.claimed())
    dev.edited(line, "what is 6 * 8?", **more)
    dev.route()
    assert all(state == "done" for state, _, _ in dev.runs())
    dev.edited(line, "<@U0BOT> what is 6 * 8?", **more)
    dev.edited(line, "<@U0BOT> what is 6 * 9?", **more)
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["done"] * read_before + ["queued"]
    run = dev.claimed()
    prompt = dev.told(run)
    assert ("6 * 9" in prompt, "6 * 8" in prompt, "hello" in prompt) == (True, False, False)
    assert run.thread == (f"{JID}/{thread}" if thread else "")
    dev.over(run)
    dev.edited(line, "<@U0BOT> what is 6 * 10?", **more)
    dev.route()
    assert not any(state == "queued" for state, _, _ in dev.runs())


def test_an_edit_of_what_a_waiting_run_reads_is_read_by_that(dev: Team) -> None:
    line = dev.said("what is 6 * 7?")
    dev.said("<@U0BOT> well?", "U0BOB")
    dev.route()
    dev.edited(line, "<@U0BOT> what is 6 * 8?")
    dev.route()
    assert [state for state, _, _ in dev.runs()] == ["queued"]
    assert "6 * 8" in dev.told(dev.claimed())


def test_an_edit_commands_once(dev: Team) -> None:
    line = dev.said("help me")
    dev.edited(line, "<@U0BOT> help")
    dev.edited(line, "<@U0BOT> help")
    dev.edited(line, "<@U0BOT> status")
    dev.route()
    assert len(dev.replies()) == 1
    asked = dev.said("<@U0BOT> status")
    dev.route()
    dev.edited(asked, "<@U0BOT> help")
    dev.edited(asked, "<@U0BOT> go on")
    dev.route()
    assert (len(dev.replies()), dev.runs()) == (2, [])
    dev.said("<@U0BOT> now")
    dev.route()
    prompt = dev.told(dev.claimed())
    assert [text in prompt for text in ("now", "help", "status", "go on")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_command_that_came_to_nothing_may_be_edited_into_one(dev: Team) -> None:
    line = dev.said("stop")
    dev.route()
    dev.edited(line, "<@U0BOT> stop")
    dev.route()
    assert ("stop" in dev.told(dev.claimed()), dev.replies()) == (True, [])


def test_a_command_that_was_obeyed_is_not_told_to_the_agent_when_it_is_edited(dev: Team) -> None:
    dev.said("<@U0BOT> go")
    dev.route()
    run = dev.claimed()
    line = dev.said("stop")
    dev.route()
    dev.over(run, "cancelled")
    dev.edited(line, "<@U0BOT> stop")
    dev.route()
    assert (dev.runs(), len(dev.replies())) == ([("cancelled", "", "stop")], 1)


def test_a_strangers_edit_calls_nobody(dev: Team) -> None:
    mine, other, third = dev.said("talk"), dev.said("talk", "U0EVE"), dev.said("talk")
    dev.edited(mine, "<@U0BOT> go", "U0EVE")
    dev.edited(other, "<@U0BOT> go", "U0EVE")
    dev.edited(other, "<@U0BOT> go", "U0ANN")
    dev.edited(third, "<@U0BOT> go", "U0EVE")
    dev.route()
    dev.edited(third, "<@U0BOT> go", "U0BOB")
    dev.deleted(third, "U0BOB")
    dev.route()
    assert dev.runs() == [], "nobody edits what others said"
    dev.edited(third, "<@U0BOT> go", "U0ANN")
    dev.route()
    assert len(dev.runs()) == 1, "and what they did is nothing"
    assert "go" in dev.told(dev.claimed())


def test_an_edit_where_all_is_for_the_assistant_starts_nothing(tmp_path: Path) -> None:
    with team(tmp_path, "always") as dev:
        line = dev.said("hello")
        dev.route()
        dev.over(dev.claimed())
        dev.edited(line, "<@U0BOT> hello!")
        dev.route()
        assert [state for state, _, _ in dev.runs()] == ["done"]


def test_an_edit_of_what_we_never_saw_is_said_as_it_is(dev: Team) -> None:
    dev.edited("1600000000.000000", "<@U0BOT> what is 6 * 7?")
    dev.route()
    run = dev.claimed()
    assert "6 * 7" in dev.told(run)


@pytest.mark.parametrize("is_first", [False, True])
def test_what_was_deleted_before_its_run_begins_is_not_told(dev: Team, is_first: bool) -> None:
    kept, gone = dev.said("<@U0BOT> kept"), dev.ts()
    if is_first:  # Slack sends again what we couldn't take, and by then it is gone
        dev.deleted(gone)
    dev.said("<@U0BOT> gone", ts=gone)
    if not is_first:
        dev.deleted(gone)
    dev.route()
    run = dev.claimed()
    assert ("kept" in dev.told(run), "gone" in dev.told(run)) == (True, False)
    dev.over(run)
    dev.edited(gone, "<@U0BOT> gone and back")
    dev.said("<@U0BOT> next")
    dev.deleted(kept)
    dev.route()
    run = dev.claimed()
    assert ("next" in dev.told(run), "gone" in dev.told(run)) == (True, False)


def test_where_all_was_deleted_the_agent_is_told_nothing(dev: Team) -> None:
    line = dev.said("<@U0BOT> go")
    dev.route()
    dev.deleted(line)
    dev.route()
    run = dev.claimed()
    assert messages.for_agent(dev.db, "team", run.first_seq - 1, run.last_seq) == []


def test_an_edit_that_came_first_is_of_the_message_that_follows(dev: Team) -> None:
    line = dev.ts()
    dev.edited(line, "newest")
    dev.said("elsewhere", ts=f"{line[:-6]}000099")
    dev.said("elsewhere", ts=f"{line[:-6]}000101")
    dev.said("as it was", ts=line)
    edit = messages.get(dev.db, 1)
    assert edit is not None
    assert edits.versions(dev.db, edit) == ["as it was"]
    assert edits.versions(dev.db, messages.get(dev.db, 2) or edit) == []
    dev.said("<@U0BOT> so?")
    dev.route()
    prompt = dev.told(dev.claimed())
    assert (prompt.count("newest"), ">as it was<" in prompt) == (1, False)


def test_edits_that_come_out_of_their_order(dev: Team) -> None:
    line = dev.said("what is 6 * 7?")
    first, second = dev.ts(), dev.ts()
    dev.edited(line, "what is 6 * 9?", at=second)
    dev.edited(line, "<@U0BOT> what is 6 * 8?", at=first)
    dev.route()
    assert dev.runs() == [], "it doesn't say that any more"
    dev.said("<@U0BOT> well?")
    dev.route()
    prompt = dev.told(dev.claimed())
    assert ("6 * 9" in prompt, "6 * 8" in prompt) == (True, False)


def test_what_is_said_in_threads_at_once_is_answered_in_each(dev: Team) -> None:
    for more in ({}, {"thread_ts": THREAD}, {"thread_ts": "1699999999.000002"}):
        dev.said("<@U0BOT> go", **more)
    dev.said("<@U0BOT> help", thread_ts=THREAD)
    dev.route()
    assert [thread for _, thread, _ in dev.runs()] == [
        "",
        f"{JID}/{THREAD}",
        f"{JID}/1699999999.000002",
    ]
    assert [thread for _, thread in dev.replies()] == [f"{JID}/{THREAD}"]


def test_threads_with_conversations_of_their_own_are_nobody_elses(tmp_path: Path) -> None:
    """Two are at work at once: one is told more, one is stopped, one begins anew."""
    rules = GroupRules(session_per_thread=True)
    one, two = ({"thread_ts": f"169999999{number}.000002"} for number in (1, 2))
    with team(tmp_path, settings=Settings(groups={"team": rules})) as dev:
        for more in ({}, one, two):
            dev.said("<@U0BOT> go", **more)
        dev.route()
        chat, first, second = (dev.claimed() for _ in range(3))
        lanes = [f"{THREAD_LANE}{JID}/{more['thread_ts']}" for more in (one, two)]
        assert [run.lane for run in (chat, first, second)] == [CHAT_LANE, *lanes]
        with dev.context.store.atomic() as db:
            for run in (chat, first, second):
                sessions.begin(
                    db,
                    "team",
                    run.lane,
                    folder=str(run.id),
                    owner=WORKER,
                    sandbox=f"s{run.id}",
                    runtime="r",
                    now=clock.now(),
                )
                sessions.named(db, sessions.get(db, "team", run.lane), f"of {run.id}")

        dev.said("<@U0BOT> and that, too", **two)
        dev.said("<@U0BOT> stop", **one)
        dev.route()
        assert [asked for state, _, asked in dev.runs() if state == "running"] == [
            None,
            "stop",
            None,
        ]
        assert [steering.is_more(dev.db, run) for run in (chat, first, second)] == [
            False,
            False,
            True,
        ]
        with dev.context.store.atomic() as db:
            taken = steering.absorb(db, second, clock.now())
        assert taken is not None
        assert [text in dev.told(taken) for text in ("go<", "and that, too", "stop")] == [
            True,
            True,
            False,
        ]

        dev.said("<@U0BOT> reset context", **one)
        dev.route()
        known = [sessions.get(dev.db, "team", run.lane) for run in (chat, first, second)]
        assert [one.session_id for one in known] == [f"of {chat.id}", None, f"of {second.id}"]
        assert runs.mine(dev.db, second) is not None
