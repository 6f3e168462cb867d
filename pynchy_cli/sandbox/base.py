"""What a runtime is: something that makes isolated places for agents. A runtime decides
nothing about groups or messages; it is told what to bind and what to start."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Mount:
    """A host folder or file, seen at `target` inside.

    `identity` (device, inode) is given for what belongs to people and not to pynchy: it must
    be this very folder or file when it is mounted, and its files are never handed over.
    `sockets` are the names of sockets of ours in it, for runtimes that must pass on each.
    """

    source: Path
    target: str
    writable: bool = False
    identity: tuple[int, int] | None = None
    sockets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What a sandbox may use up. Sizes in bytes."""

    memory: int
    processes: int
    file_size: int
    cpus: float | None = None
    """Processors that it may keep busy."""


@dataclass(frozen=True)
class Spec:
    """One sandbox to be made.

    `mounts` are all that it sees of the host besides the read-only system; `command` starts
    the agent in `workdir`, with `environment` and nothing else in its environment. `uid` is
    the host uid of a sandbox whose runtime was started by root. `masks` are paths inside that
    are hidden: an empty file lies over each, or an empty folder where the path ends with `/`.
    `lease` is a descriptor of a
    read lock that the sandbox keeps open as long as any of its processes lives. Standard
    input is a pipe that ends when the host dies; standard error goes to `log`. Where sandboxes
    outlive their worker there is no such pipe and no lease: `labels` (home, group, session,
    owner, lane) tell whose each is, and `log` is written when it has ended.
    """

    name: str
    mounts: tuple[Mount, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    workdir: str
    limits: Limits
    uid: int
    lease: int
    log: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    masks: tuple[str, ...] = ()


class Place(Protocol):
    """A sandbox that was started."""

    @property
    def name(self) -> str:
        """What people see: `pynchy-<group>`, with the lane for any but the chat lane."""

    async def wait(self) -> int:
        """The exit code, once it has ended; safe to be called by several at once."""

    async def stop(self, grace: float) -> int:
        """Ask it to end, kill it after `grace` seconds with all its processes, and give
        the exit code. Safe to be called again."""


class Runtime(Protocol):
    """One way to make sandboxes."""

    name: str
    is_isolated: bool
    """Whether it may be used with a real key."""

    def problem(self) -> str | None:
        """Why it can't be used here, as a sentence that says what to do; None if it can."""

    def missing(self) -> list[str]:
        """Protections that can't be had here, each a phrase for `status` and the log."""

    def prepare(
        self, data: Path, say: Callable[[str], None], packages: tuple[str, ...] = ()
    ) -> None:
        """Make what all sandboxes share (the agent's site folder below `data`), once, with the
        `packages` that the core needs beside agent_runner's own. Safe to be called by several
        processes at once; `say` gets a line where it takes long.

        Raises SandboxUnavailable.
        """

    def inside(self, path: str, spec_mounts: tuple[Mount, ...]) -> str:
        """How the agent itself sees a path that the specification calls `path`: the same in
        a real sandbox, the host's path where nothing is isolated."""

    outlives_worker: bool
    """Whether sandboxes go on when whoever started them dies, so that another can adopt them."""

    async def start(self, spec: Spec) -> Place:
        """Start a sandbox; it runs when this returns. Called on the main thread.

        Raises SandboxUnavailable with the reason.
        """

    async def alive(self, labels: Mapping[str, str]) -> bool:
        """Whether the sandbox of the labels' home and session lives, as far as its lease can't
        tell: it has gone when nobody holds the lease and this is False.

        Raises SandboxUnavailable while that can't be found out.
        """

    async def adopt(self, labels: Mapping[str, str], log: Path) -> Place | None:
        """The sandbox of the labels' home and session, started by somebody who is dead; its end
        will be written to `log`. It may have ended meanwhile. None where there is none.

        Raises SandboxUnavailable while that can't be found out.
        """

    async def sweep(self, home_id: str, known: Container[str]) -> list[str]:
        """Remove the sandboxes of this home whose session isn't known, and give their names.
        What is known is asked after the sandboxes were listed, so that none which is started
        meanwhile is taken for a stranger. Raises SandboxUnavailable."""


class DiesWithWorker:
    """The part of a runtime whose sandboxes never outlive who started them."""

    outlives_worker = False

    async def alive(self, labels: Mapping[str, str]) -> bool:
        """Only the lease tells."""
        return False

    async def adopt(self, labels: Mapping[str, str], log: Path) -> Place | None:
        """There is nothing to adopt."""
        return None

    async def sweep(self, home_id: str, known: Container[str]) -> list[str]:
        """There is nothing to sweep."""
        return []
