"""Buttons under what agents have asked, pressed in a channel where nobody is called: who may
decides by it, once; and what was asked shows what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner.protocol.requests import AskUser, Option, Question, SendMessage
from pynchy_cli import clock
from pynchy_cli.config.settings import Approvals, Settings
from pynchy_cli.ipc import approving, telling
from pynchy_cli.ipc.effects import Asked
from pynchy_cli.ipc.handlers import messages as sending
from pynchy_cli.ipc.handlers.questions import EFFECTS
from pynchy_cli.store import (
    approvals,
    cancelling,
    groups,
    outbound,
    questions,
    requests,
    runs,
    sessions,
)
from tests.slack_payloads import JID, press
from tests.slack_team import WORKER, Team, team

COLOURS = (Option(label="red"), Option(label="blue"))
COLOUR = AskUser(questions=(Question(question="Which?", options=COLOURS),))
BOTH = AskUser(questions=(*COLOUR.questions, Question(question="And?", options=COLOURS)))
ASK = EFFECTS["ask_user"]
SEND = sending.EFFECTS["send_message"]
THREAD = "1699999999.000001"
IN_THREAD = f"{JID}/{THREAD}"


@pytest.fixture(params=["mention", "always"])
def dev(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Team]:
    """A team whose agent is at work on something said in a thread; Ann may approve."""
    asks = Approvals(approvers=("slack:U0ANN",), in_admin_chat=True)
    with team(tmp_path, request.param, Settings(approvals=asks)) as made:
        made.said("<@U0BOT> go", thread_ts=THREAD)
        made.route()
        run = made.claimed()
        with made.context.store.atomic() as db:
            where = {"folder": "s", "owner": WORKER, "sandbox": "x", "runtime": "unsafe"}
            sessions.begin(db, "team", run.lane, now=clock.now(), **where)
        yield made


def asked(
    dev: Team, *, for_yes: bool = False, run: int | None = None, request: AskUser = COLOUR
) -> str:
    """What a run at work asks; its id."""
    now = clock.now()
    with dev.context.store.atomic() as db:
        first = db.execute("SELECT id, lane FROM runs ORDER BY id").fetchone()
        row = requests.add(
            db,
            group_folder="team",
            session="s",
            request_id=f"r-{dev.ts()}",
            lane=first[1],
            role="group",
            type="ask_user",
            payload="{}",
            state="accepted",
            now=now,
            chat_jid=JID,
            run_id=run or first[0],
        )
        if for_yes:
            approving.ask(db, dev.context.settings, row, COLOUR, ASK, now)
            return approvals.all(db)[-1].id
        assert ASK.rows is not None
        requests.wait(db, row.id)
        ASK.rows(db, Asked(request, row, groups.get(db, "team"), dev.context), now, None)
        return questions.pending(db, "team")[-1].id


def running(dev: Team) -> int:
    return int(dev.db.execute("SELECT max(id) FROM runs").fetchone()[0])


def pressed(dev: Team, says: str, user: str = "U0ANN") -> list[str]:
    """Somebody presses a button under it, in the thread; what we say to that."""
    payload = press(says, ts=dev.ts(), thread_ts=THREAD)
    payload["user"]["id"] = user
    payload["actions"][0]["action_ts"] = dev.ts()
    before = len(dev.replies())
    dev.came(payload, "interactive")
    dev.route()
    new = dev.replies()[before:]
    assert {thread for _, thread in new} <= {IN_THREAD}
    return [content for content, _ in new]


def shown(dev: Team, key: str) -> tuple[str, int]:
    """What was asked, as its chat is to show it, and which version of it that is."""
    reply = outbound.by_key(dev.db, key)
    assert reply is not None
    assert reply.thread == IN_THREAD
    return reply.content.rpartition("\n\n")[2], reply.version


@pytest.mark.parametrize(
    ("word", "answer", "line"),
    [("approve", "✅ {id} is approved.", "✅ Approved by Ann Lee."),
     ("deny", "🚫 {id} is denied.", "🚫 Denied by Ann Lee.")],
)  # fmt: skip
def test_a_press_decides_once(dev: Team, word: str, answer: str, line: str) -> None:
    id = asked(dev, for_yes=True)
    content, version = shown(dev, f"approval:{id}")
    assert (f"approve {id}" in content, version) == (True, 1)
    assert pressed(dev, f"{word} {id}", "U0EVE") == [], "a stranger's does nothing"
    (refused,) = pressed(dev, f"{word} {id}", "U0BOB")
    assert refused.startswith(f"You may not decide on {id}")
    assert shown(dev, f"approval:{id}")[1] == 1
    assert pressed(dev, f"{word} {id}") == [answer.format(id=id)]
    assert shown(dev, f"approval:{id}") == (line, 2)
    for says in (f"approve {id}", f"deny {id}"):
        (again,) = pressed(dev, says)
        assert "already" in again
    assert shown(dev, f"approval:{id}") == (line, 2)
    assert [state for state, _, _ in dev.runs()] == ["running"], "nobody said it to the agent"


def test_a_press_answers_a_question_once(dev: Team) -> None:
    id = asked(dev)
    assert pressed(dev, f"{id} 2", "U0EVE") == []
    assert pressed(dev, f"{id} 2", "U0BOB") == ["✅ Which? – blue"]
    assert shown(dev, f"question:{id}") == ("✅ Answered.", 2)
    assert pressed(dev, f"{id} 1") == [f"{id} was answered already; nothing is changed."]
    assert pressed(dev, "zz99 1") == ["That can't be answered any more; nothing is changed."]
    assert pressed(dev, "approve zz99") != [], "whoever presses is told"
    assert [state for state, _, _ in dev.runs()] == ["running"]
    assert shown(dev, f"question:{id}")[1] == 2


def test_a_press_chooses_and_says_nothing_in_words(dev: Team) -> None:
    id = asked(dev, request=BOTH)
    assert pressed(dev, f"{id} 1: 2")[0].startswith("✅ Which? – blue")
    assert shown(dev, f"question:{id}") == ("✅ 1 answered.", 2)
    assert pressed(dev, f"{id} 1: 1") == ["That can't be answered any more; nothing is changed."]
    assert pressed(dev, "zz99 1") == ["That can't be answered any more; nothing is changed."]
    kept = questions.get(dev.db, id)
    assert kept is not None
    assert kept.answers == {1: "blue"}
    assert pressed(dev, f"{id} 2: 1") == ["✅ And? – red"]
    assert shown(dev, f"question:{id}") == ("✅ Answered.", 3)


def test_who_asks_no_more_takes_the_buttons_away(dev: Team) -> None:
    question, yes = asked(dev), asked(dev, for_yes=True)
    late = clock.after(clock.now(), 10 * 86400)
    with dev.context.store.atomic() as db:
        assert (questions.expire(db, late), approving.expire(db, late)) == (1, 1)
    for key in (f"question:{question}", f"approval:{yes}"):
        assert shown(dev, key) == ("⌛ Nobody answered in time.", 2)
    assert {thread for _, thread in dev.replies()} == {IN_THREAD}
    question, yes = asked(dev), asked(dev, for_yes=True)
    run = running(dev)
    with dev.context.store.atomic() as db:
        cancelling.cancel(db, run, clock.now())
        approvals.withdraw(db, run, "it begins again", clock.now())
    for key in (f"question:{question}", f"approval:{yes}"):
        assert shown(dev, key) == ("↩️ Void.", 2)
    assert {thread for _, thread in dev.replies()} == {IN_THREAD}
    assert len(dev.replies()) == 7


def test_what_the_admins_were_shown_as_well_is_concluded_too(dev: Team) -> None:
    with dev.context.store.atomic() as db:
        groups.add(
            db,
            folder="main",
            name="Main",
            jid="local:main",
            is_admin=True,
            trigger_mode="always",
            trigger_pattern=None,
            allowed_users=("owner",),
            now=clock.now(),
        )
    id = asked(dev, for_yes=True)
    pressed(dev, f"approve {id}")
    copy = outbound.by_key(dev.db, f"approval:{id}:main")
    assert copy is not None
    assert copy.content.endswith("\n\n✅ Approved by Ann Lee.")
    assert (copy.chat_jid, copy.thread) == ("local:main", "")


def test_what_is_answered_late_goes_on_in_its_thread(dev: Team) -> None:
    id = asked(dev)
    dev.over(runs.get(dev.db, running(dev)))
    (told,) = pressed(dev, f"{id} 1")
    assert "The turn that asked is over" in told
    assert [(state, thread) for state, thread, _ in dev.runs()] == [
        ("done", IN_THREAD),
        ("queued", IN_THREAD),
    ]
    assert "Answer: red" in dev.told(dev.claimed())


def test_what_an_agent_and_those_it_started_say_is_said_in_the_thread(dev: Team) -> None:
    with dev.context.store.atomic() as db:
        child = db.execute(
            "INSERT INTO runs(group_folder, lane, kind, state, attempts, parent, created_at)"
            " SELECT 'team', 'child:1', 'child', 'running', 1, max(id), 'x' FROM runs RETURNING id"
        ).fetchone()[0]
    id = asked(dev, run=child)
    assert shown(dev, f"question:{id}")[1] == 1
    with dev.context.store.atomic() as db:
        cancelling.cancel(db, child, clock.now())
        row = requests.get(db, 1)
        assert row is not None
        said = Asked(SendMessage(text="By the way."), row, groups.get(db, "team"), dev.context)
        assert SEND.rows is not None
        SEND.rows(db, said, clock.now(), None)
        assert telling.thread_of(db, row) == IN_THREAD
    assert [thread for _, thread in dev.replies()] == [IN_THREAD] * 3
    assert "is void" in dev.replies()[1][0]
