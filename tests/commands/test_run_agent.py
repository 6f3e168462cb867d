"""`pynchy run-agent GROUP` in somebody's hands: a terminal to type in, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path


def test_ctrl_c_ends_it_while_the_prompt_is_typed(home: Path, environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "pynchy_cli", "--home", str(home), "run-agent", "main"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        assert child.stderr is not None
        assert child.stderr.readline() == "Type the prompt; Ctrl-D in a line of its own ends it.\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=30) == ("", "")
    finally:
        child.kill()
        child.communicate()
        os.close(ours)
        os.close(theirs)
    assert child.returncode == 130
