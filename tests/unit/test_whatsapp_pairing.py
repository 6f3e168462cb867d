"""What the end of the codes means, and how people write phone numbers."""

from __future__ import annotations

import pytest

from pynchy_cli.channels.whatsapp import pairing, states
from pynchy_cli.errors import ChannelBroken, UsageWrong


@pytest.mark.parametrize(
    ("status", "is_over", "exit_code", "words"),
    [
        ("timeout", True, 1, "No phone took a code in time"),
        ("timeout", False, 111, "closed the connection"),
        ("err-client-outdated", False, 100, "neonize"),
        ("error", False, 1, r"let the device in \(error: Bad HMAC\)\."),
        ("err-unexpected-state", True, 1, "err-unexpected-state"),
    ],
)
def test_the_end_of_the_codes(status: str, is_over: bool, exit_code: int, words: str) -> None:
    error = pairing.ended(status, is_over=is_over, why="Bad HMAC.")
    assert error.exit_code == exit_code
    with pytest.raises(type(error), match=words):
        raise error


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "failed to dial whatsapp web websocket: failed to WebSocket dial: failed to send"
            ' handshake request: Get "https://web.whatsapp.com/ws/chat": read tcp 127.0.0.1:42288'
            "->127.0.0.1:35839: read: connection reset by peer",
            "connection reset by peer",
        ),
        ("it has ended: somehow", "it has ended: somehow"),
    ],
)
def test_why_nobody_answers_is_told_without_the_librarys_steps(said: str, why: str) -> None:
    assert states.undialled(said) == why


def test_a_disk_that_is_full_is_not_taken_for_whatsapp() -> None:
    full = "failed to upgrade database: transaction: commit: database or disk is full"
    error = states.unkept(full)
    assert isinstance(error, ChannelBroken)
    assert "can't be written: database or disk is full. " in str(error)
    assert states.unkept("failed to dial whatsapp web websocket: EOF") is None


@pytest.mark.parametrize(
    "text", ["+49 151 23456789", "004915123456789", "49-151/2345.6789", "+49(151)23456789"]
)
def test_a_number_as_people_write_it(text: str) -> None:
    assert pairing.number_of(text) == "4915123456789"


@pytest.mark.parametrize(
    "text", ["", "0151 23456789", "+49 (0) 151", "123", "+49x1", "+" + "1" * 16]
)
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageWrong, match="country's code"):
        pairing.number_of(text)
