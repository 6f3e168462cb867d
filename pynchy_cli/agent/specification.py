"""What a group's sandbox is made of: its folders and how they are seen inside, its command, its
environment and its limits. Nothing is made here."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from agent_runner import protocol
from pynchy_cli.agent import skill_folder
from pynchy_cli.agent.environment import Environment
from pynchy_cli.agent.extra_mounts import ExtraMounts
from pynchy_cli.agent.folder import CLAUDE, INSIDE, SCRATCH, SessionFolder
from pynchy_cli.agent.identity import labels, sandbox_name
from pynchy_cli.channels import received
from pynchy_cli.config.tiers import for_group
from pynchy_cli.gateway import sockets
from pynchy_cli.loop import Context
from pynchy_cli.model import Group, Run, Session
from pynchy_cli.routing import transcript
from pynchy_cli.sandbox.base import Limits, Mount, Runtime, Spec

GATEWAY_INSIDE = "/run/pynchy"
PARENT_INSIDE = "/workspace/parent"
"""Where a child may read its group's folder."""
SKILLS = "skills"
"""The sandbox's own copy of its skills, in its session's folder."""


@dataclass(frozen=True)
class _Own:
    """The folder that an agent works in, its core's own, and what it may read besides."""

    folder: Path
    claude: Path
    seen: tuple[Mount, ...] = ()


class Specification:
    """Knows what each group's sandboxes are to be."""

    def __init__(self, context: Context, runtime: Runtime) -> None:
        self.context = context
        self.home = context.home
        self.settings = context.settings
        self.runtime = runtime
        self._extra = ExtraMounts(context, os.environ)
        self._environments = Environment(context.settings, os.environ)

    async def of(
        self,
        group: Group,
        run: Run,
        session: Session,
        folder: SessionFolder,
        lease: int,
        socket: Path | None,
    ) -> Spec:
        """A sandbox for the session, with `lease` to be kept open and the folder of the gateway's
        `socket`, if there is a model to reach. Raises ConfigInvalid and SandboxUnavailable."""
        extra = await self._extra.of(group)
        own = self._own(group, run, folder)
        shared = [_as_for(run, mount) for mount in extra.mounts]
        mounts = (*self._mounts(group, run, own, folder, socket), *shared)
        sandbox, rules = self.settings.sandbox, for_group(self.settings, group.folder)
        return Spec(
            name=sandbox_name(group.folder, session.lane),
            mounts=mounts,
            command=self._command(mounts),
            environment={
                **await self._environments.for_group(group),
                **self._environment(mounts, socket),
            },
            workdir="/workspace/group",
            limits=Limits(rules.memory, rules.max_processes, sandbox.max_file, rules.cpus),
            uid=sandbox.uid_base + group.number,
            lease=lease,
            log=folder.path / "stderr",
            masks=extra.masks,
            labels=labels(self.context, session),
        )

    def _command(self, mounts: tuple[Mount, ...]) -> tuple[str, ...]:
        inside = self.runtime.inside
        output = inside(f"{INSIDE}/{protocol.OUTPUT}", mounts) + "/log"
        return (
            *("python", "-m", "agent_runner"),
            *("--ipc", inside(INSIDE, mounts), "--output", output),
            *(("--no-leash",) if self.runtime.outlives_worker else ()),
        )

    def _own(self, group: Group, run: Run, folder: SessionFolder) -> _Own:
        if run.is_child:
            return self._child_s(group, run, folder)
        whole = self.home.group(group.folder)
        whole.mkdir(parents=True, exist_ok=True)
        if run.is_isolated:
            return _Own(whole, folder.path / CLAUDE)
        claude = self.home.claude(group.folder)
        claude.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Own(whole, claude)

    def _child_s(self, group: Group, run: Run, folder: SessionFolder) -> _Own:
        """What a child has: folders of its own that go with it, and as much of its group's as it
        shares."""
        claude, whole = folder.path / CLAUDE, self.home.group(group.folder)
        if run.shares == "write":
            return _Own(whole, claude)
        seen = (Mount(whole, PARENT_INSIDE),) if run.shares == "read" else ()
        return _Own(folder.path / SCRATCH, claude, seen)

    def _received(self, group: Group, run: Run) -> tuple[Mount, ...]:
        """The files that came with what was said: a child sees them where it sees its group's."""
        if run.is_child and run.shares not in ("read", "write"):
            return ()
        return (Mount(received.folder(self.home, group.folder), transcript.FILES),)

    def _mounts(
        self, group: Group, run: Run, own: _Own, folder: SessionFolder, socket: Path | None
    ) -> tuple[Mount, ...]:
        skill_folder.make_way(own.claude)
        names = (sockets.NAME,)
        ways = (Mount(socket, GATEWAY_INSIDE, sockets=names),) if socket is not None else ()
        return (
            Mount(own.folder, "/workspace/group", writable=True),
            Mount(own.claude, "/home/agent/.claude", writable=True),
            Mount(folder.path / SKILLS, skill_folder.INSIDE),
            *self._received(group, run),
            *folder.mounts(),
            *own.seen,
            *ways,
        )

    def _environment(self, mounts: tuple[Mount, ...], socket: Path | None) -> dict[str, str]:
        inside = self.runtime.inside
        environment = {
            "LANG": "C.UTF-8",
            "CLAUDE_CONFIG_DIR": inside("/home/agent/.claude", mounts),
        }
        if "TZ" in os.environ:
            environment["TZ"] = os.environ["TZ"]
        if socket is not None:
            environment["PYNCHY_GATEWAY"] = inside(f"{GATEWAY_INSIDE}/{sockets.NAME}", mounts)
        return environment


def _as_for(run: Run, mount: Mount) -> Mount:
    """A further mount as the run's sandbox gets it: a child writes only where it shares all."""
    return replace(mount, writable=False) if run.is_child and run.shares != "write" else mount
