"""A folder of requests as it is read while somebody writes into it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pynchy_cli.ipc.inbox import Inbox

WRITING = """
import pathlib, sys
folder = pathlib.Path(sys.argv[1])
for number in range(8000):
    draft = folder / ".draft"
    draft.write_bytes(b"{}")
    draft.rename(folder / f"{number:08}-a.json")
"""


def test_none_is_seen_before_one_that_came_earlier(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    folder.mkdir()
    inbox = Inbox(folder)
    writer = subprocess.Popen([sys.executable, "-c", WRITING, str(folder)])
    most, holes = 0, []
    try:
        while writer.poll() is None:
            names = inbox.names()
            most = max(most, len(names))
            holes += [
                name
                for number, name in enumerate(names)
                if name != f"{number:08}-a.json" and not holes
            ]
    finally:
        writer.kill()
        writer.wait(30)
    assert writer.returncode == 0
    assert holes == []
    assert most > 1000
    assert len(inbox.names()) == 8000
    inbox.close()
