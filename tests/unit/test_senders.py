"""Who may speak, and who decides."""

from __future__ import annotations

import pytest

from pynchy_cli.config.settings import (
    Approvals,
    Channels,
    PeopleRules,
    Settings,
    SlackRules,
    WhatsAppRules,
)
from pynchy_cli.model import Group
from pynchy_cli.security.senders import People, name_of, unknown_names


def group(*allowed: str, is_admin: bool = False) -> Group:
    return Group(
        folder="team",
        name="Team",
        jid="slack:C1",
        is_admin=is_admin,
        trigger_mode="mention",
        trigger_pattern=None,
        allowed_users=allowed,
        number=1,
        routed_seq=0,
        answered_seq=0,
        added_at="",
    )


@pytest.mark.parametrize(
    ("allowed", "channel", "sender"),
    [
        (("owner",), "local", "owner"),
        (("owner",), "stdin", "owner"),
        (("*",), "slack", "anybody"),
        (("U1",), "slack", "U1"),
        (("U1",), "whatsapp", "U1"),
        (("slack:U1",), "slack", "U1"),
        (("nobody", "slack:U1"), "slack", "U1"),
    ],
)
def test_allowed(allowed: tuple[str, ...], channel: str, sender: str) -> None:
    assert People().verdict(group(*allowed), channel, sender) == "allowed"


@pytest.mark.parametrize(
    ("allowed", "channel", "sender"),
    [
        ((), "local", "owner"),
        (("owner",), "slack", "owner"),  # who calls himself so is not the owner
        (("owner",), "stdin", "Owner"),
        (("owner",), "slack", "U1"),
        (("slack:U1",), "whatsapp", "U1"),
        (("slack:U1",), "whatsapp", "slack:U1"),
        (("slack:owner",), "whatsapp", "owner"),
        (("U1",), "slack", "u1"),
        (("U1",), "slack", ""),
        (("U1",), "slack", "*"),
        (("*",), "slack", ""),
    ],
)
def test_refused(allowed: tuple[str, ...], channel: str, sender: str) -> None:
    assert People().verdict(group(*allowed), channel, sender) == "refused"


def test_a_chat_of_no_group_takes_nobody() -> None:
    assert People().verdict(None, "local", "owner") == "refused"


def test_an_admin_group_asks_too() -> None:
    assert People().verdict(group("owner", is_admin=True), "slack", "U1") == "refused"


SETTINGS = Settings(
    people={
        "family": PeopleRules(members=("slack:U2", "friends", "nobody")),
        "friends": PeopleRules(members=("slack:U3", "family", "whatsapp:+49 123 45")),
        "us": PeopleRules(members=("owner",)),
        "all": PeopleRules(members=("*",)),
        "owner": PeopleRules(members=("slack:U6",)),
        "*": PeopleRules(members=("slack:U6",)),
        "slack:U7": PeopleRules(members=("slack:U6",)),
        "U8": PeopleRules(members=("slack:U2",)),
    },
    channels=Channels(
        slack={"main": SlackRules(owner="U1"), "work": SlackRules(owner="U5"), "x": SlackRules()}
    ),
)
KNOWN = People.of(SETTINGS)


@pytest.mark.parametrize(
    ("names", "channel", "sender"),
    [
        (("owner",), "slack", "U1"),
        (("owner",), "slack.work", "U5"),
        (("owner",), "slack.work", "U1"),
        (("owner",), "local", "owner"),
        (("us",), "slack", "U1"),
        (("us",), "stdin", "owner"),
        (("family",), "slack", "U2"),
        (("family",), "slack.work", "U3"),
        (("family",), "whatsapp", "4912345"),
        (("whatsapp:0049 123-45",), "whatsapp", "4912345"),
        (("whatsapp:4912345@s.whatsapp.net",), "whatsapp", "4912345"),
        (("friends",), "slack", "U2"),
        (("all",), "slack", "anybody"),
        (("U8",), "slack", "U2"),
        (("slack:U7",), "slack", "U7"),
    ],
)
def test_names_mean_people(names: tuple[str, ...], channel: str, sender: str) -> None:
    assert KNOWN.verdict(group(*names), channel, sender) == "allowed"


