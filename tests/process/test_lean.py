"""A stage's process is idle most of its life, and there are several: it loads nothing that is
for people or for changing schemas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"typer", "click", "pydantic", "sqlite_utils"}


@pytest.mark.parametrize("stage", ["listen@stdin", "route", "run-agent", "gateway"])
def test_a_stage_loads_nothing_heavy(home: Path, environment: dict[str, str], stage: str) -> None:
    options = {"channel": "stdin", "chat": "local:main"}
    asked = json.dumps({"home": str(home), "once": True, "options": options})
    command = [sys.executable, "-X", "importtime", "-P", "-m", "pynchy_cli.stage", stage, asked]
    done = subprocess.run(
        command, env=environment, input="hello\n", capture_output=True, text=True, timeout=60
    )
    loaded = set(re.findall(r"^import time:.*\| +(\w+)", done.stderr, re.M))
    assert done.returncode == 0, done.stderr[-600:]
    assert "pynchy_cli" in loaded
    assert not HEAVY & loaded
