"""A chat of no group, from the first word in it to its group: the approval goes the way of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pynchy_cli.config.settings import Channels, Settings, SlackRules
from pynchy_cli.store import approvals, groups
from tests.people import BEFORE, People

SETTINGS = Settings(channels=Channels(slack={"main": SlackRules(owner="U1")}))
OWNER = {"channels__slack__main__owner": "U1", "commands__shell": "true"}
ADMIN = "slack:C0"


@pytest.fixture
def people(environment: Mapping[str, str], tmp_path: Path) -> People:
    """An admin group that lives in Slack, and a stranger in a chat of no group."""
    made = People.moved_in(environment, tmp_path / "home")
    made.group("main", "owner", "slack:U3", is_admin=True, jid=ADMIN)
    say(made, "U2", "@pynchy let me in", "slack:C1")
    return made


def say(people: People, who: str, text: str, chat: str = ADMIN) -> None:
    people.say((who, text), chat=chat, channel="slack", settings=SETTINGS)
    people.route(**OWNER)


def asked(people: People) -> approvals.Approval:
    with people.store() as store:
        return approvals.all(store.db, pending=False)[0]


def replies(people: People) -> list[str]:
    return [row[0] for row in people.rows("SELECT content FROM outbound_ledger ORDER BY id")]


def test_the_owner_of_the_network_approves_and_nobody_else(people: People) -> None:
    id = asked(people).id
    for who in ("U3", "U2", "owner", "slack:U1"):
        say(people, who, f"approve {id}")
    assert asked(people).state == "pending"
    assert replies(people)[1:] == [f"You may not decide on {id}; that is for: owner."]
    say(people, "U1", f"approve {id}")
    people.stage("ipc-watch", **OWNER)
    with people.store() as store:
        made = groups.get(store.db, "u2")
    assert (made.jid, made.allowed_users, made.is_admin) == ("slack:C1", ("owner",), False)
    assert made.trigger_mode == "mention"
    assert people.home.group("u2").is_dir()
    assert replies(people)[-1].startswith("✅ It was approved, and is done: register_group")
    assert people.rows("SELECT id FROM messages WHERE audience = 'agent'") == []
    say(people, "U1", "@pynchy hello", "slack:C1")
    assert people.rows("SELECT group_folder FROM runs") == [("u2",)]
    assert people.told("u2")[0].count("<message ") == 1  # what the stranger said before is not told


def test_the_terminal_decides_in_the_chat_of_a_network_too(people: People) -> None:
    people.say(("owner", f"approve {asked(people).id}"), chat=ADMIN, channel="local")
    people.route(**OWNER)
    assert asked(people).state == "approved"
    assert people.rows("SELECT who FROM audit WHERE kind = 'approval'") == [("owner",)]


def test_a_no_is_the_end_of_it(people: People) -> None:
    say(people, "U1", f"deny {asked(people).id} not these")
    people.stage("ipc-watch", **OWNER)
    say(people, "U2", "@pynchy please", "slack:C1")
    assert len(people.rows("SELECT id FROM approvals")) == 1
    assert len(replies(people)) == 2
    assert people.rows("SELECT folder FROM registered_groups") == [("main",)]


def test_one_that_expires_is_only_listed(people: People) -> None:
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE approvals SET expires_at = ?", (BEFORE,))
    people.stage("ipc-watch", **OWNER)
    assert asked(people).state == "expired"
    say(people, "U2", "@pynchy please", "slack:C1")
    assert len(replies(people)) == 1


def test_a_folder_that_was_taken_meanwhile_is_told(people: People) -> None:
    people.group("u2", "owner", jid="slack:C7")
    say(people, "U1", f"approve {asked(people).id}")
    people.stage("ipc-watch", **OWNER)
    assert replies(people)[-1].startswith("❌ It is not done (There is a group 'u2' already.)")


def test_nothing_but_what_was_shown_is_done(people: People) -> None:
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE requests SET payload = replace(payload, '\"owner\"', '\"*\"')")
    say(people, "U1", f"approve {asked(people).id}")
    people.stage("ipc-watch", **OWNER)
    assert people.rows("SELECT folder FROM registered_groups") == [("main",)]


def test_no_agent_can_ask_for_it_as_the_host_does(people: People) -> None:
    """The host's own way of making a group is read from the host's own rows alone."""
    payload = (
        '{"type":"register_group","jid":"slack:C1","folder":"x","name":"x",'
        '"trigger_mode":"always","allowed_users":["*"]}'
    )
    people.request("main", "register_group", payload, ADMIN)
    with people.store() as store, store.atomic() as db:
        db.execute("UPDATE requests SET state = 'accepted', role = 'admin' WHERE session <> 'host'")
    people.stage("ipc-watch", **OWNER)
    assert people.rows("SELECT state FROM requests WHERE session <> 'host'") == [("failed",)]
    assert people.rows("SELECT folder FROM registered_groups") == [("main",)]


def test_the_owner_runs_commands_of_the_host_and_nobody_else(people: People) -> None:
    for who in ("U3", "U2", "owner", "slack:U1"):
        say(people, who, "!touch done")
    assert people.rows("SELECT type FROM requests WHERE session = 'chat'") == []
    say(people, "U1", "!touch done")
    assert people.rows("SELECT type FROM requests WHERE session = 'chat'") == [("host_shell",)]
    assert people.rows("SELECT who FROM audit WHERE kind = 'shell'") == [("slack:U1",)]
