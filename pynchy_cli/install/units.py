"""systemd's units as text, made of the list of services that `pynchy up` uses: one unit for all,
or a target with a unit for each stage; a system's, or a user's. It reads and writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pynchy_cli.errors import EXIT_BROKEN, EXIT_USAGE
from pynchy_cli.install import hardening
from pynchy_cli.install.hardening import Settings
from pynchy_cli.supervise.services import SERVICES, services

Flavour = Literal["system", "user"]
ONE, TARGET, STAGE, LISTEN = "pynchy.service", "pynchy.target", "pynchy@", "pynchy-listen@"
CONFIG, CONFIG_PATH = "pynchy-config.service", "pynchy-config.path"
MARK = "# Made by `pynchy install systemd`; `systemctl edit` changes a unit and lasts."
WATCHED = ("config.toml", ".env", "litellm_config.yaml")
FOLDER = "%t/pynchy"
"""Where `config apply` puts what it has found, as `applying` says."""
HUNG, START = 60, 900
"""Seconds without a sign of life after which a process is killed, and those in which it must be
ready: the first start of run-agent may build an image."""
SPARE = 15.0
"""Seconds beyond what agents get to end, before systemd kills."""
BUSY = ("run-agent", "schedule")
"""Stages that start what people and agents want, of which nobody knows how much that is."""
ALONE = ("route", "run-agent", "backup")
"""Stages that speak to this machine alone."""

WHY_JOBS = """\
# Host jobs are run by this stage and are held to what stands here: they can write to the home
# folder alone, and can't become root. `pynchy install systemd --loose-jobs` leaves all that out,
# and for single settings there is `systemctl edit`, for example:
#   [Service]
#   ReadWritePaths=/srv/backups
"""


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
    keeps_homes: bool = False
    """Whether something of it lies in people's homes."""
    can_isolate: bool = True
    """Whether namespaces can be had; a user's systemd needs the kernel's leave for them."""
    loose_jobs: bool = False

    @property
    def is_system(self) -> bool:
        """Whether they are the system's and not a user's."""
        return self.flavour == "system"


def checked_in(flavour: Flavour) -> Facts:
    """The facts of the units that lie in `systemd/`, to be read or copied."""
    if flavour == "system":
        return Facts(flavour, "/opt/pynchy/bin/python", "/var/lib/pynchy", "pynchy")
    return Facts(flavour, "%h/.local/share/pynchy/bin/python", "%h/pynchy")


def rendered(facts: Facts, *, each_stage: bool) -> dict[str, str]:
    """The files, by their paths below the folder of units."""
    files = {CONFIG: _config(facts), CONFIG_PATH: _config_path(facts)}
    if not each_stage:
        return {ONE: _one(facts), **files}
    files[TARGET] = _target(facts)
    files[f"{STAGE}.service"] = _stage(facts)
    files[f"{LISTEN}.service"] = _listen(facts)
    names = [name for name in SERVICES if name != "listen"]
    for at, name in enumerate(names):
        before = names[:at][-1:]
        files[f"{STAGE}{name}.service.d/stage.conf"] = _drop_in(facts, name, before)
    return files


def unit_of(service: str) -> str:
    """The unit of a service, such as `listen@slack`."""
    stage, _, channel = service.partition("@")
    return f"{LISTEN}{channel}.service" if channel else f"{STAGE}{stage}.service"


def escaped(path: str) -> str:
    """A path, so that systemd takes it as it is."""
    return path.replace("%", "%%")


def _one(facts: Facts) -> str:
    unit = {
        "Description": "Pynchy, a personal Claude assistant: all stages together",
        **_after(facts),
        "Conflicts": TARGET,
    }
    # In reverse order, agents first; each has what agents have, and no more together.
    settings = {
        **_service(facts, _command(facts, "up --json"), stop=2 * facts.grace + 4 * SPARE),
        **_limits("run-agent"),
        **_hardening(facts, hardening.SANDBOXES),
        **_paths(facts, facts.writable),
    }
    if facts.loose_jobs:
        settings |= _loosened(facts)
    return _text(WHY_JOBS, Unit=unit, Service=settings, Install=_wanted(facts))


def _target(facts: Facts) -> str:
    unit: Settings = {
        "Description": "Pynchy, a personal Claude assistant: each stage a unit",
        "Wants": f"{CONFIG_PATH} {CONFIG}",
    }
    return _text(Unit=unit, Install=_wanted(facts))


