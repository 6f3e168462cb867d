"""`pynchy why`: the whole way of a message through real stages, told at its end."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conftest import Pynchy


def test_the_story_of_a_message_that_was_answered(pynchy: Pynchy, home: Path) -> None:
    pynchy("send", "main", "hello")
    waits = pynchy("why", "message:1", "--json").stdout.splitlines()
    assert json.loads(waits[-1]) == {
        "at": None,
        "kind": "next",
        "text": "It waits for route, which isn't running.",
        "state": "stage_away",
        "command": "pynchy up",
    }
    pynchy("route", "--once")
    pynchy("run-agent", "--once")
    told = [json.loads(line) for line in pynchy("why", "message:1").stdout.splitlines()]
    wanted = "came_in checked read queued begun reply delivered ended next"
    assert [one["kind"] for one in told] == wanted.split()
    begun = told[wanted.split().index("begun")]
    assert re.fullmatch(
        r"Run 1 was at work, attempt 1 in the sandbox \S+ by run-agent \(process \d+, pid \d+,"
        r" which has ended since\)\.",
        begun["text"],
    )
    assert (begun["run"], begun["attempt"], bool(begun["session"])) == (1, 1, True)
    assert told[-1]["state"] == "done"
    assert json.loads(pynchy("why", "run:1").stdout.splitlines()[-1])["state"] == "done"


def test_what_nothing_is_called_and_what_several_are(pynchy: Pynchy, home: Path) -> None:
    pynchy("send", "main", "hello")
    pynchy("route", "--once")
    said = json.loads(pynchy("why", "1", "--json", code=2).stdout)
    words = "'1' is several things: say which of message:1, run:1."
    assert said == {"ok": False, "error": {"code": "usage_wrong", "message": words}}
    assert "There is nothing called 'run:7'" in pynchy("why", "run:7", code=2).stderr
