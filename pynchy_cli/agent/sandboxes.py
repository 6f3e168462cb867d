"""Makes a lane's sandbox: its folder, its row, its way to the model, and then itself, in
this order, so that whatever exists at a crash can be found by its row."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from agent_runner import protocol
from pynchy_cli import clock, locks
from pynchy_cli.agent import skill_folder
from pynchy_cli.agent.cores import Core
from pynchy_cli.agent.disk import DiskWatch
from pynchy_cli.agent.environment import Environment
from pynchy_cli.agent.extra_mounts import ExtraMounts
from pynchy_cli.agent.folder import INSIDE, SessionFolder
from pynchy_cli.agent.live import Live
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseFull,
    DatabaseReplaced,
    GatewayUnavailable,
    SandboxUnavailable,
)
from pynchy_cli.gateway import sockets
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.loop import Context
from pynchy_cli.model import CHAT_LANE, Group, Session
from pynchy_cli.sandbox.base import Limits, Mount, Runtime, Spec
from pynchy_cli.store import sessions

GATEWAY_INSIDE = "/run/pynchy"
GATEWAY_LOCK = "gateway.lock"
GATEWAY_WAIT = 10.0
"""Seconds in which the gateway must open a new sandbox's socket."""
SKILLS = "skills"
"""The sandbox's own copy of its skills, in its session's folder."""


