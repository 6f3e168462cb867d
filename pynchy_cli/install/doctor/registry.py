"""All checks, in the order in which they are told. An id is for ever: people and programs name it.
In a command stand {home}, {data}, {database}, {sockets} and {code} for what they are here."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pynchy_cli.errors import UsageWrong
from pynchy_cli.install.doctor import (
    clocks,
    code,
    configuration,
    database,
    left,
    machine,
    networks,
    orphans,
    places,
    running,
    sandboxes,
    units,
)
from pynchy_cli.install.doctor.finding import Check

CHECKS = (
    Check("python.version", "python3 --version", machine.python),
    Check(
        "python.sqlite",
        'python3 -c "import sqlite3; print(sqlite3.sqlite_version)"',
        machine.sqlite,
    ),
    Check("packages.locked", "python3 -m pip list", machine.packages),
    Check("packages.agent", "python3 -m pip list", machine.agents_packages),
    Check("temp.folder", "df -h ${{TMPDIR:-/tmp}}", machine.temporary),
    Check("git.state", "git -C {code} status", code.git),
    Check("gh.login", "gh auth status", code.github),
    Check("home.there", "ls -la {home}", places.there, "makes the folders"),
    Check(
        "home.rights", "ls -la {home} {data}", places.rights, "takes the right to write from others"
    ),
    Check("home.disk", "df -h {home}", places.disk),
    Check("home.file-system", "findmnt -T {home}", places.file_system),
    Check("env.rights", "ls -l {home}/.env", places.environment, "takes all rights from others"),
    Check("data.rights", "ls -la {data}", places.data, "takes all rights from others"),
    Check("config.valid", "pynchy config check", configuration.valid),
    Check("config.names", "pynchy config check", configuration.names),
    Check("config.notes", "pynchy config check", configuration.notes),
    Check("config.keys", "grep -nE 'sk-ant|xox|xapp' {home}/config.toml", places.keys),
    Check(
        "database.schema",
        'pynchy db shell "PRAGMA user_version"',
        database.schema,
        "migrates, where nothing runs",
    ),
    Check("database.integrity", "pynchy db check", database.integrity),
    Check("database.references", "pynchy db check", database.references),
    Check("database.lost-commits", "pynchy db check", database.lost),
    Check("database.wal", "ls -l {data}", database.wal),
    Check("database.locked", "fuser -v {database}", database.locked),
    Check("audit.chain", "pynchy audit --verify", database.chain),
    Check("groups.admin", "pynchy groups list", configuration.admin),
    Check("groups.folders", "ls -la {home}/groups", configuration.folders, "makes what is missing"),
    Check("clock.skew", "date -u", clocks.skew),
    Check("clock.synchronised", "timedatectl", clocks.synchronised),
    Check("clock.zone", "timedatectl", clocks.zone),
    Check("schedule.missed", "pynchy tasks list", clocks.missed),
    Check("schedule.failing", "pynchy status", clocks.failing),
    Check("kernel.inotify", "sysctl fs.inotify", machine.inotify),
    Check("kernel.files", "ulimit -n", machine.files),
    Check("kernel.memory", "free -m", machine.memory),
    Check("sandbox.runtime", "pynchy status", sandboxes.runtime),
    Check("sandbox.engine", "docker info", sandboxes.container_engine),
    Check("sandbox.image", "pynchy image info", sandboxes.agents_image),
    Check("sandbox.user-namespaces", "sysctl user.max_user_namespaces", sandboxes.namespaces),
    Check("sandbox.cgroups", "cat /proc/self/cgroup", sandboxes.cgroups),
    Check(
        "sandboxes.orphaned",
        "ls {data}/ipc/*",
        orphans.orphaned,
        "removes their folders, where run-agent doesn't run",
    ),
    Check(
        "sandboxes.containers",
        "docker ps -a --filter name=pynchy",
        orphans.containers,
        "removes them, where run-agent doesn't run",
    ),
    Check("locks.stale", "ls -l {data}/run", left.stale_locks, "removes those that nobody holds"),
    Check("sockets.stale", "ss -xl", left.stale_sockets, "removes them, where nothing runs"),
    Check("sockets.path-length", "echo $XDG_RUNTIME_DIR", left.path_length),
    Check("sockets.folder", "ls -ld {sockets}", left.folder),
    Check("mounts.allowlist", "pynchy mounts list", configuration.allowlist),
    Check("mounts.allowed", "pynchy mounts list", configuration.mounts),
    Check("model.key", "pynchy config show", networks.model_key),
    Check("slack.state", "pynchy auth slack", networks.slack),
    Check("whatsapp.state", "pynchy auth whatsapp", networks.whatsapp),
    Check("channels.connected", "pynchy status", networks.connected),
    Check("ports.free", "ss -ltnp", networks.port),
    Check("units.installed", "systemctl --user status 'pynchy*'", units.installed),
    Check("units.enabled", "systemctl --user list-unit-files 'pynchy*'", units.enabled),
    Check("units.linger", "loginctl show-user $USER", units.linger),
    Check("units.failed", "systemctl --user --failed", units.broken),
    Check("stages.running", "pynchy status", running.stages),
    Check("stages.stopped", "pynchy status", running.stopped),
    Check("stages.version", "pynchy status", running.versions),
    Check("stages.config", "pynchy config show", running.configured),
    Check("stages.deaths", "pynchy status", running.deaths),
    Check("stages.processes", "pynchy status", database.processes),
    Check("runs.abandoned", "pynchy db check", database.abandoned),
    Check("queue.stuck", "pynchy status", running.stuck),
    Check("errors.unread", "pynchy status", running.errors),
    Check("holds.standing", "pynchy status", running.held),
    Check("backup.age", "pynchy status", running.backup),
    Check("retention.age", "pynchy status", running.pruning),
)


def chosen(names: Sequence[str]) -> list[Check]:
    """The checks of these names, or of families such as `database`; all where none is named.

    Raises UsageWrong, naming the nearest there is.
    """
    if not names:
        return list(CHECKS)
    known = [one.id for one in CHECKS]
    for name in names:
        if not any(_is_of(id, name) for id in known):
            families = [*dict.fromkeys(id.partition(".")[0] for id in known)]
            near = get_close_matches(name, [*known, *families], n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageWrong(f"There is no check {name!r}.{hint} Families: {', '.join(families)}.")
    return [one for one in CHECKS if any(_is_of(one.id, name) for name in names)]


def _is_of(id: str, name: str) -> bool:
    return id == name or id.partition(".")[0] == name
