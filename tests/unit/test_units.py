"""The units as text: complete, what systemd understands, little to get hold of, and those that are
checked in."""

from __future__ import annotations

import os
import plistlib
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pynchy_cli.config.accepted import taken
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import HomeUnusable
from pynchy_cli.install import applying, launchd, units
from pynchy_cli.install.parts import Facts, Flavour, escaped
from pynchy_cli.supervise.services import SERVICES, services
from tests.docs import SYSTEMD, unit_files

FLAVOURS: tuple[Flavour, ...] = ("system", "user")
NAMES = [name for name in SERVICES if name != "listen"]
EXPOSURES = {
    "pynchy.service": 2.5,
    "pynchy-listen@slack.service": 2.0,
    "pynchy-config.service": 2.0,
    **{f"pynchy@{name}.service": 2.5 if name == "run-agent" else 2.0 for name in NAMES},
}
NO_USER = 0.4
"""What systemd adds for a unit without User=, though a user's systemd runs nobody else's."""


@pytest.fixture(params=FLAVOURS)
def facts(request: pytest.FixtureRequest, tmp_path: Path) -> Facts:
    """Of this Python and of a home with a blank and a percent sign in its path."""
    home = tmp_path / "a home"
    home.mkdir()
    name = pwd.getpwuid(os.geteuid()).pw_name
    return Facts(request.param, escaped(sys.executable), escaped(str(home)), name)


@pytest.fixture(scope="session")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        why = "systemd-analyze is not installed"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    return found


def written(folder: Path, facts: Facts) -> Path:
    for each_stage in (False, True):
        for name, text in units.rendered(facts, each_stage=each_stage).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


def value(text: str, name: str) -> str:
    return re.findall(rf"(?m)^{name}=(.*)$", text)[-1]


def test_those_checked_in_are_these() -> None:
    for name, text in unit_files().items():
        assert (SYSTEMD / name).read_text() == text, "`make fix` writes them"
    found = {str(one.relative_to(SYSTEMD)) for one in SYSTEMD.rglob("*") if one.is_file()}
    assert found == set(unit_files())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_stages_are_started_as_by_up(flavour: Flavour, tmp_path: Path) -> None:
    facts = replace(units.checked_in(flavour), python=sys.executable, home=str(tmp_path))
    files = units.rendered(facts, each_stage=True)
    for service in services([*NAMES, "listen@slack.work"], tmp_path):
        unit = units.unit_of(service.name)
        instance = unit.partition("@")[2].removesuffix(".service")
        template = files[unit.replace(instance, "")]
        command = shlex.split(value(template, "ExecStart").replace("%i", instance))
        assert tuple(command) == service.command
    drop_ins = {name.partition(".service.d/")[0] for name in files if "/" in name}
    assert drop_ins == {f"pynchy@{name}" for name in NAMES}


def test_every_unit_is_watched_and_started_again() -> None:
    for flavour in FLAVOURS:
        facts = units.checked_in(flavour)
        files = {
            **units.rendered(facts, each_stage=False),
            **units.rendered(facts, each_stage=True),
        }
        for name in ("pynchy.service", "pynchy@.service", "pynchy-listen@.service"):
            assert value(files[name], "Type") == "notify"
            assert int(value(files[name], "WatchdogSec")) == 60
            assert value(files[name], "Restart") == "always"
            assert value(files[name], "RestartPreventExitStatus").split() == ["100", "2"]
            assert value(files[name], "SyslogIdentifier") == "pynchy"