def _stage(facts: Facts) -> str:
    unit: Settings = {"Description": "Pynchy: %i", **_after(facts), "PartOf": TARGET}
    settings = {
        **_service(facts, _command_of(facts, "route", "route"), stop=facts.grace + SPARE),
        **_accepted(),
        "LogExtraFields": "PYNCHY_STAGE=%i",
        **_limits("%i"),
        **_hardening(facts, {}),
        **_paths(facts, ()),
    }
    return _text(Unit=unit, Service=settings, Install={"WantedBy": TARGET})


def _listen(facts: Facts) -> str:
    unit: Settings = {
        "Description": f"Pynchy: {SERVICES['listen']} (%i)",
        **_after(facts, unit_of("gateway")),
        "Before": unit_of("route"),
        "PartOf": TARGET,
    }
    settings = {
        **_service(facts, _command_of(facts, "listen@X", "X"), stop=facts.grace + SPARE),
        **_accepted(),
        "LogExtraFields": "PYNCHY_STAGE=listen@%i",
        **_limits("listen"),
        **_hardening(facts, {}),
        **_paths(facts, ()),
    }
    return _text(Unit=unit, Service=settings, Install={"WantedBy": TARGET})


def _drop_in(facts: Facts, name: str, before: Iterable[str]) -> str:
    """What is different in one stage: what it is for, what it comes after, what it needs."""
    unit: Settings = {"Description": f"Pynchy: {name}: {SERVICES[name]}"}
    if after := [unit_of(one) for one in before]:
        unit["After"] = " ".join(after)
    settings: Settings = dict(_limits(name)) if name in BUSY else {}
    if name == "run-agent":
        settings |= _kept(facts, hardening.SANDBOXES)
        settings |= {"ReadWritePaths": _listed((), facts.writable)} if facts.writable else {}
    if name in ALONE and facts.can_isolate and facts.user != "root":
        settings |= hardening.ALONE
    if name == "schedule":
        settings |= _loosened(facts) if facts.loose_jobs else _kept(facts, hardening.JOBS)
    return _text(WHY_JOBS if name == "schedule" else "", Unit=unit, Service=settings)


def _config_path(facts: Facts) -> str:
    unit: Settings = {"Description": "Pynchy: looks for changes of the configuration"}
    # The folder alone: a file that isn't there, among others, makes systemd miss what happens to
    # them. What else is made or written right in the home is looked at in vain.
    paths: Settings = {"PathChanged": facts.home, "Unit": CONFIG}
    return _text(Unit=unit, Path=paths, Install=_wanted(facts))


def _in_shell(path: str) -> str:
    """A path as a shell takes it that stands between double quotes in a unit."""
    return "'" + path.replace("'", "'\\\\''").replace('"', '\\"').replace("$", "$$") + "'"


def _config(facts: Facts) -> str:
    """It decides as whoever owns the home; the manager does of what it writes what may be."""
    user = "" if facts.is_system else " --user"
    allowed = (
        "^(enable|disable|start|stop|restart) pynchy(-listen)?(@[A-Za-z0-9._-]+)?\\\\.service$$"
    )
    each = f"while read -r verb unit; do systemctl{user} --no-block $$verb $$unit; done"
    places = " ".join(
        _in_shell(path) for path in (facts.home, *(f"{facts.home}/{name}" for name in WATCHED))
    )
    newer = f"find {places} -maxdepth 0 -newer {FOLDER}/looked 2>/dev/null | grep -q ."
    again = f"if {newer}; then systemctl{user} --no-block restart {CONFIG}; fi"
    unit: Settings = {
        "Description": "Pynchy: takes over a changed configuration",
        "StartLimitIntervalSec": "0",
    }
    settings: Settings = {
        "Type": "oneshot",
        **_whose(facts),
        "ExecStart": [
            _command(facts, f"config apply{user} --plan {FOLDER}"),
            f"+/bin/sh -c \"grep -E '{allowed}' {FOLDER}/units | {each}\"",
        ],
        # The path unit doesn't look while this one is at work.
        "ExecStopPost": f'+/bin/sh -c "{again}"',
        "TimeoutStartSec": "300",
        **_hardening(facts, {}),
        **_paths(facts, ()),
    }
    return _text(Unit=unit, Service=settings)


