"""`pynchy install` and `uninstall`, as far as they can be tried without a systemd of one's own;
tests/process/test_units_in_systemd.py has the rest."""

from __future__ import annotations

import os
import plistlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pynchy_cli.install import systemd
from pynchy_cli.install.parts import MARK
from pynchy_cli.install.units import checked_in, rendered
from tests.conftest import Pynchy

STAND_IN = """#!/bin/sh
echo "$@" >> "$SAID"
"""


@pytest.fixture
def manager(tmp_path: Path) -> dict[str, str]:
    """An environment in which a program that notes what it is told stands for systemctl."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "systemctl").write_text(STAND_IN)
    (programs / "systemctl").chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "SAID": str(tmp_path / "said")}


def said(environment: dict[str, str]) -> list[str]:
    path = Path(environment["SAID"])
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [line.removeprefix("--user ") for line in lines if "show" not in line]


def test_a_dry_run_prints_and_makes_nothing(pynchy: Pynchy, home: Path, tmp_path: Path) -> None:
    text = pynchy("install", "systemd", "--user", "--dry-run").stdout
    folder = tmp_path / "person/.config/systemd/user"
    assert f"# {folder}/pynchy.service\n{MARK}\n" in text
    assert f"ExecStart={sys.executable} -P -m pynchy_cli up --json" in text
    assert not folder.exists()
    stages = pynchy("install", "systemd", "--each-stage", "--dry-run").stdout
    assert f"# {systemd.SYSTEM}/pynchy.target" in stages
    assert f"# {systemd.SYSTEM}/pynchy@run-agent.service.d/stage.conf" in stages


def test_lists_for_launchd_can_be_seen_everywhere(pynchy: Pynchy, home: Path) -> None:
    text = pynchy("install", "launchd", "--user", "--dry-run").stdout
    first, _, document = text.partition("\n")
    assert first.endswith("/Library/LaunchAgents/com.pynchy.plist")
    assert plistlib.loads(document.encode())["WorkingDirectory"] == str(home)
    if sys.platform == "linux":
        done = pynchy("install", "launchd", "--user", code=2)
        assert "pynchy install systemd" in done.stderr


def test_it_is_safe_to_repeat_and_is_taken_back(
    pynchy: Pynchy, home: Path, tmp_path: Path, manager: dict[str, str]
) -> None:
    folder = tmp_path / "person/.config/systemd/user"
    first = pynchy("install", "systemd", "--user", env=manager).stderr
    assert "Written in" in first
    assert "Next: systemctl --user start pynchy\n" in first
    assert "loginctl enable-linger" in first
    assert said(manager) == ["daemon-reload", "enable pynchy.service pynchy-config.path"]
    assert "nothing, all is there" in pynchy("install", "systemd", "--user", env=manager).stderr
    said(manager)

    (folder / "pynchy.service.d").mkdir()
    (folder / "pynchy.service.d/mine.conf").write_text("[Service]\nNice=5\n")
    again = pynchy("install", "systemd", "--user", "--each-stage", env=manager).stderr
    assert "no longer started: pynchy.service" in again
    assert said(manager)[0] == "disable --now pynchy.service"
    assert not (folder / "pynchy.service").exists()
    assert (folder / "pynchy@run-agent.service.d/stage.conf").exists()

    assert "removed from" in pynchy("uninstall", "--user", env=manager).stderr
    assert "Nothing of pynchy" in pynchy("uninstall", "--user", env=manager).stderr
    assert [one.name for one in folder.rglob("*") if one.is_file()] == ["mine.conf"]
    assert home.exists()


def test_what_somebody_else_made_stays(
    pynchy: Pynchy, home: Path, tmp_path: Path, manager: dict[str, str]
) -> None:
    unit = tmp_path / "person/.config/systemd/user/pynchy.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    done = pynchy("install", "systemd", "--user", env=manager, code=1)
    assert f"{unit} was made by somebody else" in done.stderr
    pynchy("uninstall", "--user", env=manager)
    assert unit.read_text().startswith("[Service]")


def test_without_a_systemd_it_is_a_sentence(pynchy: Pynchy, home: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = pynchy("install", "systemd", "--user", env=environment, code=1)
    assert re.search(r"pynchy: systemctl can't be run: .*\.\n$", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="tells what root would be told otherwise")
def test_the_whole_machine_needs_root(tmp_path: Path) -> None:
    """By a user who is nobody: what he may not do is said before anything is tried."""
    code = """
import os, sys
from pynchy_cli.commands.install import _require_rights
from pynchy_cli.errors import RightMissing
os.setuid(65534)
try:
    _require_rights("system")
except RightMissing as error:
    sys.exit(error.exit_code if "--user" in str(error) else 1)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 3


def test_the_marks_are_what_removal_goes_by(tmp_path: Path) -> None:
    for each_stage in (False, True):
        for text in rendered(checked_in("user"), each_stage=each_stage).values():
            assert text.startswith(MARK)
