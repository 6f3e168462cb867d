"""launchd's property lists, made of the list of services that `pynchy up` uses: one agent for all,
or one for each stage."""

from __future__ import annotations

import os
import plistlib
import subprocess
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from pynchy_cli.install.parts import Facts
from pynchy_cli.supervise.services import services

LABEL = "com.pynchy"
DAEMONS = Path("/Library/LaunchDaemons")
AGENTS = Path("Library/LaunchAgents")
THROTTLE = 60
"""Seconds between starts: launchd can't be told of an exit code after which none makes sense."""


def rendered(facts: Facts, names: list[str], *, each_stage: bool) -> dict[str, str]:
    """The files, by their names. `facts` hold plain paths here."""
    if not each_stage:
        return {f"{LABEL}.plist": _agent(facts, LABEL, ["pynchy_cli", "up", "--json"])}
    found = {}
    for service in services(names, Path(facts.home)):
        label = f"{LABEL}.{service.name.replace('@', '.')}"
        found[f"{label}.plist"] = _agent(facts, label, service.command[3:])
    return found


def folder(facts: Facts, person: Path) -> Path:
    """Where launchd looks for them."""
    return DAEMONS if facts.is_system else person / AGENTS


def install(place: Path, files: Mapping[str, str], person_domain: str) -> list[str]:
    """Write the files that differ and have launchd load them; what was done, in lines."""
    place.mkdir(parents=True, exist_ok=True)
    told = uninstall(place, person_domain, keep=files)
    for name, text in files.items():
        path = place / name
        if path.exists() and path.read_text() == text:
            told.append(f"{path} is there already.")
            continue
        if path.exists():
            _launchctl("bootout", person_domain, str(path))
        path.write_text(text)
        _launchctl("bootstrap", person_domain, str(path))
        told.append(f"Written and loaded: {path}.")
    return told


def present(place: Path) -> list[str]:
    """Our files there."""
    return sorted(path.name for path in place.glob(f"{LABEL}*.plist"))


def uninstall(place: Path, person_domain: str, keep: Container[str] = ()) -> list[str]:
    """Unload and remove ours, but those that are to stay; what was done, in lines."""
    told = []
    for name in present(place):
        if name not in keep:
            _launchctl("bootout", person_domain, str(place / name))
            (place / name).unlink()
            told.append(f"Unloaded and removed: {place / name}.")
    return told


def domain(facts: Facts) -> str:
    """Which of launchd's domains they are for."""
    return "system" if facts.is_system else f"gui/{os.getuid()}"


def _agent(facts: Facts, label: str, arguments: Sequence[str]) -> str:
    log = f"{facts.home}/data/logs/launchd.log"
    document: dict[str, Any] = {
        "Label": label,
        "ProgramArguments": [facts.python, "-P", "-m", *arguments],
        "EnvironmentVariables": {"PYNCHY_HOME": facts.home},
        "WorkingDirectory": facts.home,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": THROTTLE,
        "ExitTimeOut": round(2 * facts.grace + 60),
        "ProcessType": "Background",
        "Umask": 0o077,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    if facts.is_system:
        document["UserName"] = facts.user
    return plistlib.dumps(document).decode()


def _launchctl(*arguments: str) -> None:
    """Have launchd do something; what isn't loaded can't be unloaded, and that is well."""
    subprocess.run(["launchctl", *arguments], stdin=subprocess.DEVNULL, check=False)
