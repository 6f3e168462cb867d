"""`pynchy logs`: what `up` has kept, and the journal where there are units."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import Pynchy


def line(event: str, stage: str = "route", level: str = "info") -> str:
    facts = {"timestamp": "2026-01-31T08:00:00.000Z", "level": level, "stage": stage}
    return json.dumps({**facts, "event": event, "run": 5}) + "\n"


def test_what_was_kept_is_shown_and_followed(
    pynchy: Pynchy, home: Path, environment: dict[str, str]
) -> None:
    told = pynchy("logs")
    assert (told.stdout, "There is no log yet: `pynchy up` keeps one in" in told.stderr) == (
        "",
        True,
    )
    path = home / "data/logs/pynchy.ndjson"
    path.parent.mkdir(exist_ok=True)
    path.write_text(line("one") + line("two", "listen@slack", "warning") + line("three"))
    shown = pynchy("logs", "listen", "--level", "warning").stdout
    assert json.loads(shown) == json.loads(line("two", "listen@slack", "warning"))
    command = [sys.executable, "-m", "pynchy_cli", "--home", str(home), "logs", "-f", "-n", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["event"] == "three"
        with path.open("a") as file:
            file.write(line("four"))
        assert json.loads(child.stdout.readline())["event"] == "four"
        path.rename(path.with_name("pynchy.ndjson.1"))
        path.write_text(line("five"))
        assert json.loads(child.stdout.readline())["event"] == "five"
        child.send_signal(signal.SIGINT)
        assert child.wait(60) in (0, 130)


def test_units_are_read_from_the_journal(
    pynchy: Pynchy, home: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    entries = "\n".join(json.dumps({"MESSAGE": line(event).strip()}) for event in ("one", "two"))
    tool = folder / "journalctl"
    tool.write_text(f"#!/bin/sh\necho \"$@\" >&2\ncat <<'E'\n{entries}\nE\n")
    tool.chmod(0o755)
    units = Path(environment["HOME"]) / ".config/systemd/user"
    units.mkdir(parents=True)
    (units / "pynchy.service").touch()
    env = {"PATH": f"{folder}:{environment['PATH']}"}
    shown = pynchy("logs", "-n", "1", env=env)
    assert json.loads(shown.stdout)["event"] == "two"
    assert shown.stderr == "--output=json --no-pager --user-unit=pynchy* --lines=10000\n"
