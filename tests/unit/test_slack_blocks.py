"""Replies as Slack's messages, with buttons."""

from __future__ import annotations

import pytest

from pynchy_cli.channels.base import Button, Outgoing, Piece
from pynchy_cli.channels.slack.blocks import arguments, pieces

YES = Button("Approve", "approve k4m2", "primary")
NO = Button("Deny", "deny k4m2", "danger")


def test_a_reply_is_as_many_messages_as_it_takes() -> None:
    text = "First **one**.\n\nThen another.\n\nAnd a last."
    assert pieces(Outgoing(text), 3500) == [Piece("First *one*.\n\nThen another.\n\nAnd a last.")]
    assert pieces(Outgoing(text, buttons=(YES, NO)), 30) == [
        Piece("First *one*.\n\nThen another."),
        Piece("And a last.", (YES, NO)),
    ]


@pytest.mark.parametrize(
    ("outgoing", "texts"),
    [
        (Outgoing("Hello", "Bash ls", is_open=True), ["Hello\n\n_Bash ls_"]),
        (Outgoing("", "Bash\n  ls", is_open=True), ["_Bash ls_"]),
        (Outgoing(" \n", "Read", is_open=True), ["_Read_"]),
        (Outgoing("Hello", "Bash ls", is_open=False), ["Hello"]),
        (Outgoing("", None, is_open=True), []),
        (Outgoing("", " \n ", is_open=True), []),
        (Outgoing("Hello\n\n- ", None, is_open=True), ["Hello"]),
        (Outgoing("Hello\n--", None, is_open=True), ["Hello"]),
        (Outgoing("Hello\n--", None), ["*Hello*"]),
        (Outgoing("x = ```\ncode\n``", None, is_open=True), ["x = ```\ncode"]),
        (Outgoing("a", "_<!here>_ `x`", is_open=True), ["a\n\n_ˍ&lt;!here&gt;ˍ ˋxˋ_"]),
        (Outgoing("", "z" * 200, is_open=True), [f"_{'z' * 119}…_"]),
        (Outgoing("a" * 25, "Bash", is_open=True), ["a" * 25, "_Bash_"]),
    ],
)
def test_what_an_agent_does_stands_below_until_it_has_done(
    outgoing: Outgoing, texts: list[str]
) -> None:
    assert [piece.text for piece in pieces(outgoing, 30 if outgoing.content else 200)] == texts


def test_names_of_addresses_hold_in_all_messages() -> None:
    text = f"See [this][r].\n\n{'word ' * 8}\n\n[r]: https://e.com/x"
    first, *_ = pieces(Outgoing(text), 40)
    assert first.text == "See <https://e.com/x|this>."


def test_without_buttons_it_is_text_and_takes_away_those_there_were() -> None:
    assert arguments(Piece("*Hi*")) == {"text": "*Hi*", "blocks": []}


def test_buttons() -> None:
    said = arguments(Piece("*Hi*", (YES, Button("Ask again, " * 9, "x"))))
    assert said["text"] == "*Hi*"
    section, row = said["blocks"]
    assert section == {"type": "section", "text": {"type": "mrkdwn", "text": "*Hi*"}}
    assert row["type"] == "actions"
    first, second = row["elements"]
    assert first == {
        "type": "button",
        "action_id": "say-0",
        "text": {"type": "plain_text", "text": "Approve", "emoji": False},
        "value": "approve k4m2",
        "style": "primary",
    }
    assert second["action_id"] == "say-1"
    assert len(second["text"]["text"]) == 75
    assert second["text"]["text"].endswith("…")
    assert "style" not in second


def test_slack_takes_what_it_is_given() -> None:
    many = tuple(Button(f"b{number}", f"say {number}") for number in range(40))
    blocks = arguments(Piece("word " * 690, many))["blocks"]
    sections = [one["text"]["text"] for one in blocks if one["type"] == "section"]
    rows = [one["elements"] for one in blocks if one["type"] == "actions"]
    assert all(0 < len(text) <= 3000 for text in sections)
    assert " ".join(sections).split() == ["word"] * 690
    assert [len(row) for row in rows] == [5] * 5
    assert len({one["action_id"] for row in rows for one in row}) == 25
    long = pieces(Outgoing("& " * 2000, buttons=many), 3500)
    assert [len(piece.buttons) for piece in long] == [0] * (len(long) - 1) + [40]
    assert all(len(piece.text) <= 3000 for piece in long)
