"""Chats of no group: what is said there is kept, and the admin group is asked about them, once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pynchy_cli import clock
from pynchy_cli.channels import meeting
from pynchy_cli.channels.intake import take
from pynchy_cli.config.settings import Channels, Settings, SlackRules, WhatsAppRules
from pynchy_cli.model import Chat, NewMessage
from pynchy_cli.store import approvals, chats, groups
from tests.people import People

NOW = "2026-01-31T08:00:00.000Z"
SETTINGS = Settings(channels=Channels(slack={"main": SlackRules(owner="U1")}))


@pytest.fixture
def people(tmp_path: Path) -> People:
    """A home with an admin group."""
    made = People.moved_in({}, tmp_path / "home")
    made.group("main", "owner", is_admin=True)
    return made


def said(
    people: People,
    jid: str,
    sender: str = "U2",
    name: str | None = None,
    now: str = NOW,
    type: str = "user",
    channel: str = "slack",
    metadata: str | None = None,
    settings: Settings = SETTINGS,
) -> str:
    """Somebody says something in a chat; the verdict on that."""
    with people.store() as store, store.atomic() as db:
        id = f"slack-{jid}-{sender}-{now}-{type}"
        one = NewMessage(id, jid, sender, "Eve", "hello", now, message_type=type, metadata=metadata)
        return take(db, channel, one, now, name, settings=settings).message.verdict


def invited(people: People, *found: Chat, is_new: bool = True) -> None:
    with people.store() as store, store.atomic() as db:
        meeting.met(db, SETTINGS, found, is_new, NOW)


def asked(people: People) -> Sequence[approvals.Approval]:
    with people.store() as store:
        return approvals.all(store.db)


def test_what_is_said_in_an_unknown_chat_is_kept_and_asked_about_once(people: People) -> None:
    assert said(people, "slack:C1", name="dev") == "refused"
    assert said(people, "slack:C1", "U3", now=clock.after(NOW, 9)) == "refused"
    invited(people, Chat("slack:C1", "dev"))
    assert people.rows("SELECT count(*) FROM messages WHERE chat_jid = 'slack:C1'") == [(2,)]
    (one,) = asked(people)
    assert one.summary.splitlines() == [
        "register_group",
        "Make a group of a chat, not an admin group:",
        "chat: slack:C1",
        "name: dev",
        "first there: Eve (slack:U2)",
        "folder: dev (what lies there already becomes the group's)",
        "answers to: its name",
        "listens to: owner (`pynchy groups allow dev USER` adds others)",
    ]
    assert one.expires_at == clock.after(NOW, 7 * 86400)
    assert people.rows("SELECT group_folder, session, type, gated FROM requests") == [
        ("main", "host", "register_group", 1)
    ]
    ((chat, key, words),) = people.rows("SELECT chat_jid, key, content FROM outbound_ledger")
    assert (chat, key) == ("local:main", f"approval:{one.id}")
    assert "> chat: slack:C1\n> name: dev\n" in words
    assert f"`approve {one.id}`" in words
    assert people.rows("SELECT count(*) FROM runs") == [(0,)]


def test_an_invitation_is_enough_and_being_there_is_not(people: People) -> None:
    invited(people, Chat("slack:C1", "dev"), Chat("slack:C2"), is_new=False)
    assert asked(people) == []
    invited(people, Chat("slack:C1", None), Chat("slack:C2"))
    names = {one.summary.splitlines()[3] for one in asked(people)}
    assert names == {"name: dev", "name: slack:C2"}
    assert "first there: we, invited" in asked(people)[0].summary


@pytest.mark.parametrize("type", ["edit", "deletion", "reaction"])
def test_only_speech_is_asked_about(people: People, type: str) -> None:
    said(people, "slack:C1", type=type)
    assert asked(people) == []


def test_chats_of_groups_and_of_the_shell_are_not_asked_about(people: People) -> None:
    people.group("dev", "owner", jid="slack:C1")
    said(people, "slack:C1")
    invited(people, Chat("slack:C1"))
    said(people, "local:nobody", channel="stdin")
    assert asked(people) == []


def test_without_an_admin_group_nobody_is_asked(tmp_path: Path) -> None:
    people = People.moved_in({}, tmp_path / "home")
    people.group("dev", "owner")
    assert said(people, "slack:C1") == "refused"
    invited(people, Chat("slack:C2"))
    assert asked(people) == []
    with people.store() as store:
        assert len(chats.of_nobody(store.db, 9)) == 2


def test_a_flood_of_chats_is_bounded(people: People) -> None:
    """A stranger opens a thousand direct messages; whoever is meant to be heard still is."""
    for number in range(300):
        said(people, f"slack:D{number}")
    assert len(asked(people)) == meeting.OPEN
    for kind in "EF":
        no_to_all(people)
        for number in range(100):
            said(people, f"slack:{kind}{number}")
    assert people.rows("SELECT count(*) FROM approvals") == [(meeting.DAILY,)]
    said(people, "slack:D0", now=clock.after(NOW, 1))  # denied: never again
    said(people, "slack:D1000", "U1")
    assert people.rows("SELECT count(*) FROM approvals") == [(meeting.DAILY + 1,)]
    said(people, "slack:F1", now=clock.after(NOW, 86401))
    assert people.rows("SELECT count(*) FROM approvals") == [(meeting.DAILY + 2,)]
    assert people.rows("SELECT count(*) FROM messages WHERE chat_jid LIKE 'slack:%'") == [(503,)]


def no_to_all(people: People) -> None:
    with people.store() as store, store.atomic() as db:
        for one in approvals.all(db):
            approvals.decide(db, one, "denied", "owner", NOW)


def test_a_direct_message_of_the_owner_is_answered_always(people: People) -> None:
    said(people, "slack:D1", "U1", "Olga Owner")
    said(people, "slack:D2", "U2")
    said(people, "slack:C3", "U1", now=clock.after(NOW, 1))
    found = people.rows("SELECT payload FROM requests ORDER BY id")
    told = [json.loads(row[0]) for row in found]
    assert [(one["folder"], one["trigger_mode"]) for one in told] == [
        ("olga-owner", "always"),
        ("eve", "mention"),
        ("eve-2", "mention"),
    ]
    assert {tuple(one["allowed_users"]) for one in told} == {("owner",)}


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("#Dev Ops!", "dev-ops"),
        ("Büro", "buro"),
        ("開発", "slack-c1"),
        ("../../etc", "etc"),
        ("---", "slack-c1"),
        ("x" * 300, "x" * 35),
        ("main", "main-2"),
        ("a\nchat: slack:C9\u202e", "a-chat-slack-c9"),
    ],
)
def test_a_folder_is_made_of_any_name(people: People, name: str, folder: str) -> None:
    said(people, "slack:C1", name=name)
    (payload,) = people.rows("SELECT payload FROM requests")[0]
    assert json.loads(payload)["folder"] == folder
    groups.require_folder(folder)
    (one,) = asked(people)
    assert len(one.summary.splitlines()) == 8
    assert len(re.findall(r"^chat: ", one.summary, re.MULTILINE)) == 1
    assert len(one.summary) < 1000


SELF = "whatsapp:49100@s.whatsapp.net"
OWN = '{"jid":"49100@s.whatsapp.net"}'


@pytest.mark.parametrize(
    ("jid", "sender", "metadata", "mode"),
    [
        (SELF, "owner", OWN, "always"),
        ("whatsapp:49200@s.whatsapp.net", "owner", OWN, "mention"),
        ("whatsapp:49300@s.whatsapp.net", "49300", None, "always"),
        ("whatsapp:120363@g.us", "owner", OWN, "mention"),
        ("whatsapp:120363@g.us", "49300", "odd", "mention"),
        (SELF, "49200", '{"jid":"49200@s.whatsapp.net"}', "mention"),
    ],
)
def test_only_alone_with_its_owner_the_assistant_answers_all(
    people: People, jid: str, sender: str, metadata: str | None, mode: str
) -> None:
    settings = Settings(channels=Channels(whatsapp={"main": WhatsAppRules(owner="49300")}))
    said(people, jid, sender, channel="whatsapp", metadata=metadata, settings=settings)
    (one,) = asked(people)
    assert ("everything that is said" in one.summary) == (mode == "always")
