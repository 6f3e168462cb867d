"""What a sandbox may use up in all its processes together: memory, processors, their number.
Root makes control groups; a user asks the systemd that manages his session for a scope, where
there is one. What can't be had is told, and never silently left out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pynchy_cli.sandbox.base import Limits

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "pynchy-"
STALE = 60.0
"""Seconds after which an empty control group was left behind by somebody who died."""
PATIENCE = 5.0
"""Seconds in which a user's systemd must have made a scope."""
KINDS = ("cpu", "pids", "memory")
PERIOD = 100_000
"""Microseconds after which a sandbox gets its share of the processors anew."""
LEAST_QUOTA = 1000
NOT_EVERYWHERE = frozenset({"memory.swap.max", "memory.memsw.limit_in_bytes"})
"""What a kernel without an account of swap doesn't have."""
SCOPE = ("systemd-run", "--user", "--scope", "--quiet", "--collect")
SESSION = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""The variables by which a user's systemd is found."""
_LOOK = (
    'at=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); for kind in "$@"; do '
    'test "$(cat $at/$kind.max)" = "max" || echo $kind; done'
)


@dataclass(frozen=True)
class Means:
    """How limits are set here: `parents` are folders in which root makes control groups, by
    kind; `scope` is the command of a user's scope. `kinds` are those that can be had."""

    parents: Mapping[str, Path]
    scope: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ControlGroup:
    """What bounds the processes that join it: a folder for each hierarchy, the last of which
    bears the group's name."""

    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Who finds this name among its control groups has joined all of them."""
        return self.paths[-1].name

    def join(self, pid: int) -> None:
        """Put a process, with all that it will start, into the group. Takes some 10 ms."""
        for path in self.paths:
            (path / "cgroup.procs").write_text(str(pid))

    async def remove(self) -> None:
        """Take it away once its last process is gone; `sweep` does it if that takes longer."""
        for _ in range(100):
            for path in self.paths:
                with contextlib.suppress(OSError):
                    path.rmdir()
            if not any(path.exists() for path in self.paths):
                return
            await asyncio.sleep(0.01)


def find(environ: Mapping[str, str], *, is_root: bool) -> Means:
    """What can be had here. Asks a user's systemd for a scope, which may take a second."""
    if is_root:
        found = {kind: path for kind in KINDS if (path := _parent(kind)) is not None}
        parents = {kind: path for kind, path in found.items() if _can_be_used(path)}
        return Means(parents, kinds=frozenset(parents))
    scope = _scope(environ)
    kinds = _kinds_of(scope, environ) if scope else frozenset()
    return Means({}, scope if kinds else (), kinds)


def group(means: Means, limits: Limits) -> ControlGroup | None:
    """A new control group with these limits, or None where none can be had."""
    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    paths: dict[Path, Path] = {}
    parents = dict.fromkeys(means.parents.values())
    for number, parent in enumerate(parents, start=1):
        is_last = number == len(parents)
        paths[parent] = parent / (name if is_last else f"{name}-{number}")
    try:
        for path in paths.values():
            path.mkdir()
        for kind, parent in means.parents.items():
            for file, value in _values(kind, limits).items():
                if file not in NOT_EVERYWHERE or (paths[parent] / file).exists():
                    (paths[parent] / file).write_text(value)
    except OSError:
        for path in paths.values():
            with contextlib.suppress(OSError):
                path.rmdir()
        return None
    return ControlGroup(tuple(paths.values())) if paths else None


def scope(means: Means, limits: Limits) -> list[str]:
    """The command that puts what follows it into a scope with these limits; empty where there
    is none. It becomes what follows it, and stays the same process."""
    if not means.scope:
        return []
    wanted = {
        "memory": [f"MemoryMax={limits.memory}", "MemorySwapMax=0"],
        "pids": [f"TasksMax={limits.processes}"],
        "cpu": [f"CPUQuota={max(1, round(limits.cpus * 100))}%"] if limits.cpus else [],
    }
    found = list(means.scope)
    for kind in KINDS:
        for one in wanted[kind] if kind in means.kinds else ():
            found += ["-p", one]
    return [*found, "--"]


def environment(means: Means, environ: Mapping[str, str]) -> dict[str, str]:
    """What the command of a scope needs of the environment."""
    return {name: environ[name] for name in SESSION if means.scope and name in environ}


def sweep(means: Means) -> None:
    """Take away the empty control groups of those who died."""
    for parent in set(means.parents.values()):
        for path in parent.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):  # One in use can't be removed.
                if time.time() - path.stat().st_mtime > STALE:
                    path.rmdir()


def _values(kind: str, limits: Limits) -> dict[str, str]:
    """The files of a control group, and what is written to them."""
    if kind == "pids":
        return {"pids.max": str(limits.processes)}
    if kind == "memory" and _is_unified():
        return {"memory.max": str(limits.memory), "memory.swap.max": "0"}
    if kind == "memory":
        most = str(limits.memory)
        return {"memory.limit_in_bytes": most, "memory.memsw.limit_in_bytes": most}
    if limits.cpus is None:
        return {}
    quota = max(LEAST_QUOTA, round(limits.cpus * PERIOD))
    if _is_unified():
        return {"cpu.max": f"{quota} {PERIOD}"}
    return {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}


def _is_unified() -> bool:
    return (CGROUPS / "cgroup.controllers").exists()


def _parent(kind: str) -> Path | None:
    """Where root can make control groups of a kind."""
    if _is_unified():
        with contextlib.suppress(OSError):
            if kind in (CGROUPS / "cgroup.subtree_control").read_text().split():
                return CGROUPS
        return None
    mark = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us", "pids": "cgroup.procs"}
    own = _own_group(kind)
    for path in (CGROUPS / kind / own.lstrip("/"), CGROUPS / kind):
        if (path / mark[kind]).exists() and os.access(path, os.W_OK):
            return path
    return None


def _can_be_used(parent: Path) -> bool:
    """Whether control groups can really be made there; in a container they often can't."""
    path = parent / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        path.mkdir()
        path.rmdir()
    except OSError:
        return False
    return True


def _own_group(kind: str) -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if kind in controllers.split(","):
                return path
    return "/"


def _scope(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The command of a scope, where a user's systemd may answer it."""
    folder = environ.get("XDG_RUNTIME_DIR", "")
    program = shutil.which(SCOPE[0], path=environ.get("PATH"))
    if not folder or program is None or not Path(folder, "systemd").is_dir():
        return ()
    return (program, *SCOPE[1:])


def _kinds_of(scope: tuple[str, ...], environ: Mapping[str, str]) -> frozenset[str]:
    """The kinds of limits that a scope really sets; found out by one that only looks."""
    few = ["-p", "MemoryMax=64M", "-p", "TasksMax=64", "-p", "CPUQuota=50%"]
    try:
        done = subprocess.run(
            [*scope, *few, "--", "sh", "-c", _LOOK, "sh", *KINDS],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={name: environ[name] for name in (*SESSION, "PATH") if name in environ},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    return frozenset(done.stdout.split()) & set(KINDS) if done.returncode == 0 else frozenset()
