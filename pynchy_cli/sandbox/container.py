"""A container that lives, until it has really ended. An engine that is away is not an end: it is
waited for, because the container may go on without it. When it has ended, the end of what it
printed is kept in its log, and the container is removed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynchy_cli.sandbox.engine import AWAY, Engine, EngineAway, Refused, watch
from pynchy_cli.sandbox.process import BoundedLog

LISTEN = 60.0
"""Seconds after which a silent connection that waits for an end is made anew."""
KILLED = 137
"""The exit code of what was killed, and of a container that somebody took away."""
SETTLED = frozenset({"exited", "stopped", "dead", "removing"})
"""States out of which no container comes by itself."""


@dataclass(frozen=True)
class End:
    """How a container ended, in an exit code and, where that says too little, in words."""

    code: int
    words: str = ""


class ContainerPlace:
    """A sandbox as a container that was started."""

    def __init__(self, engine: Engine, id: str, name: str, log: Path) -> None:
        self.name = name
        self.id = id
        self._engine = engine
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.Future[int] = self._loop.create_future()
        watch(f"wait {name}", self._watch)

    async def wait(self) -> int:
        """The exit code, once it has ended and was removed."""
        return await asyncio.shield(self._end)

    async def stop(self, grace: float) -> int:
        """Ask it to end (SIGTERM), and kill it after `grace` seconds. While the engine is away
        nothing can be ended; this waits until it is back."""
        await self._signalled("SIGTERM", grace)
        while not self._end.done():
            await self._signalled("SIGKILL", LISTEN)
        return await self.wait()

    async def _signalled(self, name: str, patience: float) -> None:
        """Send a signal, again while the engine is away, and wait until it has ended, both
        within that time."""
        until = self._loop.time() + patience
        pauses = itertools.chain(AWAY, itertools.repeat(AWAY[-1]))
        is_sent = False
        while not self._end.done() and (left := until - self._loop.time()) > 0:
            if not is_sent:
                with contextlib.suppress(EngineAway):
                    await self._engine.call(self._signal, name)
                    is_sent = True
                left = until - self._loop.time() if is_sent else min(left, next(pauses))
            await asyncio.wait({self._end}, timeout=max(left, 0))

    def _signal(self, name: str) -> None:
        with contextlib.suppress(Refused):  # It has ended already, or is about to.
            self._engine.now(self._engine.api.kill, self.id, name)

    def _watch(self) -> None:
        """On a thread of its own: wait for the end, keep the log, remove it."""
        end = self._ended()
        if end is None:
            return
        printed = b""
        with contextlib.suppress(Refused):
            printed = self._patiently(self._printed) or b""
        with contextlib.suppress(OSError):  # Its folder may be gone, or the disk full.
            self._keep(printed, end)
        self._remove()
        with contextlib.suppress(RuntimeError):  # The loop was closed meanwhile.
            self._loop.call_soon_threadsafe(self._tell, end.code)

    def _remove(self) -> None:
        """Remove it, and see it gone: an engine may be busy with it, or with its removal."""
        for pause in (*AWAY, 0.0):
            try:
                self._patiently(
                    lambda: self._engine.api.remove_container(self.id, v=True, force=True)
                )
                return
            except Refused as refused:
                if refused.is_missing:
                    return
                time.sleep(pause)

    def _tell(self, code: int) -> None:
        if not self._end.done():
            self._end.set_result(code)

    def _patiently(self, step: Any) -> Any:
        return self._engine.patiently(step, given_up=self._loop.is_closed)

    def _ended(self) -> End | None:
        """How it ended; None where nobody wants to know any more."""
        api = self._engine.api
        try:
            while (facts := self._patiently(lambda: api.inspect_container(self.id))) is not None:
                if facts["State"].get("Status") in SETTLED:
                    return _end(facts)
                with contextlib.suppress(EngineAway):  # Or it was silent for long.
                    self._engine.now(api.wait, self.id, timeout=LISTEN)
        except Refused as refused:
            return End(KILLED, f"the container was taken away ({refused})")
        return None

    def _printed(self) -> bytes:
        """What it printed, as much of it as the engine kept."""
        data: bytes = self._engine.api.logs(self.id, stdout=True, stderr=True)
        return data

    def _keep(self, printed: bytes, end: End) -> None:
        log = BoundedLog(self._log)
        try:
            log.write(printed)
            if end.words:
                log.write(f"{end.words}\n".encode())
        finally:
            log.close()


def _end(facts: dict[str, Any]) -> End:
    state = facts["State"]
    code = int(state.get("ExitCode") or 0)
    if code and state.get("OOMKilled"):
        memory = facts["HostConfig"].get("Memory", 0) >> 20
        return End(code, f"out of memory: the sandbox may use {memory} MiB (sandbox.memory)")
    return End(code, state.get("Error") or "")
