"""Every call that docs/http.md shows works as it is written there, in its order."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pynchy_cli.web.routes import ROUTES
from tests.http_house import TOKEN, House
from tests.process.test_serve import housed

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.M | re.S)
LINES = [line for block in BLOCKS for line in block.splitlines()]
BIN = Path(sys.executable).parent


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    if shutil.which("curl") is None:
        why = "curl is not installed"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    made = housed(tmp_path)
    try:
        made.gated("k7m2", "local:main", folder="main")
        made.start()
        yield made
    finally:
        made.close()


def typed(house: House, line: str) -> str:
    """What a line prints, typed in a shell where pynchy is installed and its home chosen; of what
    never ends only what there is of events."""
    path = f"{BIN}:{os.environ['PATH']}"
    chosen = {"PATH": path, "PYNCHY_HOME": str(house.home.root), "TOKEN": TOKEN}
    here = line.replace("localhost:8484", f"localhost:{house.port}")
    shell = subprocess.Popen(
        ["sh", "-euc", f"exec {here}" if is_endless(line) else here],
        env={**house.environment, **chosen},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert shell.stdout is not None
    with shell:
        if is_endless(line):
            printed = ""
            while not re.search("^data: .*\n", printed, re.M):
                printed += shell.stdout.readline()
            shell.kill()
            return printed
        printed = shell.stdout.read()
    assert shell.returncode == 0, line
    return printed


def is_endless(line: str) -> bool:
    """Whether that goes on until somebody ends it."""
    return "/api/events" in line


def test_every_call_works_as_it_is_written(house: House) -> None:
    printed = {line: typed(house, line) for line in LINES}
    for line, text in printed.items():
        if "/metrics" in line:
            assert 'pynchy_state{state="degraded"} 1' in text
        elif "/openapi.json" in line:
            assert text.split() == list(dict.fromkeys(route.path for route in ROUTES))
        elif "/api/events" in line:
            assert re.search(r'^id: \d+-\d+-\d+\ndata: {"type":"message"', text, re.M)
        elif "/deploy" in line:
            assert json.loads(text)["error"]["code"] == "not_there"
        else:
            assert not isinstance(found := json.loads(text), dict) or "error" not in found, line
    senders = [row[0] for row in house.rows("SELECT sender FROM messages ORDER BY seq")]
    assert senders == ["api", "owner"]
    assert house.rows("SELECT state, decided_by FROM approvals") == [("denied", "owner (http)")]
    assert house.rows("SELECT count(*) FROM holds") == [(0,)]


def test_every_call_that_there_is_is_told_of() -> None:
    missing = [route.path for route in ROUTES if route.path.partition("{")[0] not in TEXT]
    assert not missing
    assert len(LINES) > 15
