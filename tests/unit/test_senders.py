"""Who may speak."""

from __future__ import annotations

import pytest

from pynchy_cli.model import Group
from pynchy_cli.security.senders import verdict


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
    assert verdict(group(*allowed), channel, sender) == "allowed"


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
    assert verdict(group(*allowed), channel, sender) == "refused"


def test_a_chat_of_no_group_takes_nobody() -> None:
    assert verdict(None, "local", "owner") == "refused"


def test_an_admin_group_asks_too() -> None:
    assert verdict(group("owner", is_admin=True), "slack", "U1") == "refused"
