"""The configuration is changed while `pynchy up` runs: what is well is followed by those that it
concerns, what isn't changes nothing and is told of."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.supervise.services import SERVICES
from tests.supervised import LIMIT, STEADY, Up

Pynchy = Callable[..., subprocess.CompletedProcess[str]]
STAGES = "gateway,route,schedule"


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the database says."""
    with sqlite3.connect(f"file:{home}/data/messages.db?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def replace(path: Path, text: str) -> None:
    """Put a file in the place of another, as editors do."""
    draft = path.with_name("draft")
    draft.write_text(text)
    draft.rename(path)


@pytest.fixture
def ready(up: Callable[..., Up], home: Path) -> Up:
    """Three stages that are ready, with a small configuration."""
    (home / "config.toml").write_text("")
    one = up("--only", STAGES)
    one.until("is ready", 3)
    return one


def pids(one: Up) -> dict[str, int]:
    return {name: one.pid(name) for name in STAGES.split(",")}


def test_only_those_that_a_change_concerns_start_again(ready: Up, home: Path) -> None:
    before = pids(ready)
    config = home / "config.toml"
    replace(config, "[scheduler]\nmax_jobs = 3\n")
    ready.until(r"the configuration has changed: schedule starts again$")
    assert ready.pid("schedule", 2) != before["schedule"]
    assert rows(home, "SELECT state FROM findings WHERE name = 'config'") == [("ok",)]

    for number in range(10):  # one write after the other, and each a whole configuration
        config.write_text(f"[scheduler]\nmax_jobs = {number + 4}\n")
    ready.until("schedule is ready", 3)
    replace(config, "[scheduler]\nmax_jobs = 13\n# the same\n")
    ready.until("it concerns nothing that runs")
    ready.process.send_signal(signal.SIGHUP)
    ready.until("the configuration is looked at, as somebody asked")
    ready.until("it concerns nothing that runs", 2)
    assert ready.said().count("schedule is ready") == 3
    assert ready.said().count("route is ready") == ready.said().count("gateway is ready") == 1
    (noted,) = rows(
        home, "SELECT settings FROM processes WHERE stage = 'schedule' AND ended_at IS NULL"
    )
    assert json.loads(noted[0])["scheduler"]["max_jobs"] == 13
    copies = list((home / "data" / "run").glob("accepted-*"))
    assert [(path.stat().st_mode & 0o777) for path in copies] == [0o700], "of one, and ours alone"

    replace(config, "[scheduler]\nmax_jobs = 13\n[log]\nlevel = 'debug'\n")
    ready.until("gateway, route, schedule start again")
    ready.until("is ready", 8)
    order = [line.split()[2] for line in ready.said().splitlines() if line.endswith(" stopped")]
    assert order[-3:] == ["schedule", "route", "gateway"]
    assert ready.stop(signal.SIGTERM) == 0


def test_what_can_not_be_used_changes_nothing(ready: Up, home: Path) -> None:
    """Not even for a stage that dies meanwhile; and the admin group is told, once each."""
    before = pids(ready)
    config = home / "config.toml"
    replace(config, "[agent]\nname = 'bob'\n")
    ready.until("route starts again")
    ready.until("route is ready", 2)
    replace(config, "[agent]\nnmae = 'rob'\n")
    ready.until("the configuration can't be used, so the old one stays in force: .*nmae")
    os.kill(ready.pid("route", 2), signal.SIGKILL)
    ready.until("route is ready", 3)
    config.unlink()
    ready.until("is gone; what it said stays in force")
    os.kill(before["schedule"], signal.SIGKILL)
    ready.until("schedule is ready", 2)
    noted = rows(home, "SELECT state, result ->> 'message' FROM findings WHERE name = 'config'")
    assert noted[0][0] == "failed"
    assert f"{config} is gone" in noted[0][1]
    names = rows(home, "SELECT stage, settings FROM processes WHERE ended_at IS NULL")
    found = {stage: json.loads(settings)["agent"]["name"] for stage, settings in names}
    assert found == {"gateway": "pynchy", "route": "bob", "schedule": "bob"}
    (route,) = rows(
        home, "SELECT settings FROM processes WHERE stage='route' ORDER BY id DESC LIMIT 1"
    )
    assert json.loads(route[0])["agent"]["name"] == "bob"

    ready.process.send_signal(signal.SIGHUP)
    ready.until("the configuration is looked at, as somebody asked")
    ready.until("is gone; what it said stays in force", 2)
    replace(config, "[agent]\nname = 'bob'\n")
    ready.until("the configuration has changed: it concerns nothing that runs")
    told = rows(home, "SELECT content FROM outbound_ledger WHERE key LIKE 'config:%' ORDER BY id")
    assert ["nmae" in told[0][0], "is gone" in told[1][0]] == [True, True]
    assert told[2:] == [("The configuration is well again, and in force.",)]
    assert ready.stop(signal.SIGTERM) == 0


def test_what_somebody_is_still_writing_is_told_to_nobody(ready: Up, home: Path) -> None:
    config = home / "config.toml"
    with config.open("w") as file:
        file.write("[scheduler]\nmax_jobs")
        file.flush()
        time.sleep(1.0)  # an editor's pause, longer than the one after which we look
        file.write(" = 3\n")
    ready.until("schedule starts again")
    assert ready.stop(signal.SIGTERM) == 0
    assert "can't be used" not in ready.said()
    assert rows(home, "SELECT count(*) FROM outbound_ledger WHERE key LIKE 'config:%'") == [(0,)]


def test_secrets_and_links(ready: Up, home: Path, tmp_path: Path) -> None:
    """A key is taken over by the gateway while it runs; a file may be a link to elsewhere. Nothing
    of either is left elsewhere in the end."""
    (home / "data/run/.accepted-killed").mkdir()
    elsewhere = tmp_path / "dotfiles" / "pynchy.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_text("")
    config = home / "config.toml"
    config.unlink()
    config.symlink_to(elsewhere)
    ready.until("it concerns nothing that runs")
    replace(elsewhere, "[scheduler]\nmax_jobs = 3\n")
    ready.until("schedule starts again")
    ready.until("schedule is ready", 2)
    (home / ".env").write_text("ANTHROPIC_API_KEY=one\n")
    ready.until("gateway starts again")
    gateway = ready.pid("gateway", 2)
    ready.until("with an API key")
    (home / ".env").write_text("ANTHROPIC_API_KEY=two\n")
    ready.until("it concerns nothing that runs", 2)
    assert ready.said().count("with an API key") == 2
    assert ready.pid("gateway") == gateway
    assert ready.stop(signal.SIGTERM) == 0
    assert not [one.name for one in (home / "data/run").iterdir() if "accepted" in one.name]


def test_stages_that_are_wanted_or_no_longer_are(start: Callable[..., Up], home: Path) -> None:
    config = home / "config.toml"
    config.write_text("[supervise]\nstages = ['route', 'schedule']\n")
    one = start(["-m", "pynchy_cli", "--home", str(home), "up", "--except", "gateway"])
    one.until("is ready", 2)
    config.write_text("[supervise]\nstages = ['gateway', 'ipc-watch', 'schedule']\n")
    one.until("route is no longer wanted; ipc-watch is new$")
    one.until("route stopped")
    one.until("ipc-watch is ready")
    config.write_text("[supervise]\nstages = ['rout']\n")
    one.until("can't be used.*There is no stage 'rout'")
    assert one.stop(signal.SIGTERM) == 0
    assert one.said().count("is ready") == 3
    assert re.findall(r"^up +\| (\S+) stopped", one.said(), re.M) == [
        *("route", "schedule", "ipc-watch")
    ]


def test_what_had_given_up_is_tried_again(supervise: Callable[..., Up], tmp_path: Path) -> None:
    """Whatever the change is; and what can't be asked just now is told, and asked again."""
    mended = tmp_path / "mended"
    asked = tmp_path / "asked"
    found = {"ok": True, "services": ["route"], "concerned": [], "grace": 30, "accepted": ""}
    full = {"ok": False, "error": {"code": "database_full", "message": "The disk is full."}}
    ask = (
        f"import json, os\nif not os.path.exists({str(asked)!r}):\n"
        f"    open({str(asked)!r}, 'w'); print({json.dumps(full)!r}); raise SystemExit(111)\n"
        f"print({json.dumps(found)!r})"
    )
    broken = f"import os\nif not os.path.exists({str(mended)!r}): raise SystemExit(100)\n{STEADY}"
    one = supervise({"again": 0.3}, home=tmp_path, ask=ask, route=broken, gateway=STEADY)
    one.until("route ended with code 100; it is not started again")
    mended.touch()
    (tmp_path / "config.toml").touch()
    one.until(r"the configuration can't be looked at just now: The disk is full\.")
    one.until("gateway is no longer wanted; route is tried again")
    one.until("route is ready")
    assert one.stop(signal.SIGTERM) == 0


def test_what_a_change_means_is_told_without_doing_it(home: Path, pynchy: Pynchy) -> None:
    found = json.loads(pynchy("config", "changed", "--json").stdout)
    assert (found["ok"], found["concerned"], found["grace"]) == (True, [], 40.0)
    assert found["services"] == [name for name in SERVICES if name not in ("listen", "backup")]
    one = pynchy("config", "changed", "--only", "listen@slack,route", "--except", "listen")
    assert json.loads(one.stdout)["services"] == ["route"]
    (home / "config.toml").write_text("[log]\nlevel = 'loud'\n")
    wrong = json.loads(pynchy("config", "changed", "--json", code=100).stdout)
    assert wrong["error"]["code"] == "config_invalid"
    assert rows(home, "SELECT count(*) FROM findings") == [(0,)], "which is for --tell"
