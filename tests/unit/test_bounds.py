"""Every record fits and none is lost, whatever a model or a tool gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runner import bounds, protocol
from agent_runner.protocol import Notice, Record, Text, ToolResult, ToolUse, TurnEnded

LONG = 3_000_000


def heard(record: Record) -> Any:
    data = bounds.within(record)
    found = protocol.RecordReader().feed(data)
    assert len(found) == 1
    assert found[0][1] == len(data)
    return found[0][0]


@pytest.mark.parametrize(
    "record",
    [
        Text(turn="1", text="x" * LONG),
        Text(turn="1", text="\x01" * LONG),
        Text(turn="1", text="\U0001f600" * LONG),
        ToolResult(turn="1", tool_id="i" * LONG, content='"' * LONG),
        TurnEnded(turn="1", reply="r" * LONG, error="\ud800" * LONG, session_id="s" * LONG),
        ToolUse(turn="1", tool_id="t", name="n", input={"a": "\\" * LONG, "cut": [1]}),
        ToolUse(turn="1", tool_id="i" * LONG, name="n" * LONG, input={"k" * LONG: 1}),
        Notice(turn="1", subtype="s", data={"list": ["x" * 1000] * 3000}),
    ],
)
def test_what_is_too_long_is_cut_and_says_so(record: Record) -> None:
    kept = heard(record)
    assert type(kept) is type(record)
    assert kept.turn == "1"
    assert "more characters]" in str(kept)
    assert len(bounds.within(record)) > protocol.RECORD_LIMIT // 2


def test_the_note_says_how_much_is_missing() -> None:
    assert bounds.cut("abcdef", 6) == "abcdef"
    assert bounds.cut("abcdef", 2) == "ab\n[cut: 4 more characters]"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("\ud83d\ude00", "\U0001f600"),
        ("half \ud83d", "half \N{REPLACEMENT CHARACTER}"),
        (1 << 80, str(1 << 80)),
        ((1, None, True), [1, None, True]),
        (b"bytes", "Ynl0ZXM="),
        (float("inf"), None),
    ],
)
def test_what_json_cant_hold_is_replaced(value: Any, kept: Any) -> None:
    spoiled = {"value": value, "\ud800": "forces it"}
    assert heard(Notice(turn="1", subtype="s", data=spoiled)).data["value"] in (kept, repr(value))


@pytest.mark.parametrize("levels", [protocol.DEPTH - 1, protocol.DEPTH, 900, 100_000])
def test_what_is_nested_without_end_is_cut(levels: int) -> None:
    value: Any = "leaf"
    for level in range(levels):
        value = [value] if level % 2 else {"b": value}
    kept = heard(ToolUse(turn="1", tool_id="t", name="n", input={"a": value}))
    assert ("nested too deeply" in str(kept)) == (levels >= protocol.DEPTH)
    assert ("leaf" in str(kept)) == (levels < protocol.DEPTH)


def test_an_object_of_any_kind_is_told_by_its_name() -> None:
    assert "object" in heard(Notice(turn="1", subtype="s", data={"a": object()})).data["a"]


@given(st.text(st.characters(), max_size=50))
def test_whole_text_can_always_be_written(text: str) -> None:
    bounds.whole(text).encode()
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert bounds.whole(text) == text
