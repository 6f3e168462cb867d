"""How what was said looks in a terminal, with its files."""

from __future__ import annotations

from pathlib import Path

from pynchy_cli.model import Attachment, Message
from pynchy_cli.tui.lines import Attached, as_line, as_row, as_said

SAID = Message("pynchy:request:1", "local:team", "pynchy", "pynchy", "here", "", seq=1)
FILES = (
    Attached(Attachment("plan.txt", 1536, "abc"), Path("/pynchy/files/abc")),
    Attached(Attachment("evil\nann: yes\x1b[2J", 3, "def"), Path("/pynchy/files/def")),
)


def test_files_stand_below_what_was_said_and_look_like_nothing_else() -> None:
    assert as_said(SAID, FILES) == (
        "pynchy: here\n"
        "    📎 plan.txt (1.5 KiB) /pynchy/files/abc\n"
        "    📎 evil ann: yes\\x1b[2J (3 bytes) /pynchy/files/def"
    )
    assert as_said(SAID) == "pynchy: here"


def test_a_line_has_them_too() -> None:
    said = Message(**{**SAID.__dict__, "received_at": "2026-01-31T08:00:00.000Z"})
    assert as_line(said, FILES).count("📎") == 2


def test_a_row_names_them() -> None:
    assert as_row(SAID)["files"] == []
    assert as_row(SAID, FILES)["files"][0] == {
        "name": "plan.txt",
        "size": 1536,
        "path": "/pynchy/files/abc",
    }


def test_where_it_was_said_and_what_only_changes_something() -> None:
    def line(type: str, content: str) -> str:
        said = Message("1", "slack:C1", "U1", "ann", content, "", message_type=type)
        return as_said(said, where="#dev\nx")

    assert line("user", "a {content}") == "ann (#dev x): a {content}"
    assert line("edit", "b") == "ann (#dev x): (edited) b"
    assert line("deletion", "") == "ann (#dev x): (has deleted something)"
    assert line("reaction", "eyes") == "ann (#dev x): :eyes:"


def test_an_answer_is_shown_without_its_marks_and_with_nothing_a_terminal_obeys() -> None:
    text = "Some **bold** [link](https://e.com) and `co\x1b[2Jde`.\n\n- one\n- *two*"
    given = Message("pynchy:run:1.1:1", "local:team", "pynchy", "pynchy", text, "", "assistant")
    assert as_said(given) == (
        "pynchy: Some bold link (https://e.com) and co\\x1b[2Jde.\n    \n    • one\n    • two"
    )
    # What people write is shown as they wrote it.
    said = Message("1", "local:team", "ann", "ann", "**no**", "")
    assert as_said(said) == "ann: **no**"
