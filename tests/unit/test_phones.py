"""What people type becomes what WhatsApp calls it."""

from __future__ import annotations

import pytest

from pynchy_cli.config import phones
from pynchy_cli.errors import UsageWrong

GROUP = "120363041234567890"


@pytest.mark.parametrize(
    "typed",
    [
        "+49 151 2345-6789",
        "0049 151 23456789",
        "49 (0) 151/2345.6789",
        "+49(0)15123456789",
        "4915123456789",
        " \u202a+49\u00a0151\u201323456789\u202c ",
    ],
)
def test_phone_numbers(typed: str) -> None:
    assert phones.digits(typed) == "4915123456789"


@pytest.mark.parametrize(
    "typed", ["", "0151 23456789", "+", "00", "49", "4" * 16, "49151x", "+49+151234", "٤٩١٥١٢٣٤٥٦"]
)
def test_what_is_no_phone_number(typed: str) -> None:
    assert phones.digits(typed) is None


@pytest.mark.parametrize(
    ("typed", "user"),
    [
        ("whatsapp:+49 123 45", "whatsapp:4912345"),
        ("whatsapp:4912345@s.whatsapp.net", "whatsapp:4912345"),
        ("whatsapp:4912345:3@c.us", "whatsapp:4912345"),
        ("whatsapp:12345@s.whatsapp.net", "whatsapp:12345"),
        ("whatsapp:88001@lid", "whatsapp:88001@lid"),
        ("whatsapp:owner", "whatsapp:owner"),
        ("slack:+49 123 45", "slack:+49 123 45"),
        ("owner", "owner"),
        ("+49 123 45", "+49 123 45"),
        ("*", "*"),
    ],
)
def test_people(typed: str, user: str) -> None:
    assert phones.meant(typed) == phones.require_user(typed) == user


@pytest.mark.parametrize(
    "typed",
    [
        "whatsapp:",
        "whatsapp:bob",
        "whatsapp:*",
        "whatsapp:Owner",
        "whatsapp:0151 23456789",
        f"whatsapp:{GROUP}@g.us",
        "whatsapp:4912345@g.us",
        "whatsapp:x@lid",
        "whatsapp:4912345@elsewhere",
        "whatsapp:owner@s.whatsapp.net",
    ],
)
def test_what_is_nobody(typed: str) -> None:
    assert phones.meant(typed) == typed
    with pytest.raises(UsageWrong, match="is nobody"):
        phones.require_user(typed)


@pytest.mark.parametrize(
    ("typed", "chat"),
    [
        ("whatsapp:+49 123 45", "whatsapp:4912345@s.whatsapp.net"),
        ("whatsapp:4912345", "whatsapp:4912345@s.whatsapp.net"),
        ("whatsapp:4912345@S.whatsapp.net", "whatsapp:4912345@s.whatsapp.net"),
        ("whatsapp:4912345@c.us", "whatsapp:4912345@s.whatsapp.net"),
        ("whatsapp:88001@lid", "whatsapp:88001@lid"),
        (f"whatsapp:{GROUP}@g.us", f"whatsapp:{GROUP}@g.us"),
        (f"whatsapp:{GROUP}", f"whatsapp:{GROUP}@g.us"),
        ("whatsapp:4915123456789-1612345678", "whatsapp:4915123456789-1612345678@g.us"),
        ("slack:C 1", "slack:C 1"),
        ("local:work", "local:work"),
    ],
)
def test_chats(typed: str, chat: str) -> None:
    assert phones.chat(typed) == chat


@pytest.mark.parametrize(
    "typed", ["whatsapp:", "whatsapp:owner", "whatsapp:0151 234567", "whatsapp:1@g.us"]
)
def test_what_is_no_chat(typed: str) -> None:
    with pytest.raises(UsageWrong, match="is no chat on WhatsApp"):
        phones.chat(typed)
