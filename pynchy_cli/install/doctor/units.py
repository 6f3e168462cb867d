"""Whether this machine starts pynchy by itself: systemd's units, or launchd's."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.install.doctor.facts import Facts
from pynchy_cli.install.doctor.finding import Seen, failed, ok, warning

NAMES = ("pynchy.service", "pynchy.target")
"""Of these one is installed: all in one, or each stage on its own."""
PATTERN = "pynchy*"
SHOWN = "Id,LoadState,ActiveState,UnitFileState,Result,NRestarts,FragmentPath,ExecMainStatus"
ENABLED = ("enabled", "enabled-runtime", "linked", "static", "alias")
INSTALL = "`pynchy install systemd --user` (or without --user as root)."
PLIST = "Library/LaunchAgents/com.pynchy.plist"


@dataclass(frozen=True)
class Unit:
    """A unit, as systemd tells of it; `scope` is the option by which it is found."""

    name: str
    scope: str
    state: str
    file_state: str
    result: str
    path: Path | None
    status: str

    @property
    def owner(self) -> str:
        """Whose it is."""
        return "user" if self.scope else "system"

    @property
    def command(self) -> str:
        """The command that shows it."""
        return " ".join(["systemctl", *filter(None, [self.scope]), "status", self.name])


def installed(facts: Facts) -> Iterator[Seen]:
    """Pynchy is started with the machine, by a program that is there."""
    if sys.platform == "darwin":
        plist = Path(facts.environ.get("HOME", "/"), PLIST)
        yield ok(
            f"{plist} is {'there' if plist.exists() else 'not there: `pynchy install launchd`'}."
        )
        return
    found = [one for one in _units(facts) if one.name in NAMES]
    if not found:
        yield ok(f"No units are installed; nothing starts pynchy by itself. {INSTALL}")
        return
    of_all = {one.path: one for one in _units(facts)}
    seen = [one for unit in of_all.values() for one in _of_file(unit)]
    yield from seen or [ok(f"{', '.join(one.name for one in found)} from {found[0].path}.")]


def _of_file(unit: Unit) -> Iterator[Seen]:
    if unit.path is None or not unit.path.is_file():
        return
    for line in unit.path.read_text(errors="replace").splitlines():
        key, _, value = line.partition("=")
        words = shlex.split(value, posix=True) if key.strip() == "ExecStart" else []
        program = words[0].lstrip("@-:+!") if words else ""
        if program.startswith("/") and not Path(program).exists():
            said = f"{unit.name} starts {program}, which isn't there."
            yield failed(said, f"Install pynchy there, or again: {INSTALL}", command=unit.command)


def enabled(facts: Facts) -> Iterator[Seen]:
    """What is installed is started with the machine."""
    found = [one for one in _units(facts) if one.name in NAMES]
    off = [one for one in found if one.file_state not in ENABLED]
    on = [one for one in found if one not in off]
    if len(on) > 1:
        names = " and ".join(f"{one.name} of the {one.owner}" for one in on)
        yield warning(
            f"{names} are enabled, and one will do.",
            f"`{_systemctl(on[-1], 'disable')} --now`; the second one only finds that all runs.",
        )
        return
    yield from [
        warning(
            f"{one.name} is {one.file_state or 'not enabled'}: it isn't started with the machine.",
            f"`{_systemctl(one, 'enable')}`.",
            command=one.command,
        )
        for one in off
    ] or [ok(f"{len(found)} units are enabled.")]


def broken(facts: Facts) -> Iterator[Seen]:
    """No unit has failed."""
    found = [one for one in _units(facts) if one.state == "failed"]
    yield from [
        failed(
            f"{one.name} has failed ({one.result}, exit code {one.status}).",
            f"`{_journal(one)}` tells why; then `{_systemctl(one, 'restart')}`.",
            command=one.command,
        )
        for one in found
    ] or [ok("No unit has failed.")]


def linger(facts: Facts) -> Iterator[Seen]:
    """A user's units run while the user is logged out."""
    users = [one for one in _units(facts) if one.scope and one.name in NAMES]
    said = (
        facts.ask("loginctl", "show-user", str(facts.uid), "--property=Linger") if users else None
    )
    if said is not None and said.out == "Linger=no":
        yield warning(
            f"{users[0].name} is a user's, and ends when the user logs out.",
            "`loginctl enable-linger`.",
        )
    else:
        yield ok("Nothing ends with a login." if users else "No unit of a user is installed.")


def _units(facts: Facts) -> Iterator[Unit]:
    """The units that are loaded, of the user and of the system."""
    scopes = ["--user"] if facts.environ.get("XDG_RUNTIME_DIR") else []
    for scope in (*scopes, ""):
        if scope == "" and not (facts.system / "run/systemd/system").is_dir():
            continue
        command = ["systemctl", *filter(None, [scope]), "show", "--no-pager"]
        said = facts.ask(*command, f"--property={SHOWN}", "--all", *NAMES, PATTERN)
        blocks = said.out.split("\n\n") if said is not None and said.code == 0 else []
        seen = set()
        for block in blocks:
            told = dict(line.partition("=")[::2] for line in block.splitlines())
            name = told.get("Id", "")
            if told.get("LoadState") != "loaded" or name in seen:
                continue
            seen.add(name)
            path = Path(told["FragmentPath"]) if told.get("FragmentPath") else None
            yield Unit(
                name,
                scope,
                told.get("ActiveState", ""),
                told.get("UnitFileState", ""),
                told.get("Result", ""),
                path,
                told.get("ExecMainStatus", ""),
            )


def _systemctl(unit: Unit, verb: str) -> str:
    return " ".join(["systemctl", *filter(None, [unit.scope]), verb, unit.name])


def _journal(unit: Unit) -> str:
    return " ".join(["journalctl", *filter(None, [unit.scope]), "-u", unit.name, "-n", "50"])
