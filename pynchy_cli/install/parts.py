"""What units are put together from: what is the same in all of them, and how systemd wants it
written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pynchy_cli.config.accepted import ENVIRON as ACCEPTED
from pynchy_cli.errors import EXIT_BROKEN, EXIT_USAGE, HomeUnusable
from pynchy_cli.install import hardening
from pynchy_cli.install.hardening import Settings
from pynchy_cli.supervise.services import services

Flavour = Literal["system", "user"]
MARK = "# Made by `pynchy install systemd`; `systemctl edit` changes a unit and lasts."
FOLDER = "%t/pynchy"
"""Where `config apply` puts what it has found, as `applying` says."""
LINK = "accepted"
"""In that folder: a link to the copy of the configuration that was found well last."""
HUNG, START = 60, 900
"""Seconds without a sign of life after which a process is killed, and those in which it must be
ready: the first start of run-agent may build an image."""
SPARE = 15.0
"""Seconds beyond what agents get to end, before systemd kills."""
BUSY = ("run-agent", "schedule")
"""Stages that start what people and agents want, of which nobody knows how much that is."""


@dataclass(frozen=True)
class Facts:
    """What units are made of. Texts stand in them as they are: `%h` is what systemd makes of it."""

    flavour: Flavour
    python: str
    home: str
    user: str = ""
    """Who runs a system's units; of a user's, `root` or nothing."""
    grace: float = 30.0
    """Seconds that agents get to end."""
    writable: tuple[str, ...] = ()
    """What agents may be let write to besides the home."""
    backups: str = ""
    """Where backups are put, if any are made."""
    keeps_homes: bool = False
    """Whether something of it lies in people's homes."""
    can_isolate: bool = True
    """Whether namespaces can be had; a user's systemd needs the kernel's leave for them."""
    loose_jobs: bool = False

    @property
    def is_system(self) -> bool:
        """Whether they are the system's and not a user's."""
        return self.flavour == "system"


def escaped(path: str) -> str:
    """A path, so that systemd takes it as it is. Raises HomeUnusable for one that could pass for
    something else, there or in a shell: units of the system's are read with all rights."""
    if "\\" in path or not path.isprintable():
        raise HomeUnusable(f"No unit can name {path!a}: it has a backslash or a control character.")
    return path.replace("%", "%%")


def service(facts: Facts, command: str, stop: float) -> Settings:
    """What is the same for all that runs for ever; `stop` is in seconds."""
    return {
        "Type": "notify",
        "NotifyAccess": "main",
        "ExecStart": command,
        **whose(facts),
        "WatchdogSec": str(HUNG),
        "TimeoutStartSec": str(START),
        "TimeoutStopSec": f"{stop:g}",
        "Restart": "always",
        "RestartSec": "2",
        "RestartPreventExitStatus": f"{EXIT_BROKEN} {EXIT_USAGE}",
        "KillMode": "mixed",
    }


def whose(facts: Facts) -> Settings:
    """As whom, where, and by which name in the journal."""
    found: Settings = {"User": facts.user} if facts.is_system else {}
    return {
        **found,
        "WorkingDirectory": facts.home,
        "Environment": _home(facts),
        "UMask": "0077",
        "RuntimeDirectory": "pynchy",
        "RuntimeDirectoryMode": "0700",
        "RuntimeDirectoryPreserve": "yes",
        "SyslogIdentifier": "pynchy",
    }


def _home(facts: Facts) -> str:
    return quoted(f"PYNCHY_HOME={facts.home}")


def command(facts: Facts, arguments: str) -> str:
    """A command line of `pynchy`."""
    # -P: a folder in which it happens to stand brings no modules in.
    program = quoted(facts.python).replace("$", "$$")
    return f"{program} -P -m pynchy_cli {arguments}"


