"""The units where they are for: in a machine that systemd runs. Started, hung, killed, broken for
good, changed and stopped; and the sandboxes of agents within their hardening."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.debian import Machine, booted
from tests.engine import Engine

pytestmark = pytest.mark.timeout(900)  # Whoever comes first makes a Debian.
UNITS = "/etc/systemd/system"
STAGES = ("gateway", "route", "run-agent", "ipc-watch", "schedule")
FINE = '[agent]\ncore = "echo"\n'


@pytest.fixture(scope="module")
def machine(engine: Engine) -> Iterator[Machine]:
    with booted(engine) as found:
        yield found


def lines(machine: Machine, *options: str) -> list[str]:
    """What stands in the journal of ours."""
    journal = ("journalctl", "--no-pager", "--output=cat", "-t", "pynchy")
    return machine.run(*journal, *options, code=None).splitlines()


def impatient(machine: Machine, unit: str) -> None:
    """Have a unit's watchdog bark soon."""
    folder = f"{UNITS}/{unit}.d"
    machine.run("mkdir", "-p", folder)
    machine.run("tee", f"{folder}/soon.conf", given="[Service]\nWatchdogSec=2\n")
    machine.run("systemctl", "daemon-reload")


def settled(machine: Machine) -> dict[str, str]:
    """The stages' processes, once no change of the configuration is being taken over."""

    def is_settled() -> bool:
        units = [f"pynchy@{stage}.service" for stage in STAGES]
        found = machine.show("pynchy-config.service", "ActiveState")
        jobs = machine.run("systemctl", "list-jobs", "--no-legend").strip()
        states = [machine.show(unit, "ActiveState") for unit in units]
        return found in ("inactive", "failed") and not jobs and set(states) == {"active"}

    machine.wait(is_settled)
    return {stage: machine.show(f"pynchy@{stage}", "MainPID") for stage in STAGES}


def test_one_unit_for_all(machine: Machine) -> None:
    machine.pynchy_as_root("install", "systemd")
    assert machine.run("systemd-analyze", "verify", "pynchy.service", "pynchy-config.path") == ""
    impatient(machine, "pynchy.service")
    machine.run("systemctl", "start", "pynchy")
    machine.says("main", "Are you there?")
    assert '"runtime": "bubblewrap"' in machine.pynchy("status", "--json", code=None)
    assert any("groupCount" in line for line in lines(machine, "--grep", "groupCount"))
    for line in lines(machine, "-u", "pynchy"):
        json.loads(line)

    first = machine.show("pynchy", "MainPID")
    machine.run("kill", "-STOP", first)
    machine.wait(lambda: machine.show("pynchy", "NRestarts") == "1")
    machine.wait(lambda: machine.show("pynchy", "ActiveState") == "active")
    assert machine.show("pynchy", "MainPID") != first
    machine.says("main", "And now?")
    machine.run("systemctl", "stop", "pynchy")
    assert machine.show("pynchy", "Result") == "success"


def test_each_stage_is_a_unit(machine: Machine) -> None:
    machine.pynchy_as_root("install", "systemd", "--each-stage")
    units = [f"pynchy@{stage}.service" for stage in STAGES]
    assert machine.run("systemd-analyze", "verify", "pynchy.target", *units) == ""
    impatient(machine, "pynchy@route.service")
    machine.run("systemctl", "start", "pynchy.target")
    machine.wait(lambda: all(machine.show(unit, "ActiveState") == "active" for unit in units))
    machine.says("main", "Are you all there?")
    assert any("groups loaded" in line for line in lines(machine, "PYNCHY_STAGE=route"))

    machine.run("kill", "-STOP", machine.show("pynchy@route", "MainPID"))
    machine.wait(lambda: machine.show("pynchy@route", "NRestarts") == "1")
    machine.run("kill", "-KILL", machine.show("pynchy@schedule", "MainPID"))
    machine.wait(lambda: machine.show("pynchy@schedule", "NRestarts") == "1")
    machine.wait(lambda: all(machine.show(unit, "ActiveState") == "active" for unit in units))
    machine.says("main", "Again?")


def test_a_changed_configuration_is_taken_over(machine: Machine) -> None:
    config = f"{machine.home}/config.toml"
    before = settled(machine)
    machine.write(config, FINE + '[commands]\nreset_verbs = ["forget"]\n')
    machine.wait(lambda: machine.show("pynchy@route", "MainPID") not in ("0", before["route"]))
    after = settled(machine)
    assert after["schedule"] == before["schedule"]

    machine.run("tee", config, given="[nonsense]\n")
    machine.wait(lambda: machine.show("pynchy-config.service", "Result") == "exit-code")
    assert settled(machine) == after
    assert any("nonsense" in line for line in lines(machine, "-p", "err"))
    # What is killed meanwhile reads what was well.
    machine.run("kill", "-KILL", after["schedule"])
    machine.wait(lambda: machine.show("pynchy@schedule", "MainPID") not in ("0", after["schedule"]))
    machine.wait(lambda: machine.show("pynchy@schedule", "ActiveState") == "active")


def test_what_is_broken_for_good_waits_for_a_change(machine: Machine) -> None:
    machine.run("systemctl", "stop", "pynchy.target", "pynchy@*", "pynchy-config.path")
    machine.run("rm", "-f", "/run/pynchy/accepted")
    machine.run("systemctl", "reset-failed")
    machine.run("systemctl", "start", "pynchy@route", code=1)
    assert machine.show("pynchy@route", "ExecMainStatus") == "100"
    assert machine.show("pynchy@route", "NRestarts") == "0"
    assert any("pynchy route" in line for line in lines(machine, "-p", "err", "-n", "1"))
    machine.run("systemctl", "start", "pynchy-config.path")
    machine.write(f"{machine.home}/config.toml", FINE)
    machine.wait(lambda: machine.show("pynchy@route", "ActiveState") == "active")
    machine.pynchy_as_root("uninstall")
    left = machine.run("sh", "-c", f"ls {UNITS} | grep pynchy", code=None).split()
    assert set(left) <= {"pynchy.service.d", "pynchy@route.service.d"}  # What we made ourselves.


def test_a_users_own(machine: Machine) -> None:
    machine.run("loginctl", "enable-linger", "pynchy")
    machine.wait(lambda: machine.show("user@1000", "ActiveState") == "active")
    said = machine.pynchy("install", "systemd", "--user")
    assert "loginctl enable-linger" in said
    assert machine.pynchy("install", "systemd", "--user").count("nothing, all is there") == 1
    machine.as_user("systemctl", "--user", "start", "pynchy")
    machine.says("main", "Are you mine?")
    assert "active (running)" in machine.as_user("systemctl", "--user", "status", "pynchy")
    machine.pynchy("uninstall", "--user")
    assert "not be found" in machine.as_user("systemctl", "--user", "status", "pynchy", code=4)