def _service(facts: Facts, command: str, stop: float) -> Settings:
    return {
        "Type": "notify",
        "NotifyAccess": "main",
        "ExecStart": command,
        **_whose(facts),
        "WatchdogSec": str(HUNG),
        "TimeoutStartSec": str(START),
        "TimeoutStopSec": f"{stop:g}",
        "Restart": "always",
        "RestartSec": "2",
        "RestartPreventExitStatus": f"{EXIT_BROKEN} {EXIT_USAGE}",
        "KillMode": "mixed",
    }


def _whose(facts: Facts) -> Settings:
    found: Settings = {"User": facts.user} if facts.is_system else {}
    return {
        **found,
        "WorkingDirectory": facts.home,
        "Environment": _quoted(f"PYNCHY_HOME={facts.home}"),
        "UMask": "0077",
        "RuntimeDirectory": "pynchy",
        "RuntimeDirectoryMode": "0700",
        "RuntimeDirectoryPreserve": "yes",
        "SyslogIdentifier": "pynchy",
    }


def _command(facts: Facts, arguments: str) -> str:
    # -P: a folder in which it happens to stand brings no modules in.
    program = _quoted(facts.python).replace("$", "$$")
    return f"{program} -P -m pynchy_cli {arguments}"


def _command_of(facts: Facts, service: str, instance: str) -> str:
    """The very command by which `pynchy up` starts a service; what it is called is the unit's
    instance."""
    command = services([service], Path(facts.home))[0].command
    words = [facts.python, *(word.replace(instance, "%i") for word in command[1:4])]
    named, document = command[4:]
    words += [named.replace(instance, "%i"), document.replace(f'"{instance}"', '"%i"')]
    return " ".join(_quoted(word) for word in words).replace("$", "$$")


def _accepted() -> Settings:
    """Where `config apply` says what was found well last, which is read while what is there now
    isn't."""
    return {"EnvironmentFile": f"-{FOLDER}/accepted"}


def _limits(stage: str) -> Settings:
    found: Settings = {"LimitCORE": "0"}
    if stage in BUSY:
        return {**found, "MemoryMax": "infinity", "TasksMax": "8192", "OOMPolicy": "continue"}
    return {**found, "MemoryMax": "1G", "TasksMax": "256"}


def _hardening(facts: Facts, kept: Settings) -> Settings:
    found = {**hardening.BARE, **(hardening.FULL if facts.can_isolate else {})}
    if facts.can_isolate:
        # A user's systemd listens in /run/user, which ProtectHome would hide as well.
        is_seen = facts.keeps_homes or not facts.is_system
        found["ProtectHome"] = "read-only" if is_seen else "yes"
    found = {**found, **_first(_kept(facts, kept))}
    return {**found, **_first(hardening.ROOT)} if facts.user == "root" else found


def _kept(facts: Facts, kept: Settings) -> Settings:
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


def _loosened(facts: Facts) -> Settings:
    return {**hardening.loose(_hardening(facts, {})), "ReadWritePaths": ""}


def _paths(facts: Facts, more: tuple[str, ...]) -> Settings:
    return {"ReadWritePaths": _listed((facts.home,), more)} if facts.can_isolate else {}


def _listed(needed: Iterable[str], more: Iterable[str]) -> str:
    """Paths, and others that needn't be there."""
    return " ".join(_quoted(path) for path in [*needed, *(f"-{path}" for path in more)])


def _after(facts: Facts, *more: str) -> Settings:
    outside = ["network-online.target", "docker.service"] if facts.is_system else []
    after = [*outside, *more]
    return {
        **({"Wants": "network-online.target"} if facts.is_system else {}),
        **({"After": " ".join(after)} if after else {}),
        # It never gives up by itself: what can't be mended by trying ends with 100.
        "StartLimitIntervalSec": "0",
    }


def _wanted(facts: Facts) -> Settings:
    return {"WantedBy": "multi-user.target" if facts.is_system else "default.target"}


def _quoted(text: str) -> str:
    """One word, as systemd splits lines."""
    if re.fullmatch(r"[\w%@/=.,:+-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(first: str = "", **sections: Settings) -> str:
    parts = []
    for section, settings in sections.items():
        lines = [f"[{section}]"]
        for name, value in settings.items():
            lines += [f"{name}={one}" for one in (value if isinstance(value, list) else [value])]
        if settings:
            parts.append("\n".join(lines) + "\n")
    return MARK + "\n" + first + "\n" + "\n".join(parts)