def command_of(facts: Facts, service: str, instance: str) -> str:
    """The very command by which `pynchy up` starts a service; what it is called is the unit's
    instance."""
    command = services([service], Path(facts.home))[0].command
    words = [facts.python, *(word.replace(instance, "%i") for word in command[1:4])]
    named, document = command[4:]
    words += [named.replace(instance, "%i"), document.replace(f'"{instance}"', '"%i"')]
    return " ".join(quoted(word) for word in words).replace("$", "$$")


def accepted(facts: Facts) -> Settings:
    """Where `config apply` keeps what was found well last, which is read while what is there now
    isn't. A link: a file of variables there would be read with the rights of systemd itself, and
    whoever runs as the home's owner could have it be any file."""
    return {"Environment": [_home(facts), f"{ACCEPTED}={FOLDER}/{LINK}"]}


def limits(stage: str) -> Settings:
    """What a stage may use up at most."""
    found: Settings = {"LimitCORE": "0"}
    if stage in BUSY:
        return {**found, "MemoryMax": "infinity", "TasksMax": "8192", "OOMPolicy": "continue"}
    return {**found, "MemoryMax": "1G", "TasksMax": "256"}


def hardened(facts: Facts, left: Settings) -> Settings:
    """All that is taken away, but for what is left to it."""
    found = {**hardening.BARE, **(hardening.FULL if facts.can_isolate else {})}
    if facts.can_isolate:
        # A user's systemd listens in /run/user, which ProtectHome would hide as well.
        is_seen = facts.keeps_homes or not facts.is_system
        found["ProtectHome"] = "read-only" if is_seen else "yes"
    found = {**found, **_first(kept(facts, left))}
    if facts.user == "root":
        found |= hardening.ROOT_FILES if left is not hardening.SANDBOXES else {}
        found |= _first(hardening.ROOT) if left is hardening.SANDBOXES else {}
    return found


def kept(facts: Facts, kept: Settings) -> Settings:
    """What is left to a stage of what was taken away; of root's, it has that already."""
    hidden = hardening.ROOT if facts.user == "root" else {}
    taken = {**hardening.BARE, **(hardening.FULL if facts.can_isolate else {})}
    return {name: kept[name] for name in kept if name in taken and name not in hidden}


def _first(settings: Settings) -> Settings:
    """The settings as a unit has them that nothing came before: there is nothing to reset."""
    return {
        name: [one for one in value if one] if isinstance(value, list) else value
        for name, value in settings.items()
    }


def loosened(facts: Facts) -> Settings:
    """What takes back all of that, for a drop-in or at the end of a unit."""
    return {**hardening.loose(hardened(facts, {})), "ReadWritePaths": ""}


def paths(facts: Facts, more: tuple[str, ...]) -> Settings:
    """Where it may write."""
    return {"ReadWritePaths": listed((facts.home,), more)} if facts.can_isolate else {}


def listed(needed: Iterable[str], more: Iterable[str]) -> str:
    """Paths, and others that needn't be there."""
    return " ".join(quoted(path) for path in [*needed, *(f"-{path}" for path in more)])


def after(facts: Facts, *more: str) -> Settings:
    """What it comes after."""
    outside = ["network-online.target", "docker.service"] if facts.is_system else []
    after = [*outside, *more]
    return {
        **({"Wants": "network-online.target"} if facts.is_system else {}),
        **({"After": " ".join(after)} if after else {}),
        # It never gives up by itself: what can't be mended by trying ends with 100.
        "StartLimitIntervalSec": "0",
    }


def wanted(facts: Facts) -> Settings:
    """With what it is started."""
    return {"WantedBy": "multi-user.target" if facts.is_system else "default.target"}


def quoted(text: str) -> str:
    """One word, as systemd splits lines."""
    if re.fullmatch(r"[\w%@/=.,:+-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(first: str = "", **sections: Settings) -> str:
    """A unit as a file."""
    parts = []
    for section, settings in sections.items():
        lines = [f"[{section}]"]
        for name, value in settings.items():
            lines += [f"{name}={one}" for one in (value if isinstance(value, list) else [value])]
        if settings:
            parts.append("\n".join(lines) + "\n")
    return MARK + "\n" + first + "\n" + "\n".join(parts)
