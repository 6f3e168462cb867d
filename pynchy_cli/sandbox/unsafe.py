"""No sandbox at all: the agent as a plain process of the host, for where nothing better can be
had. It is used only when it is asked for by name, and never with a real key."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.plugins import hookimpl
from pynchy_cli.sandbox import limits, process
from pynchy_cli.sandbox.base import DiesWithWorker, Mount, Place, Runtime, Spec

PATH = "/usr/local/bin:/usr/bin:/bin"
HOME = "/home/agent"
FROM_HOST = ("LD_LIBRARY_PATH", "TMPDIR", "TZ")
"""What a process of this host may need to start at all; nothing of it is a secret."""


class Unsafe(DiesWithWorker):
    """Starts agents as plain processes."""

    name = "unsafe"
    is_isolated = False

    def problem(self) -> str | None:
        """Nothing can be wrong with it that isn't wrong with it anyway."""
        return None

    def missing(self) -> list[str]:
        """All of them."""
        return ["all isolation: the agent is a plain process with the rights of this user"]

    def prepare(
        self, data: Path, say: Callable[[str], None], packages: tuple[str, ...] = ()
    ) -> None:
        """Nothing is shared: the agent uses this installation."""

    def inside(self, path: str, spec_mounts: tuple[Mount, ...]) -> str:
        """The host's path of what a specification calls `path`. Of a folder that is not
        mounted itself, but whose parts are, the folder of these parts."""
        for mount in sorted(spec_mounts, key=lambda mount: len(mount.target), reverse=True):
            if path == mount.target or path.startswith(mount.target + "/"):
                return str(mount.source) + path[len(mount.target) :]
        for mount in spec_mounts:
            rest = mount.target.removeprefix(path)
            if rest != mount.target and rest.startswith("/") and str(mount.source).endswith(rest):
                return str(mount.source).removesuffix(rest)
        return path

    async def start(self, spec: Spec) -> Place:
        """Start the agent as a process. Raises SandboxUnavailable."""
        for mount in spec.mounts:
            if not mount.source.exists():
                raise SandboxUnavailable(f"{mount.source}, to be {mount.target}, is missing.")
        return await process.start(
            spec.name,
            [*_dying_with_us(), *_limiting(spec), *_command(spec)],
            environment=self._environment(spec),
            folder=self.inside(spec.workdir, spec.mounts),
            keep=(spec.lease,),
            log=spec.log,
            tidy=_nothing,
        )

    def _environment(self, spec: Spec) -> dict[str, str]:
        home = self.inside(HOME, spec.mounts)
        if home == HOME:
            home = self.inside(spec.workdir, spec.mounts)
        needed = {name: os.environ[name] for name in FROM_HOST if name in os.environ}
        path = f"{Path(sys.executable).parent}:{PATH}"
        return {**needed, "PATH": path, "HOME": home, "LANG": "C.UTF-8", **spec.environment}


def _command(spec: Spec) -> list[str]:
    program, *rest = spec.command
    return [sys.executable, "-P", *rest] if program == "python" else [program, *rest]


def _dying_with_us() -> list[str]:
    """The kernel kills it with us, where setpriv can ask it to; else only its leash ends."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv is not None else []


def _limiting(spec: Spec) -> list[str]:
    """The limits of one process. Their number would count everything else of this user."""
    if shutil.which("prlimit") is None:
        return []
    return [part for part in limits.prefix(spec.limits) if not part.startswith("--nproc")]


async def _nothing() -> None:
    pass


class Plugin:
    """How the runtime comes in."""

    @hookimpl
    def pynchy_runtime(self, name: str) -> Runtime | None:
        """Offer the runtime under its name."""
        return Unsafe() if name == Unsafe.name else None


plugin = Plugin()