class Sandboxes:
    """Makes sandboxes for one worker."""

    def __init__(
        self,
        context: Context,
        runtime: Runtime,
        cores: Mapping[str, Core],
        gateway: Gateway,
    ) -> None:
        self.context = context
        self.home: Home = context.home
        self.settings: Settings = context.settings
        self.runtime = runtime
        self._cores = cores
        self._gateway = gateway
        self.disk = DiskWatch(context)
        self._extra = ExtraMounts(context, os.environ)
        self._environments = Environment(context.settings, os.environ)
        self._opened: set[Path] = set()
        self._unended: list[Session] = []
        self._numbers = itertools.count(1)

    async def open(self, group: Group, lane: str, document: protocol.RunInput) -> Live:
        """A new sandbox for the lane, at work on its first document.

        Raises SandboxUnavailable or GatewayUnavailable; then nothing of it is left.
        """
        if (why := await self.disk.refusal(group.folder)) is not None:
            raise SandboxUnavailable(why)
        name = sandbox_name(group.folder, lane)
        folder_name = f"s{self.context.owner}-{next(self._numbers)}"
        folder = SessionFolder(self.home.session(group.folder, folder_name))
        lease = locks.take(lease_path(self.home, folder_name), shared=True)
        if lease is None:
            raise SandboxUnavailable(f"The lock of sandbox {folder_name} can't be taken.")
        try:
            folder.make()
            folder.hand_over(document)
            session = self._begin(group, lane, folder_name, name)
        except BaseException:
            lease.release(remove=True)
            folder.remove()
            raise
        try:
            warn = partial(self.context.log.warning, group=group.folder)
            rules = for_group(self.settings, group.folder)
            target = folder.path / SKILLS
            await _to_its_end(skill_folder.make, self.home, rules.skills, target, warn)
            socket = await self._socket(session, document.core)
            live = await self._start(group, session, folder, lease, name, socket)
        except BaseException:
            lease.release(remove=True)
            folder.remove()
            self._end(session)
            await self.close_socket(session)
            raise
        self.disk.watch(live)
        return live

    async def connect(self, session: Session) -> None:
        """Have a sandbox that was taken over reach the model again. Raises GatewayUnavailable."""
        await self._socket(session, for_group(self.settings, session.group_folder).core)

    async def close(self, live: Live, *, politely: bool) -> None:
        """End a sandbox whose output is stored, and take away all that was made for it."""
        await live.close(politely=politely)
        await self.close_socket(live.session)
        self._end(live.session)
        # An agent may have left a million files, and nobody else is to wait for them.
        await _to_its_end(live.folder.remove)

    async def stop(self) -> None:
        """Let go of what we held ourselves on the way to the model."""
        await self._gateway.stop()

    def settle(self) -> int:
        """Note the end of sandboxes that went while nothing could be written; how many.

        Raises DatabaseBusy or DatabaseFull while that is so.
        """
        count = len(self._unended)
        while self._unended:
            with suppress(DatabaseReplaced), self.context.store.atomic() as db:
                sessions.end(db, self._unended[0])
            del self._unended[0]
        return count

    def _end(self, session: Session) -> None:
        self._unended.append(session)
        try:
            self.settle()
        except (DatabaseBusy, DatabaseFull) as error:
            self.context.log.error("a sandbox's end can't be noted yet", error=str(error))

    async def close_socket(self, session: Session) -> None:
        """Close the sandbox's way to the model, where it was us who opened it."""
        folder = self._socket_folder(session)
        if folder in self._opened:
            self._opened.discard(folder)
            await self._gateway.close(folder)

    def _begin(self, group: Group, lane: str, folder: str, name: str) -> Session:
        with self.context.store.atomic() as db:
            sessions.begin(
                db,
                group.folder,
                lane,
                folder=folder,
                owner=self.context.owner,
                sandbox=name,
                runtime=self.runtime.name,
                now=clock.now(),
            )
            return sessions.get(db, group.folder, lane)

    def _socket_folder(self, session: Session) -> Path:
        return self.home.sockets(os.environ) / str(session.folder)

    async def _socket(self, session: Session, core: str) -> Path | None:
        """The folder of the sandbox's own socket, once somebody listens there: the gateway
        stage, or we ourselves where none runs."""
        if not self._cores[core].has_model:
            return None
        folder = self._socket_folder(session)
        time = asyncio.get_running_loop().time
        until = time() + GATEWAY_WAIT
        while time() < until:
            if not locks.is_held(self.home.locks / GATEWAY_LOCK):
                self._opened.add(folder)
                await self._gateway.open(folder)
                return folder
            if await _answers(folder / sockets.NAME):
                for path in (folder.parent.parent, folder.parent, folder):
                    sockets.require_ours(path)
                return folder
            await asyncio.sleep(0.005)
        raise GatewayUnavailable(
            f"The gateway opened no socket within {GATEWAY_WAIT:g} s. Is `pynchy gateway` well?"
        )

    async def _start(
        self,
        group: Group,
        session: Session,
        folder: SessionFolder,
        lease: locks.Lock,
        name: str,
        socket: Path | None,
    ) -> Live:
        extra = await self._extra.of(group)
        mounts = (*self._mounts(group, folder, socket), *extra.mounts)
        inside = self.runtime.inside
        log = folder.path / "stderr"
        sandbox, rules = self.settings.sandbox, for_group(self.settings, group.folder)
        spec = Spec(
            name=name,
            mounts=mounts,
            command=(
                "python",
                "-m",
                "agent_runner",
                "--ipc",
                inside(INSIDE, mounts),
                "--output",
                inside(f"{INSIDE}/{protocol.OUTPUT}", mounts) + "/log",
                *(("--no-leash",) if self.runtime.outlives_worker else ()),
            ),
            environment={
                **await self._environments.for_group(group),
                **self._environment(mounts, socket),
            },
            workdir="/workspace/group",
            limits=Limits(rules.memory, rules.max_processes, sandbox.max_file, rules.cpus),
            uid=sandbox.uid_base + group.number,
            lease=lease.fd,
            log=log,
            masks=extra.masks,
            labels=labels(self.context, session),
        )
        place = await self.runtime.start(spec)
        try:
            return Live(session, folder, place, lease, log, self.context.watcher)
        except BaseException:
            await place.stop(0)
            raise

    def _mounts(
        self, group: Group, folder: SessionFolder, socket: Path | None
    ) -> tuple[Mount, ...]:
        own, claude = self.home.group(group.folder), self.home.claude(group.folder)
        own.mkdir(parents=True, exist_ok=True)
        claude.mkdir(parents=True, exist_ok=True, mode=0o700)
        skill_folder.make_way(claude)
        names = (sockets.NAME,)
        ways = (Mount(socket, GATEWAY_INSIDE, sockets=names),) if socket is not None else ()
        return (
            Mount(own, "/workspace/group", writable=True),
            Mount(claude, "/home/agent/.claude", writable=True),
            Mount(folder.path / SKILLS, skill_folder.INSIDE),
            *folder.mounts(),
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


def sandbox_name(group_folder: str, lane: str) -> str:
    """What people see: `pynchy-<group>`, with the lane for any but the chat lane."""
    return f"pynchy-{group_folder}" + ("" if lane == CHAT_LANE else f"-{lane.replace(':', '-')}")


def labels(context: Context, session: Session) -> dict[str, str]:
    """By which a runtime knows whose a sandbox is."""
    return {
        "home": context.home.id,
        "group": session.group_folder,
        "session": str(session.folder),
        "owner": str(session.owner),
        "lane": session.lane,
    }


def lease_path(home: Home, folder: str) -> Path:
    """The lock that is held as long as any process of the sandbox lives."""
    return home.locks / f"sandbox-{folder}.lock"


async def _to_its_end(step: Callable[..., None], *arguments: object) -> None:
    """Do in a thread what takes a while. Who is cancelled meanwhile still waits for its end, so
    that it can clean up what was made."""
    work = asyncio.ensure_future(asyncio.to_thread(step, *arguments))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True
