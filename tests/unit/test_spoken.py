"""What people are sent of an agent's text, whole and while it is written."""

from __future__ import annotations

import pytest

from pynchy_cli.agent.spoken import internal, spoken

CODE = "```\n<internal>x</internal>\n```\n"
ANSWER = "Hello <internal>she asked twice</internal>Ana, <internal>\n</internal>well."


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hello.", "Hello."),
        (ANSWER, "Hello Ana, well."),
        ("<internal>nothing new</internal>", ""),
        ("<internal>well</internal>\n\n  Yes.", "Yes."),
        ("  x = 1 <internal>well</internal>", "  x = 1 "),
        ("a <internal>never ends", "a <internal>never ends"),
        ("say `<internal>` so: `</internal>`!", "say `<internal>` so: `</internal>`!"),
        (
            "```\n<internal>x</internal>\n```\n<internal>y</internal>",
            "```\n<internal>x</internal>\n```\n",
        ),
        ("a < b </internal>", "a < b </internal>"),
    ],
)
def test_a_whole_text_loses_what_is_internal(text: str, left: str) -> None:
    assert spoken(text, is_final=True) == left


def test_while_it_is_written_nothing_internal_is_ever_seen() -> None:
    seen = [spoken(ANSWER[:length], is_final=False) for length in range(len(ANSWER) + 1)]
    whole = spoken(ANSWER, is_final=True)
    assert all(whole.startswith(part) for part in seen)
    assert seen[-1] == whole
    assert seen == sorted(seen, key=len)


def test_what_is_internal_can_be_logged() -> None:
    assert internal(ANSWER) == ["she asked twice", ""]
    assert internal("a <internal>never ends") == []
