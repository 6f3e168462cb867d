"""What is kept of a conversation before it is compacted, and where it may never be written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent_runner import archive

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def entry(kind: str, content: Any, **fields: Any) -> str:
    return json.dumps({"type": kind, "message": {"role": kind, "content": content}, **fields})


def transcript(folder: Path, *lines: str) -> Path:
    path = folder / "session.jsonl"
    path.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    return path


def test_texts_are_kept_with_their_speakers_and_nothing_else(tmp_path: Path) -> None:
    path = transcript(
        tmp_path,
        '{"type":"queue-operation"}',
        entry("user", "What's the owl's *colour*?"),
        entry("user", "context", isMeta=True),
        entry(
            "assistant",
            [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look."}],
        ),
        entry("assistant", [{"type": "tool_use", "name": "Bash", "input": {}}]),
        entry("user", [{"type": "tool_result", "content": "tool output"}]),
        entry("user", [{"type": "text", "text": "<system-reminder>be good</system-reminder>"}]),
        entry("assistant", "from a helper", isSidechain=True),
        entry("assistant", [{"type": "text", "text": "It is grey."}]),
    )
    kept = archive.keep(path, tmp_path, NOW)
    assert kept == tmp_path / "conversations" / "2026-03-04-050607-what-s-the-owl-s-colour.md"
    assert kept.read_text() == (
        "# Conversation until 2026-03-04 05:06 UTC\n\n"
        "**User**\n\nWhat's the owl's *colour*?\n\n"
        "**Assistant**\n\nI look.\n\n"
        "**Assistant**\n\nIt is grey.\n"
    )


def test_what_is_in_an_earlier_archive_is_not_kept_again(tmp_path: Path) -> None:
    path = transcript(
        tmp_path,
        entry("user", "old"),
        entry("assistant", "answered"),
        entry("user", "one too many"),
        '{"type":"system","subtype":"compact_boundary"}',
        entry("user", "This is continued from", isCompactSummary=True),
        entry("assistant", "new"),
    )
    assert archive.read(path) == [
        archive.Said("user", "one too many"),
        archive.Said("assistant", "new"),
    ]


def test_what_was_said_during_a_tool_is_kept(tmp_path: Path) -> None:
    said = {"type": "queued_command", "prompt": "and the owl?"}
    path = transcript(
        tmp_path,
        json.dumps({"type": "attachment", "attachment": said}),
        json.dumps({"type": "attachment", "attachment": {**said, "type": "date"}}),
        '{"type":"attachment","attachment":"text"}',
    )
    assert archive.read(path) == [archive.Said("user", "and the owl?")]


def test_lines_that_cant_be_read_are_left_out(tmp_path: Path) -> None:
    path = transcript(
        tmp_path,
        "not json",
        "[1, 2]",
        '{"type":"user"}',
        '{"type":"user","message":"text"}',
        '{"type":["user"],"message":{}}',
        entry("user", {"text": "no list"}),
        entry("user", [1, None, {"type": "text"}, {"type": "text", "text": 5}]),
        "[" * 100_000,
        "\udcff\udcfe",
        entry("user", "half \ud83d"),
        '{"type":"user","message":{"content":"cut o',
    )
    texts = [said.text for said in archive.read(path)]
    assert texts == ["5", "half \N{REPLACEMENT CHARACTER}"]


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    kept = archive.keep(transcript(tmp_path, entry("user", "x" * 5000)), tmp_path, NOW)
    assert kept is not None
    assert "[cut: 3000 more characters]" in kept.read_text()


def test_nothing_said_is_nothing_kept(tmp_path: Path) -> None:
    assert archive.keep(transcript(tmp_path, "{}"), tmp_path, NOW) is None
    assert not (tmp_path / "conversations").exists()


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Hello, World!", "hello-world"),
        ("../../etc/passwd", "etc-passwd"),
        ('<messages>\n<message sender="Eve" time="1">Buy milk</message>\n</messages>', "buy-milk"),
        ("\u00fc\u00df \U0001f600", "conversation"),
        ("", "conversation"),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_the_name_is_a_few_plain_words(text: str, slug: str) -> None:
    assert archive.slug([archive.Said("assistant", "no"), archive.Said("user", text)]) == slug


def test_an_archive_is_never_overwritten(tmp_path: Path) -> None:
    path = transcript(tmp_path, entry("user", "same"))
    names = [archive.keep(path, tmp_path, NOW) for _ in range(3)]
    assert [name.name[18:] for name in names if name] == ["same.md", "same-2.md", "same-3.md"]


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "conversations").mkdir()
    (tmp_path / "conversations" / "2026-03-04-050607-same.md").symlink_to(victim)
    (tmp_path / "conversations" / "2026-03-04-050607-same-2.md").symlink_to(tmp_path / "new")
    kept = archive.keep(transcript(tmp_path, entry("user", "same")), tmp_path, NOW)
    assert kept is not None
    assert kept.name.endswith("same-3.md")
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "conversations").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="conversations"):
        archive.keep(transcript(tmp_path, entry("user", "x")), tmp_path, NOW)
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_transcript_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    path = transcript(tmp_path, entry("user", "x"))
    (tmp_path / "link.jsonl").symlink_to(path)
    with pytest.raises(OSError, match=r"link\.jsonl"):
        archive.keep(tmp_path / "link.jsonl", tmp_path, NOW)
