"""systemd's units as text, made of the list of services that `pynchy up` uses: one unit for all,
or a target with a unit for each stage; a system's, or a user's. It reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from pynchy_cli.install import hardening, parts
from pynchy_cli.install.hardening import Settings
from pynchy_cli.install.parts import BUSY, FOLDER, SPARE, Facts, Flavour
from pynchy_cli.supervise.services import SERVICES

ONE, TARGET, STAGE, LISTEN = "pynchy.service", "pynchy.target", "pynchy@", "pynchy-listen@"
CONFIG, CONFIG_PATH = "pynchy-config.service", "pynchy-config.path"
WATCHED = ("config.toml", ".env", "litellm_config.yaml")
ALONE = ("route", "run-agent", "backup")
"""Stages that speak to this machine alone."""

WHY_JOBS = """\
# Host jobs are run by this stage and are held to what stands here: they can write to the home
# folder alone, and can't become root. `pynchy install systemd --loose-jobs` leaves all that out,
# and for single settings there is `systemctl edit`, for example:
#   [Service]
#   ReadWritePaths=/srv/backups
"""


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
        files[f"{STAGE}{name}.service.d/stage.conf"] = _drop_in(facts, name, names[:at])
    return files


def unit_of(service: str) -> str:
    """The unit of a service, such as `listen@slack`."""
    stage, _, channel = service.partition("@")
    return f"{LISTEN}{channel}.service" if channel else f"{STAGE}{stage}.service"


def _one(facts: Facts) -> str:
    unit = {
        "Description": "Pynchy, a personal Claude assistant: all stages together",
        **parts.after(facts),
        "Conflicts": TARGET,
    }
    # In reverse order, agents first; each has what agents have, and no more together.
    settings = {
        **parts.service(facts, parts.command(facts, "up --json"), stop=2 * facts.grace + 4 * SPARE),
        **parts.limits("run-agent"),
        **parts.hardened(facts, hardening.SANDBOXES),
        **parts.paths(facts, (*facts.writable, *_backups(facts))),
    }
    if facts.loose_jobs:
        settings |= parts.loosened(facts)
    return parts.text(WHY_JOBS, Unit=unit, Service=settings, Install=parts.wanted(facts))


def _target(facts: Facts) -> str:
    unit: Settings = {
        "Description": "Pynchy, a personal Claude assistant: each stage a unit",
        "Wants": f"{CONFIG_PATH} {CONFIG}",
    }
    return parts.text(Unit=unit, Install=parts.wanted(facts))


def _stage(facts: Facts) -> str:
    unit: Settings = {"Description": "Pynchy: %i", **parts.after(facts), "PartOf": TARGET}
    settings = {
        **parts.service(facts, parts.command_of(facts, "route", "route"), stop=facts.grace + SPARE),
        **parts.accepted(facts),
        "LogExtraFields": "PYNCHY_STAGE=%i",
        **parts.limits("%i"),
        **parts.hardened(facts, {}),
        **parts.paths(facts, ()),
    }
    return parts.text(Unit=unit, Service=settings, Install={"WantedBy": TARGET})


def _listen(facts: Facts) -> str:
    unit: Settings = {
        "Description": f"Pynchy: {SERVICES['listen']} (%i)",
        **parts.after(facts, unit_of("gateway")),
        "Before": unit_of("route"),
        "PartOf": TARGET,
    }
    settings = {
        **parts.service(facts, parts.command_of(facts, "listen@X", "X"), stop=facts.grace + SPARE),
        **parts.accepted(facts),
        "LogExtraFields": "PYNCHY_STAGE=listen@%i",
        **parts.limits("listen"),
        **parts.hardened(facts, {}),
        **parts.paths(facts, ()),
    }
    return parts.text(Unit=unit, Service=settings, Install={"WantedBy": TARGET})


def _drop_in(facts: Facts, name: str, before: Iterable[str]) -> str:
    """What is different in one stage: what it is for, what it comes after, what it needs."""
    unit: Settings = {"Description": f"Pynchy: {name}: {SERVICES[name]}"}
    if after := [unit_of(one) for one in before]:
        unit["After"] = " ".join(after)
    settings: Settings = dict(parts.limits(name)) if name in BUSY else {}
    if name == "run-agent":
        settings |= parts.kept(facts, hardening.SANDBOXES)
        settings |= {"ReadWritePaths": parts.listed((), facts.writable)} if facts.writable else {}
        settings |= hardening.ROOT if facts.user == "root" else {}
    if name == "backup" and facts.backups:
        settings["ReadWritePaths"] = parts.listed((), _backups(facts))
    if name in ALONE and facts.can_isolate and facts.user != "root":
        settings |= hardening.ALONE
    if name == "schedule":
        settings |= parts.loosened(facts) if facts.loose_jobs else parts.kept(facts, hardening.JOBS)
    return parts.text(WHY_JOBS if name == "schedule" else "", Unit=unit, Service=settings)


def _backups(facts: Facts) -> tuple[str, ...]:
    return (facts.backups,) if facts.backups else ()


def _config_path(facts: Facts) -> str:
    unit: Settings = {"Description": "Pynchy: looks for changes of the configuration"}
    # The folder alone: a file that isn't there, among others, makes systemd miss what happens to
    # them. What else is made or written right in the home is looked at in vain.
    paths: Settings = {"PathChanged": facts.home, "Unit": CONFIG}
    return parts.text(Unit=unit, Path=paths, Install=parts.wanted(facts))


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
        **parts.whose(facts),
        "ExecStart": [
            parts.command(facts, f"config apply{user} --plan {FOLDER}"),
            f"+/bin/sh -c \"grep -E '{allowed}' {FOLDER}/units | {each}\"",
        ],
        # The path unit doesn't look while this one is at work.
        "ExecStopPost": f'+/bin/sh -c "{again}"',
        "TimeoutStartSec": "300",
        **parts.hardened(facts, {}),
        **parts.paths(facts, ()),
    }
    return parts.text(Unit=unit, Service=settings)
