"""Lines of logs, read from where they are: a file that is read backwards and followed while it is
put away, and the journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynchy_cli.tui import logs
from pynchy_cli.tui.logs import Wanted


def line(event: str, **facts: str) -> bytes:
    return json.dumps({"event": event, **facts}).encode() + b"\n"


@given(
    data=st.lists(st.sampled_from([b"", b"a", b"bc", b"\xff", b"d" * 9]), max_size=30),
    end=st.sampled_from([b"", b"torn", b"t" * 20]),
    block=st.integers(min_value=1, max_value=12),
)
def test_a_file_is_read_backwards_whatever_the_blocks_are(
    tmp_path_factory: pytest.TempPathFactory, data: list[bytes], end: bytes, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "backwards"
    path.write_bytes(b"".join(one + b"\n" for one in data) + end)
    assert list(logs.backwards(path, block)) == [one for one in reversed(data) if one]


def test_the_newest_are_taken_from_older_files_too(tmp_path: Path) -> None:
    path = tmp_path / "pynchy.ndjson"
    for name, numbers in (("", (5, 6)), (".1", (3, 4)), (".2", (1, 2)), (".x", (0,))):
        data = b"".join(line(str(number)) for number in numbers)
        path.with_name(path.name + name).write_bytes(data)
    for number in range(8):
        found = logs.newest(logs.files(path), Wanted(), number)
        assert [one["event"] for one in found] == list("123456")[max(0, 6 - number) :]
    assert logs.files(tmp_path / "no") == []


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Wanted(), "abcde"),
        (Wanted("listen"), "bc"),
        (Wanted("listen@slack"), "b"),
        (Wanted(level="warning"), "bd"),
        (Wanted("route", "error"), ""),
    ],
)
def test_stages_and_levels_are_chosen(wanted: Wanted, shown: str) -> None:
    lines = [
        {"event": "a", "stage": "route", "level": "info"},
        {"event": "b", "stage": "listen@slack", "level": "error"},
        {"event": "c", "stage": "listen@whatsapp", "level": "debug"},
        {"event": "d", "stage": "listener", "level": "critical"},
        logs.as_line(b"e"),
    ]
    assert "".join(str(one["event"]) for one in lines if wanted.has(one)) == shown


def test_a_file_is_followed_while_it_is_put_away(tmp_path: Path) -> None:
    path = tmp_path / "pynchy.ndjson"
    follower = logs.Follower(path)
    assert list(follower.more()) == []
    path.write_bytes(line("1") + b'{"event": ')
    assert [one["event"] for one in follower.more()] == ["1"]
    with path.open("ab") as file:
        file.write(b'"2"}\nno json\n')
    path.rename(tmp_path / "pynchy.ndjson.1")
    path.write_bytes(line("4"))
    assert [one["event"] for one in follower.more()] == ["2", "no json", "4"]
    follower.close()
    later = logs.Follower(path)
    assert list(later.more()) == [], "what was there before is shown by others"
    later.close()


def test_an_entry_of_the_journal_is_a_line_of_ours_or_somebody_s() -> None:
    ours = {"timestamp": "t", "level": "error", "stage": "route", "event": "x"}
    assert logs.as_journal({"MESSAGE": json.dumps(ours), "PRIORITY": "3"}) == ours
    entry = {
        "MESSAGE": "Started.",
        "PRIORITY": "4",
        "__REALTIME_TIMESTAMP": "1769846400123456",
        "UNIT": "pynchy-listen@slack.service",
    }
    assert logs.as_journal(entry) == {
        "timestamp": "2026-01-31T08:00:00.123Z",
        "level": "warning",
        "stage": "listen@slack",
        "event": "Started.",
    }
    odd = logs.as_journal({"MESSAGE": [104, 105, 255], "_SYSTEMD_UNIT": "pynchy@route.service"})
    assert (odd["event"], odd["stage"], odd["level"]) == (
        "hi\N{REPLACEMENT CHARACTER}",
        "route",
        "info",
    )
    assert logs.stage_of("pynchy.service") == "up"


def test_the_journal_is_asked_where_units_are(tmp_path: Path) -> None:
    tool = tmp_path / "journalctl"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    system = tmp_path / "system"
    assert logs.journal(environ, system) is None
    system.mkdir()
    (system / "pynchy@.service").touch()
    assert (logs.journal(environ, system) or [])[-1] == "--unit=pynchy*"
    mine = tmp_path / ".config/systemd/user"
    mine.mkdir(parents=True)
    (mine / "pynchy.service").touch()
    assert (logs.journal(environ, system) or [])[-1] == "--user-unit=pynchy*"
    assert logs.journal({**environ, "PATH": ""}, system) is None
