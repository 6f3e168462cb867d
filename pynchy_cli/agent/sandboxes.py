"""Makes a lane's sandbox: its folder, its row, its way to the model, and then itself, in
this order, so that whatever exists at a crash can be found by its row."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from agent_runner import protocol
from pynchy_cli import clock, locks
from pynchy_cli.agent import skill_folder
from pynchy_cli.agent.cores import Core
from pynchy_cli.agent.disk import DiskWatch
from pynchy_cli.agent.folder import CLAUDE, SCRATCH, SessionFolder
from pynchy_cli.agent.identity import lease_path, sandbox_name
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.specification import SKILLS, Specification
from pynchy_cli.agent.way_out import WayOut
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.config.tiers import for_group
from pynchy_cli.errors import (
    DatabaseBusy,
    DatabaseFull,
    DatabaseReplaced,
    SandboxUnavailable,
)
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.loop import Context
from pynchy_cli.model import Group, Run, Session
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.store import sessions


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
        self._way_out = WayOut(context, gateway)
        self._specification = Specification(context, runtime)
        self.disk = DiskWatch(context)
        self._unended: list[Session] = []
        self._numbers = itertools.count(1)

    async def open(self, group: Group, run: Run, document: protocol.RunInput) -> Live:
        """A new sandbox for the run's lane, at work on its first document.

        Raises SandboxUnavailable or GatewayUnavailable; then nothing of it is left.
        """
        if (why := await self.disk.refusal(group.folder)) is not None:
            raise SandboxUnavailable(why)
        folder_name = f"{_letter(run)}{self.context.owner}-{next(self._numbers)}"
        folder = SessionFolder(self.home.session(group.folder, folder_name))
        lease = locks.take(lease_path(self.home, folder_name), shared=True)
        if lease is None:
            raise SandboxUnavailable(f"The lock of sandbox {folder_name} can't be taken.")
        try:
            folder.make()
            folder.make_own(*_own(run))
            folder.hand_over(document)
            session = self._begin(group, run.lane, folder_name)
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
            live = await self._start(group, run, session, folder, lease, socket)
        except BaseException:
            lease.release(remove=True)
            folder.remove()
            self._end(session)
            await self._way_out.close(session)
            raise
        self.disk.watch(live)
        return live

    async def connect(self, session: Session) -> None:
        """Have a sandbox that was taken over reach the model again. Raises GatewayUnavailable."""
        await self._socket(session, for_group(self.settings, session.group_folder).core)

    async def close(self, live: Live, *, politely: bool) -> None:
        """End a sandbox whose output is stored, and take away all that was made for it."""
        await live.close(politely=politely)
        await self._way_out.close(live.session)
        self._end(live.session)
        # An agent may have left a million files, and nobody else is to wait for them.
        await _to_its_end(live.folder.remove)

    async def stop(self) -> None:
        """Let go of what we held ourselves on the way to the model."""
        await self._way_out.stop()

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

    def _begin(self, group: Group, lane: str, folder: str) -> Session:
        with self.context.store.atomic() as db:
            sessions.begin(
                db,
                group.folder,
                lane,
                folder=folder,
                owner=self.context.owner,
                sandbox=sandbox_name(group.folder, lane),
                runtime=self.runtime.name,
                now=clock.now(),
            )
            return sessions.get(db, group.folder, lane)

    async def _socket(self, session: Session, core: str) -> Path | None:
        return await self._way_out.open(session) if self._cores[core].has_model else None

    async def _start(
        self,
        group: Group,
        run: Run,
        session: Session,
        folder: SessionFolder,
        lease: locks.Lock,
        socket: Path | None,
    ) -> Live:
        spec = await self._specification.of(group, run, session, folder, lease.fd, socket)
        place = await self.runtime.start(spec)
        try:
            return Live(session, folder, place, lease, spec.log, self.context.watcher)
        except BaseException:
            await place.stop(0)
            raise


def _letter(run: Run) -> str:
    """By which the folder of a sandbox tells whose it is, even without its row."""
    return "c" if run.is_child else "t" if run.is_isolated else "s"


def _own(run: Run) -> tuple[str, ...]:
    """What it has instead of its group's."""
    return (SCRATCH, CLAUDE) if run.is_child else (CLAUDE,) if run.is_isolated else ()


async def _to_its_end(step: Callable[..., None], *arguments: object) -> None:
    """Do in a thread what takes a while. Who is cancelled meanwhile still waits for its end, so
    that it can clean up what was made."""
    work = asyncio.ensure_future(asyncio.to_thread(step, *arguments))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        raise
