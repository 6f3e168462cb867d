"""`list_groups` and `register_group`, for an admin group's agent."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent_runner.protocol.requests import (
    ListGroups,
    RefreshGroups,
    RegisterGroup,
    Request,
    type_of,
)
from pynchy_cli import clock
from pynchy_cli.errors import RequestRefused
from pynchy_cli.ipc.handlers import groups as handlers
from pynchy_cli.model import NewMessage
from pynchy_cli.store import chats, groups, messages, naming
from tests.asking import Asking, asking


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    """A home with the admin group main."""
    with asking(tmp_path) as made:
        made.group("main", is_admin=True)
        yield made


def told(ask: Asking, request: Request) -> Mapping[str, Any]:
    """What main's agent is told."""
    effect = handlers.EFFECTS[type_of(request)]
    return ask.told(effect, ask.asked(groups.get(ask.store.db, "main"), request))


def say(ask: Asking, jid: str, when: str) -> None:
    """Something is said in a chat."""
    with ask.store.atomic() as db:
        messages.add(db, NewMessage(f"m-{when}", jid, "ann", "Ann", "hello", when), when)


def test_groups_and_the_chats_of_none_are_listed(ask: Asking) -> None:
    ask.group("family", jid="slack:F")
    with ask.store.atomic() as db:
        chats.seen(db, "slack:F2", "more family", clock.now())
        db.execute("INSERT INTO group_chats(jid, group_folder) VALUES ('slack:F2', 'family')")
        chats.seen(db, "slack:quiet", "n" * 300, clock.now())
    say(ask, "slack:old", "2026-01-31T08:00:00.000Z")
    say(ask, "slack:new", "2026-02-01T08:00:00.000Z")
    found = told(ask, ListGroups())
    assert found["groups"] == [
        {"folder": "main", "name": "Main", "chats": ["local:main"], "is_admin": True},
        {
            "folder": "family",
            "name": "Family",
            "chats": ["slack:F", "slack:F2"],
            "is_admin": False,
        },
    ]
    assert [(one["jid"], one["last_message_at"]) for one in found["chats_without_group"]] == [
        ("slack:new", "2026-02-01T08:00:00.000Z"),
        ("slack:old", "2026-01-31T08:00:00.000Z"),
        ("slack:quiet", None),
    ]
    assert found["chats_without_group"][2]["name"] == "n" * handlers.NAME
    assert found["chats_without_group"][0]["channel"] == "slack"
    assert found["more"] is False


def test_of_very_many_chats_the_latest_are_listed(ask: Asking) -> None:
    with ask.store.atomic() as db:
        for number in range(handlers.SHOWN + 1):
            chats.seen(db, f"slack:{number}", None, clock.now())
    found = told(ask, ListGroups())
    assert len(found["chats_without_group"]) == handlers.SHOWN
    assert found["more"] is True


def test_a_group_is_made_with_its_folder_and_is_never_trusted(ask: Asking) -> None:
    request = RegisterGroup(jid="slack:F", folder="family", name=" The Family ", trigger="@jarvis")
    assert told(ask, request) == {
        "folder": "family",
        "name": "The Family",
        "jid": "slack:F",
        "trigger": "jarvis",
        "is_admin": False,
        "allowed_users": ["owner"],
    }
    group = groups.get(ask.store.db, "family")
    assert not group.is_admin
    assert (group.trigger_mode, group.trigger_pattern) == ("mention", "jarvis")
    assert stat.S_IMODE(ask.home.group("family").stat().st_mode) == 0o700


def test_it_listens_to_whom_the_asking_group_listens_to(ask: Asking) -> None:
    with ask.store.atomic() as db:
        db.execute("""UPDATE registered_groups SET allowed_users = '["owner", "slack:U1"]'""")
    made = told(ask, RegisterGroup(jid="slack:F", folder="family", name="F"))
    assert made["allowed_users"] == ["owner", "slack:U1"]
    assert made["trigger"] is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"folder": "main"}, "There is a group 'main' already"),
        ({"folder": "../family"}, "can't be a group's name"),
        ({"folder": "Family"}, "'family' would do"),
        ({"jid": "local:main"}, "belongs to the group 'main' already"),
        ({"jid": "nowhere"}, "is not a chat"),
        ({"trigger": "two words"}, "one word"),
        ({"trigger": "@"}, "one word"),
        ({"name": "turned\u202e"}, "one line"),
        ({"name": "  "}, "needs a name"),
        ({"jid": "whatsapp:4912345"}, "that chat is 'whatsapp:4912345@s.whatsapp.net'"),
        ({"jid": "whatsapp:bob"}, "is no chat on WhatsApp"),
    ],
)
def test_a_group_that_can_not_be_is_refused_before_anybody_is_asked(
    ask: Asking, changes: dict[str, str], why: str
) -> None:
    request = RegisterGroup(**{"jid": "slack:F", "folder": "family", "name": "F", **changes})
    with pytest.raises(RequestRefused, match=why) as refused:
        told(ask, request)
    assert refused.value.code == "group_invalid"
    assert [one.folder for one in groups.all(ask.store.db)] == ["main"]
    assert [one.name for one in ask.home.groups.iterdir()] == ["main"]


def test_one_that_was_made_meanwhile_is_refused_in_the_end(ask: Asking) -> None:
    """A person may have taken a long time to approve it."""
    main = groups.get(ask.store.db, "main")
    asked = ask.asked(main, RegisterGroup(jid="slack:F", folder="family", name="F"))
    ask.group("family")
    effect = handlers.EFFECTS["register_group"]
    assert effect.rows is not None
    with pytest.raises(RequestRefused, match="already"), ask.store.atomic() as db:
        effect.rows(db, asked, clock.now(), None)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_nothing_that_is_no_folder_is_taken_for_a_groups(ask: Asking, kind: str) -> None:
    elsewhere = ask.home.root / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        ask.home.group("family").symlink_to(elsewhere)
    else:
        ask.home.group("family").touch()
    with pytest.raises(RequestRefused) as refused:
        told(ask, RegisterGroup(jid="slack:F", folder="family", name="F"))
    assert refused.value.code == "host_failed"
    assert str(ask.home.root) not in str(refused.value)
    assert [one.folder for one in groups.all(ask.store.db)] == ["main"]


def test_a_folder_that_is_there_is_kept(ask: Asking) -> None:
    ask.home.group("family").mkdir()
    (ask.home.group("family") / "notes").write_text("old")
    assert told(ask, RegisterGroup(jid="slack:F", folder="family", name="F"))
    assert (ask.home.group("family") / "notes").read_text() == "old"


def test_a_person_is_shown_all_of_it() -> None:
    summary = handlers.EFFECTS["register_group"].summary
    assert summary is not None
    request = RegisterGroup(jid="slack:F", folder="family", name="F", trigger="jarvis")
    assert summary(request).splitlines() == [
        "Make a group, not an admin group:",
        "chat: slack:F",
        "name: F",
        "folder: family (what lies there already becomes the group's)",
        "answers to: @jarvis",
        "listens to: those whom the asking group listens to",
    ]


def test_channels_are_asked_for_the_names_of_their_chats(ask: Asking) -> None:
    now = clock.now()
    with ask.store.atomic() as db:
        naming.synced(db, "whatsapp", now)
        assert not naming.is_due(db, "whatsapp", now)
    assert told(ask, RefreshGroups()) == {"channels": ["whatsapp"]}
    assert naming.is_due(ask.store.db, "whatsapp", now)