@pytest.mark.parametrize(
    ("names", "channel", "sender"),
    [
        (("owner",), "slack", "owner"),
        (("owner",), "slack", "slack:U1"),
        (("owner",), "slack", "U1 "),
        (("owner",), "slack", "u1"),
        (("owner",), "slack", ""),
        (("owner",), "slack", "U6"),
        (("owner",), "whatsapp", "U1"),
        (("owner",), "whatsapp", "slack:U1"),
        (("owner",), "local", "U1"),
        (("owner",), "stdin", "slack:U1"),
        (("us",), "slack", "owner"),
        (("us",), "slack", "us"),
        (("family",), "slack", "family"),
        (("family",), "slack", "friends"),
        (("family",), "slack", "nobody"),
        (("family",), "slack", "slack:U2"),
        (("family",), "whatsapp", "U2"),
        (("family",), "slack", "49"),
        (("family", "friends"), "slack", "friends"),
        (("U8",), "slack", "U8"),
        (("slack:U7",), "slack", "U6"),
        (("unknown",), "slack", "U2"),
        (("all",), "slack", ""),
    ],
)
def test_and_nobody_else(names: tuple[str, ...], channel: str, sender: str) -> None:
    assert KNOWN.verdict(group(*names), channel, sender) == "refused"


def test_everyone_can_be_left_out_however_deep() -> None:
    for names in (("*",), ("all",), ("family", "all")):
        assert KNOWN.is_one_of(names, "slack", "U9")
        assert not KNOWN.is_one_of(names, "slack", "U9", everyone=False)
    assert KNOWN.is_one_of(("all", "owner"), "slack", "U1", everyone=False)


def test_the_owner_is_who_has_the_shell_or_a_networks_section_names() -> None:
    assert KNOWN.is_owner("slack", "U1")
    assert KNOWN.is_owner("local", "owner")
    for channel, sender in (("slack", "owner"), ("slack", "U2"), ("x", "U1"), ("local", "U1")):
        assert not KNOWN.is_owner(channel, sender)
    assert not People().is_owner("slack", "")
    assert name_of("slack", "owner") == "slack:owner"


def test_names_that_mean_nobody_are_told_of() -> None:
    settings = Settings(people=SETTINGS.people, approvals=Approvals(approvers=("owner", "famly")))
    told = unknown_names(settings, [group("owner", "family", "slack:U4", "U4")])
    assert [one.split(": ")[0] for one in told] == [
        "[people.owner] can't be named",
        "[people.*] can't be named",
        "[people.slack:U7] can't be named",
        "[people.family] members",
        "[approvals] approvers",
        "The users of the group team",
    ]
    assert "no list 'nobody'" in told[3]
    assert "slack:U4 means one" in told[5]
    (number,) = unknown_names(Settings(), [group("+49 151 23456789")])
    assert number.endswith("; whatsapp:4915123456789 means one.")
    (nobody,) = unknown_names(Settings(), [group("whatsapp:bob", "whatsapp:+49 123 45")])
    assert nobody.startswith("The users of the group team: 'whatsapp:bob' means nobody.")


@pytest.mark.parametrize(
    ("channel", "sender", "is_owner"),
    [
        ("whatsapp", "owner", True),
        ("whatsapp", "493012345", True),
        ("whatsapp", "4931", False),
        ("whatsapp", "whatsapp:owner", False),
        ("slack", "owner", False),
        ("slack", "493012345", False),
    ],
)
def test_whoever_holds_the_account_of_whatsapp_is_the_owner(
    channel: str, sender: str, is_owner: bool
) -> None:
    settings = Settings(channels=Channels(whatsapp={"main": WhatsAppRules(owner="+49 30 12345")}))
    people = People.of(settings)
    assert people.is_owner(channel, sender) == is_owner
    verdict = "allowed" if is_owner else "refused"
    assert people.verdict(group("owner"), channel, sender) == verdict
    assert People.of(Settings()).is_owner("whatsapp", "owner")
