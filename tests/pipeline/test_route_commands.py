"""What people say to the host itself: commands in a row on one file, by the real `route`."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent_runner.protocol.requests import Option, Question
from pynchy_cli import clock
from pynchy_cli.config.settings import Settings
from pynchy_cli.store import approvals, audit, groups, tasks
from pynchy_cli.tui.talk import Talk
from tests.clocks import START, task
from tests.conftest import Pynchy
from tests.fired import fire
from tests.people import BEFORE, People

SHELL = {"commands__shell": "true"}


@pytest.fixture
def people(environment: dict[str, str], tmp_path: Path) -> People:
    """A home with the admin group, a team and a desk."""
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", is_admin=True)
    made.group("team", "owner", "ann")
    made.group("desk", "*")
    return made


def decisions(people: People) -> list[tuple[str, str, str]]:
    with people.store() as store:
        assert not audit.check(store.db).faults
        return [(one.kind, one.decision, one.who) for one in audit.entries(store.db)]


def test_a_yes_and_a_no_are_rows_of_one_transaction_and_never_the_agents(people: People) -> None:
    yes, no = (people.gated(id, "local:team") for id in ("k4m2", "p7q3"))
    assert people.said("owner", "Approve K4M2") == "✅ k4m2 is approved."
    assert people.said("owner", "@pynchy deny p7q3 not today") == "🚫 p7q3 is denied."
    assert [people.state(one) for one in (yes, no)] == ["accepted", "refused"]
    answer = people.answer(no)
    assert answer is not None
    assert answer.error is not None
    assert (answer.error.code, "not today" in answer.error.message) == ("denied", True)
    assert decisions(people) == [("approval", "approved", "owner"), ("approval", "denied", "owner")]
    people.said("owner", "@pynchy what else?")
    (prompt,) = people.told()
    assert ("k4m2" in prompt.lower(), "p7q3" in prompt, "what else" in prompt) == (0, 0, 1)


def test_it_is_decided_once(people: People) -> None:
    request = people.gated("k4m2", "local:team")
    people.said("owner", "approve k4m2")
    for text in ("approve k4m2", "deny k4m2", "@pynchy deny k4m2 after all"):
        said = people.said("owner", text)
        assert said == "k4m2 was approved already by owner; nothing is changed."
    assert people.state(request) == "accepted"
    assert len(decisions(people)) == 1


def test_of_two_who_decide_at_once_one_is_heard(people: People) -> None:
    """One in the chat, one in the shell."""
    request = people.gated("k4m2", "local:team")
    people.say(("owner", "deny k4m2"))
    both = threading.Barrier(2)
    heard: list[bool] = []

    def shell() -> None:
        with people.store() as store:
            approval = approvals.get(store.db, "k4m2")
            both.wait()
            with store.atomic() as db:
                heard.append(approvals.decide(db, approval, "approved", "shell", clock.now()))

    other = threading.Thread(target=shell)
    other.start()
    both.wait()
    people.route()
    other.join()
    assert people.state(request) == ("accepted" if heard == [True] else "refused")
    assert len(decisions(people)) == 1


def test_only_those_who_may_decide_and_nobody_who_calls_himself_so(people: People) -> None:
    """Approvals are bound to people: whoever may speak may not therefore decide."""
    request = people.gated("k4m2", "local:team", "slack:C1", approvers=("owner", "slack:U1"))
    people.group("net", "*", jid="slack:C1")
    yours = "You may not decide on k4m2; that is for: owner, slack:U1."
    now = {"approvals__approvers": "owner,slack:U1"}
    assert people.said("ann", "approve k4m2", **now) == yours
    for sender in ("owner", "U2", "u1", "slack:U1", "*"):
        assert people.said(sender, "approve k4m2", "slack:C1", **now) == yours, sender
    assert people.said("eve", "approve k4m2", **now) is None
    assert (people.state(request), decisions(people)) == ("waiting", [])
    late = people.said("U1", "approve k4m2", "slack:C1", approvals__approvers="owner")
    assert late == "You may not decide on k4m2; that is for: owner."
    assert people.said("U1", "approve k4m2", "slack:C1", **now) == "✅ k4m2 is approved."
    assert decisions(people) == [("approval", "approved", "slack:U1")]


def test_a_stranger_is_not_heard_at_all(people: People) -> None:
    """The check of the sender was made when the message came in, and holds for commands."""
    request = people.gated("k4m2", "local:team", approvers=("*",))
    for text in ("approve k4m2", "@pynchy approve k4m2", "@pynchy pending", "@pynchy todo x"):
        assert people.said("eve", text) is None
    assert people.said("eve", "!id", "local:main", **SHELL) is None
    assert people.state(request) == "waiting"
    assert people.rows("SELECT count(*) FROM outbound_ledger") == [(0,)]
    assert people.rows("SELECT count(*) FROM todos") == [(0,)]
    assert people.rows("SELECT count(*) FROM requests WHERE type = 'host_shell'") == [(0,)]


def test_only_where_it_was_asked(people: People) -> None:
    """Approvals are bound to places, and told of nowhere else."""
    request = people.gated("k4m2", "local:team")
    elsewhere = "k4m2 was not asked in this chat, and can't be decided here."
    assert people.said("owner", "@pynchy approve k4m2", "local:desk") == elsewhere
    assert people.said("owner", "@pynchy approve k4m2", "local:main") == elsewhere
    assert people.said("owner", "approve k4m2", "local:desk") is None
    assert people.said("owner", "@pynchy pending", "local:desk") == "Nothing waits for you here."
    assert people.said("owner", "pending", "local:main") == "Nothing waits for you here."
    assert people.state(request) == "waiting"
    both = people.gated("p7q3", "local:desk", "local:main", folder="desk")
    assert people.said("owner", "approve p7q3", "local:main") == "✅ p7q3 is approved."
    assert people.state(both) == "accepted"


def test_not_when_its_time_is_over(people: People) -> None:
    """Whoever expires it need not have come by."""
    request = people.gated("k4m2", "local:team", expires_at=BEFORE)
    for text in ("approve k4m2", "deny k4m2"):
        assert people.said("owner", text) == "k4m2 has expired, and is not done."
    assert (people.state(request), decisions(people)) == ("waiting", [])
    assert people.said("owner", "@pynchy pending") == "Nothing waits for you here."


def test_what_nobody_asked_is_talk_unless_the_assistant_is_called(people: People) -> None:
    assert people.said("owner", "@pynchy approve it") == "Nothing was asked under it."
    assert people.said("owner", "approve it") is None
    assert people.said("owner", "deny me nothing", "local:main") is None
    (prompt,) = people.told("main")
    assert "deny me nothing" in prompt


def test_a_mistyped_id_is_answered_where_all_is_for_the_assistant(people: People) -> None:
    unknown = "Nothing was asked under k4m2."
    assert people.said("owner", "approve k4m2", "local:main") == unknown
    assert people.said("owner", "approve k4m2", "local:team") is None


def test_whoever_names_none_of_what_waits_is_told_what_does(people: People) -> None:
    """Else the agent is told of it, which can do nothing, and the time runs out."""
    request = people.gated("p7q3", "local:main", folder="main")
    told = "Nothing was asked under it. Waiting here: p7q3."
    assert people.said("owner", "approve it", "local:main") == told
    assert people.said("owner", "deny it, please", "local:main") == told
    assert people.said("owner", "approve it", "local:team") is None
    assert people.state(request) == "waiting"
    people.gated("k4m2", "local:desk", folder="desk", expires_at=BEFORE)
    assert people.said("owner", "@pynchy approve it", "local:desk") == "Nothing was asked under it."


def test_a_question_is_not_approved(people: People) -> None:
    people.question("k4m2", Question(question="Tea or coffee?"), folder="main", chat="local:main")
    told = "k4m2 is a question: answer it by an option, or in words."
    assert people.said("owner", "approve k4m2", "local:main") == told
    assert people.said("owner", "@pynchy deny k4m2") == "Nothing was asked under k4m2."


def test_status_tells_of_the_groups_tasks(people: People) -> None:
    made = [
        task(START, "cron", "30 9 * * *", "Europe/Berlin", id="look"),
        task(START, "cron", "0 9 * * *", id="later"),
        task(START, "cron", "0 8 * * *", id="off", status="paused"),
        task(START, "cron", "0 8 * * *", id="theirs", group_folder="main"),
    ]
    with people.store() as store, store.atomic() as db:
        for one in made:
            tasks.add(db, one)
    told = "Not at work. 2 tasks, the next is look: Sat 2026-01-31 09:30 CET."
    assert people.said("ann", "@pynchy status") == told


def test_pending_and_status_and_help_tell_when_the_assistant_is_meant(people: People) -> None:
    people.gated("k4m2", "local:team")
    people.said("owner", "@pynchy hello")
    people.at_work()
    for word in ("pending", "status", "help"):
        assert people.said("ann", word) is None
    pending = people.said("ann", "@pynchy pending")
    assert pending is not None
    assert pending.startswith("🔐 k4m2: register_group k4m2 registers local:x (")
    status = people.said("ann", "@pynchy STATUS")
    assert status is not None
    assert status.startswith("At work on a chat run for ")
    assert status.endswith(". 1 approval open.")
    of_all = people.said("owner", "status", "local:main")
    assert of_all is not None
    assert of_all.splitlines() == [
        "Not at work.",
        "In all: 3 groups, 1 run at work, 0 waiting, 1 approval and 0 questions open.",
    ]
    help = people.said("ann", "@pynchy help", commands__approve="ja", commands__todo="", **SHELL)
    assert help is not None
    assert ("`ja ID`" in help, "todo" in help, "!COMMAND" in help) == (True, False, False)
    own = people.said("owner", "help", "local:main", **SHELL)
    assert own is not None
    assert ("`approve ID`" in own, "`todo TEXT`" in own, "!COMMAND" in own) == (True,) * 3


def test_a_todo_is_noted_for_the_group(people: People) -> None:
    assert people.said("ann", "todo buy milk") is None
    assert people.said("ann", "@pynchy todo buy milk\nand bread") == "📝 Noted as 1."
    assert people.said("ann", f"@pynchy todo {'x' * 2001}") == (
        "That is too long: at most 2000 characters."
    )
    found = people.rows("SELECT group_folder, content, done FROM todos")
    assert found == [("team", "buy milk\nand bread", 0)]


def test_the_owners_shell_command_becomes_a_request_once(people: People) -> None:
    answer = people.said("owner", "!uname -a", "local:main", **SHELL)
    assert answer is not None
    assert answer.startswith("⏳")
    facts = "SELECT group_folder, session, request_id, role, type, payload, state, chat_jid"
    row = ("main", "chat", "message-1", "admin", "host_shell", '{"command": "uname -a"}')
    assert people.rows(f"{facts} FROM requests") == [(*row, "accepted", "local:main")]
    assert decisions(people) == [("shell", "accepted", "owner")]
    assert people.rows("SELECT detail FROM audit") == [('{"command": "uname -a"}',)]
    assert people.rows("SELECT count(*) FROM runs") == [(0,)]
    _bring_back(people, 1)
    people.route(**SHELL)
    assert people.rows("SELECT count(*) FROM requests") == [(1,)]
    assert len(decisions(people)) == 1


@pytest.mark.parametrize(
    ("who", "chat", "settings"),
    [
        ("owner", "local:main", {}),
        ("owner", "local:desk", SHELL),
        ("ann", "local:main", SHELL),
        ("ann", "local:main", {**SHELL, "approvals__approvers": "*"}),
    ],
)
def test_elsewhere_and_from_others_it_is_talk(
    people: People, who: str, chat: str, settings: dict[str, str]
) -> None:
    people.opened("main")
    people.say((who, "!id"), (who, "@pynchy hello"), chat=chat)
    people.route(**settings)
    assert people.rows("SELECT count(*) FROM requests") == [(0,)]
    assert people.rows("SELECT count(*) FROM outbound_ledger") == [(0,)]
    assert "!id" in people.told(chat.partition(":")[2])[0]


def test_a_named_approver_may_use_the_shell_of_the_admin_chat(people: People) -> None:
    people.opened("main")
    answer = people.said(
        "bob", "!id", "local:main", **SHELL, approvals__approvers="owner,local:bob"
    )
    assert answer is not None
    assert decisions(people) == [("shell", "accepted", "local:bob")]


def test_stopping_a_turn_closes_what_it_has_asked(people: People) -> None:
    people.said("owner", "@pynchy hello")
    people.at_work()
    asked = people.question("q2w3", Question(question="Where?"))
    people.said("owner", "stop")
    answer = people.answer(asked)
    assert answer is not None
    assert answer.error is not None
    assert answer.error.code == "withdrawn"
    assert people.rows("SELECT state FROM questions") == [("withdrawn",)]


@pytest.mark.parametrize(
    "command", [("stop", "team", "--wait=0"), ("runs", "cancel", "1", "--wait=0")]
)
def test_so_it_is_when_it_is_stopped_at_the_shell(
    people: People, pynchy: Pynchy, command: tuple[str, ...]
) -> None:
    people.said("owner", "@pynchy hello")
    people.at_work()
    asked = people.question("q2w3", Question(question="Where?"))
    pynchy(*command, code=1)
    answer = people.answer(asked)
    assert answer is not None
    assert answer.error is not None
    assert answer.error.code == "withdrawn"


def test_a_run_that_waits_again_and_is_cancelled_has_no_more_questions(
    people: People, pynchy: Pynchy
) -> None:
    people.said("owner", "@pynchy hello")
    run = people.at_work()
    people.question("q2w3", Question(question="Where?"))
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE runs SET state = 'queued', owner = NULL WHERE id = ?", (run,))
    pynchy("runs", "cancel", str(run))
    assert people.rows("SELECT state FROM questions") == [("withdrawn",)]


def test_the_chat_hears_that_nobody_waits_for_an_answer_to_a_task_that_is_stopped(
    people: People, pynchy: Pynchy
) -> None:
    with people.store() as store:
        run = fire(store)
    people.at_work()
    people.question("q2w3", Question(question="Where?"))
    pynchy("runs", "cancel", str(run), "--wait=0", code=1)
    assert people.rows("SELECT chat_jid, content FROM outbound_ledger") == [
        ("local:team", "↩️ q2w3 is void: the run that asked was stopped.")
    ]


def test_whoever_is_about_to_say_something_is_told_whether_it_will_be_heard(
    people: People,
) -> None:
    people.gated("k4m2", "local:team")
    people.question("q2w3", Question(question="Which?", options=(Option(label="red"),)))
    with people.store() as store:
        talk = Talk(store, people.home, Settings(), groups.get(store.db, "team"))
        for text in ("@pynchy hi", "approve k4m2", "deny k4m2 no", "RED", "reset context"):
            assert talk.hint(text) is None, text
        for text in ("approve p7q3", "green", "pending", "todo x", "!ls", "stop", "hi"):
            assert "@pynchy" in (talk.hint(text) or ""), text
    assert people.rows("SELECT count(*) FROM outbound_ledger") == [(0,)]


def test_whoever_waits_for_an_answer_is_told_that_the_agent_waits_for_one(
    people: People,
) -> None:
    people.gated("a2b3", "local:team")  # of nobody who is at work
    people.said("owner", "@pynchy hello")
    people.at_work()
    people.question("q2w3", Question(question="Where?", options=(Option(label="here"),)))
    people.gated("k4m2", "local:team")
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(people.home.root), "send", "team"]
    done = subprocess.run(
        [*command, "@pynchy hi", "--timeout", "0.1"],
        env=people.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[:2] == [
        "It asks: Where? (here). Answer it in `pynchy chat team`.",
        "It needs a yes to register_group: `pynchy approvals show k4m2` tells all of it.",
    ]


def _bring_back(people: People, seq: int) -> None:
    """As after a kill behind the transaction, before anybody knew of it."""
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE registered_groups SET routed_seq = ?", (seq - 1,))