def test_systemd_understands_them(facts: Facts, analyze: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "units", facts)
    names = [*EXPOSURES, "pynchy.target", "pynchy-config.path"]
    done = subprocess.run(
        [analyze, *manager(facts), "verify", *(str(folder / name) for name in names)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_little_of_them_is_exposed(flavour: Flavour, analyze: str, tmp_path: Path) -> None:
    facts = units.checked_in(flavour)
    for name, most in EXPOSURES.items():
        done = subprocess.run(
            [analyze, *manager(facts), "security", "--offline=yes", SYSTEMD / flavour / name],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        found = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
        assert found is not None, done.stderr
        # Of a user's, the one unit for all is the only one that needs this.
        spare = NO_USER if not facts.is_system and name == "pynchy.service" else 0.0
        assert float(found[1]) <= most + spare + 1e-9, (name, done.stdout)


def manager(facts: Facts) -> list[str]:
    return [] if facts.is_system else ["--user"]


def test_host_jobs_can_be_let_loose() -> None:
    facts = replace(units.checked_in("system"), loose_jobs=True)
    text = units.rendered(facts, each_stage=True)["pynchy@schedule.service.d/stage.conf"]
    for line in ("ProtectSystem=no", "NoNewPrivileges=no", "CapabilityBoundingSet=~"):
        assert line in text.splitlines()
    assert "--loose-jobs" in units.rendered(facts, each_stage=False)["pynchy.service"]


def test_what_agents_may_write_to_is_let_through() -> None:
    facts = replace(units.checked_in("system"), writable=("/srv/a project",))
    text = units.rendered(facts, each_stage=True)["pynchy@run-agent.service.d/stage.conf"]
    assert 'ReadWritePaths="-/srv/a project"' in text.splitlines()
    one = units.rendered(facts, each_stage=False)["pynchy.service"]
    assert 'ReadWritePaths=/var/lib/pynchy "-/srv/a project"' in one.splitlines()


@pytest.mark.parametrize("path", ["/a\nExecStart=+/bin/x", "/a\\x27; x", "/a\\", "/a\x1b"])
def test_no_path_says_more_than_a_path(path: str) -> None:
    with pytest.raises(HomeUnusable, match="No unit can name"):
        escaped(path)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nothing_of_the_owners_is_read_with_more_than_his_rights(flavour: Flavour) -> None:
    files = units.rendered(units.checked_in(flavour), each_stage=True)
    assert not [name for name, text in files.items() if "EnvironmentFile" in text]
    for name in ("pynchy@.service", "pynchy-listen@.service"):
        assert "Environment=PYNCHY_ACCEPTED=%t/pynchy/accepted" in files[name].splitlines()


def test_stages_read_what_was_found_well_last(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("accepted-1", "accepted-2"):
        (tmp_path / name).mkdir()
        applying.leave(run, {"accepted": str(tmp_path / name)}, [], each_stage=True)
        environ = {"PYNCHY_ACCEPTED": str(run / "accepted")}
        assert (taken(environ), environ) == (tmp_path / name, {})
    assert not (tmp_path / "accepted-1").exists()
    (tmp_path / "accepted-2").rmdir()
    assert taken({"PYNCHY_ACCEPTED": str(run / "accepted")}) is None


def test_backups_are_let_through() -> None:
    facts = replace(units.checked_in("system"), backups="/srv/backups")
    text = units.rendered(facts, each_stage=True)["pynchy@backup.service.d/stage.conf"]
    assert "ReadWritePaths=-/srv/backups" in text.splitlines()
    one = units.rendered(facts, each_stage=False)["pynchy.service"]
    assert "ReadWritePaths=/var/lib/pynchy -/srv/backups" in one.splitlines()


def test_only_who_makes_sandboxes_has_roots_rights() -> None:
    files = units.rendered(replace(units.checked_in("system"), user="root"), each_stage=True)
    assert "CAP_SYS_ADMIN" not in files["pynchy@.service"]
    assert "CAP_SYS_ADMIN" in files["pynchy@run-agent.service.d/stage.conf"]
    assert (
        "CAP_CHOWN"
        not in units.rendered(units.checked_in("system"), each_stage=False)["pynchy.service"]
    )


@pytest.mark.parametrize("each_stage", [False, True])
def test_launchd_gets_the_same_services(each_stage: bool, tmp_path: Path) -> None:
    names = [*NAMES, "listen@slack"]
    facts = Facts("user", sys.executable, str(tmp_path))
    files = launchd.rendered(facts, names, each_stage=each_stage)
    found = {name: plistlib.loads(text.encode()) for name, text in files.items()}
    assert all(name == f"{one['Label']}.plist" for name, one in found.items())
    commands = {tuple(one["ProgramArguments"]) for one in found.values()}
    if each_stage:
        assert commands == {one.command for one in services(names, tmp_path)}
    else:
        assert commands == {(sys.executable, "-P", "-m", "pynchy_cli", "up", "--json")}
        assert list(files) == ["com.pynchy.plist"]
    for one in found.values():
        assert one["KeepAlive"] == {"SuccessfulExit": False}
        assert one["EnvironmentVariables"]["PYNCHY_HOME"] == str(tmp_path)


def test_a_change_starts_stops_and_restarts() -> None:
    found = {"services": ["gateway", "listen@slack", "route"], "concerned": ["route"]}
    enabled = ["pynchy@gateway.service", "pynchy@route.service", "pynchy-listen@whatsapp.service"]
    assert applying.orders(found, enabled, each_stage=True) == [
        ("disable", "pynchy-listen@whatsapp.service"),
        ("stop", "pynchy-listen@whatsapp.service"),
        ("start", "pynchy@gateway.service"),
        ("enable", "pynchy-listen@slack.service"),
        ("start", "pynchy-listen@slack.service"),
        ("restart", "pynchy@route.service"),
    ]
    assert applying.orders(found, [], each_stage=False) == [("start", "pynchy.service")]


def test_sockets_lie_where_a_unit_may_make_them(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "pynchy").mkdir(parents=True)
    home = Home(tmp_path / "home")
    assert home.sockets({"XDG_RUNTIME_DIR": str(run)}).parent == run / "pynchy"
