"""A stage's process is idle most of its life, and there are several: it loads nothing that is
for people or for changing schemas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"typer", "click", "pydantic", "sqlite_utils", "neonize"}
WHATSAPP = {"PYNCHY_CHANNELS__WHATSAPP__MAIN__TYPING": "true"}
"""A channel whose library is large is configured."""


def loaded(command: list[str], environ: dict[str, str], code: int = 0) -> set[str]:
    """The packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-P", "-m", *command],
        env={**environ, **WHATSAPP},
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr[-600:]
    return set(re.findall(r"^import time:.*\| +(\w+)", done.stderr, re.M))


@pytest.mark.parametrize("stage", ["listen@stdin", "route", "run-agent", "gateway", "serve"])
def test_a_stage_loads_nothing_heavy(home: Path, environment: dict[str, str], stage: str) -> None:
    options = {"channel": "stdin", "chat": "local:main"}
    asked = json.dumps({"home": str(home), "once": True, "options": options})
    found = loaded(["pynchy_cli.stage", stage, asked], environment)
    assert "pynchy_cli" in found
    assert not HEAVY & found


@pytest.mark.parametrize(
    ("command", "code"),
    [("--help", 0), ("status", 4), ("groups list", 0), ("auth --help", 0)],
)
def test_no_command_loads_whatsapps_library(
    home: Path, environment: dict[str, str], command: str, code: int
) -> None:
    (home / "data" / "neonize.db").touch()
    found = loaded(["pynchy_cli", "--home", str(home), *command.split()], environment, code)
    assert "pynchy_cli" in found
    assert not {"neonize", "google"} & found


@pytest.mark.parametrize("command", ["tasks list", "runs list", "mounts list"])
def test_who_only_reads_loads_nothing_to_wait_with(
    home: Path, environment: dict[str, str], command: str
) -> None:
    found = loaded(["pynchy_cli", "--home", str(home), *command.split()], environment)
    assert "typer" in found
    assert not {"asyncio", "aiohttp", "structlog"} & found
