"""Who is meant by a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli.routing import triggers

WAKING = triggers.words("pynchy", ["ghost", "@ghost-writer"])


@pytest.mark.parametrize(
    ("text", "triggered", "rest"),
    [
        ("@pynchy hello", True, "hello"),
        ("  @PyNcHy\thello ", True, "hello"),
        ("@ghost what now?", True, "what now?"),
        ("@ghost-writer draft it", True, "draft it"),
        ("@pynchy", True, ""),
        ("@pynchy, hello", True, ", hello"),
        ("@pynchyx hello", False, "@pynchyx hello"),
        ("@pynchy_ hello", False, "@pynchy_ hello"),
        ("hello @pynchy", False, "hello @pynchy"),
        ("pynchy hello", False, "pynchy hello"),
        ("mail me at a@pynchy", False, "mail me at a@pynchy"),
        ("＠pynchy hello", False, "＠pynchy hello"),
        ("@pуnchy hello", False, "@pуnchy hello"),  # a Cyrillic look-alike
        ("", False, ""),
        ("@", False, "@"),
        ("\ud800 @pynchy", False, "\ud800 @pynchy"),
    ],
)
def test_a_mention_is_a_whole_word_at_the_start(text: str, triggered: bool, rest: str) -> None:
    decision = triggers.decide(text, WAKING, "mention", is_admin=False)
    assert (decision.triggered, decision.text) == (triggered, rest)


@pytest.mark.parametrize("text", ["hello", "@pynchy hello"])
def test_always_and_admin_need_no_word_and_lose_it(text: str) -> None:
    for mode, is_admin in (("always", False), ("mention", True), ("always", True)):
        decision = triggers.decide(text, WAKING, mode, is_admin=is_admin)  # type: ignore[arg-type]
        assert decision == triggers.Decision(True, "hello", is_called=text != "hello")


def test_a_word_may_end_in_a_mark() -> None:
    waking = triggers.words("c++")
    assert triggers.decide("@C++ go", waking, "mention", is_admin=False).text == "go"
    assert not triggers.decide("@C go", waking, "mention", is_admin=False).triggered


def test_nothing_wakes_where_there_is_no_word() -> None:
    assert triggers.words("", ["", " @ "], "") == ()
    assert not triggers.decide("@ hello", (), "mention", is_admin=False).triggered


@given(st.text())
def test_any_text_behind_the_word_comes_back_stripped(text: str) -> None:
    decision = triggers.decide(f"@pynchy {text}", WAKING, "mention", is_admin=False)
    assert decision == triggers.Decision(True, text.strip(), is_called=True)
