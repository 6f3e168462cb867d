"""A command of pynchy's own that a stage has done now and then, by a child process: it may take
long, and must hold up nobody. When it was done last stands among the findings, so that a restart
neither repeats nor forgets it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from pynchy_cli import clock
from pynchy_cli.context import Context
from pynchy_cli.store import findings

GRACE = 10.0
"""Seconds that the child gets to end."""
RETRY = 900.0
"""Seconds after which one that failed is tried again, where it isn't due sooner."""
PAUSE = 60.0
"""Seconds between two beginnings at least, whatever became of the first."""
LOOKED_AT = 64 * 1024
"""Bytes of output that are looked at."""
NICE = 10
"""How much less than others it gets of the processors."""


class Errand:
    """One errand of a stage. `name` is its finding, `first` the seconds that it waits for after the
    stage's start where it was never done; `counts` tells of a result whether it was ours."""

    def __init__(
        self,
        context: Context,
        name: str,
        command: Sequence[str],
        every: float,
        *,
        first: float = 0.0,
        counts: Callable[[dict[str, Any]], bool] = lambda result: True,
    ) -> None:
        self.context = context
        self._name = name
        self._command = command
        self._every = every
        self._counts = counts
        self._first = time.monotonic() + first
        self._not_before = time.monotonic()
        self._at_work: asyncio.Task[None] | None = None

    def drain(self, now: str) -> int:
        """Begin it where it is due; how much was begun."""
        if self.is_busy() or self._wait(now) > 0:
            return 0
        self._not_before = time.monotonic() + PAUSE
        self._at_work = self.context.spawn(self._run(), self._name)
        return 1

    def deadline(self, now: str) -> float | None:
        """Seconds until it is due; None while it is at work."""
        return None if self.is_busy() else max(0.0, self._wait(now))

    def is_busy(self) -> bool:
        """Whether it is at work."""
        return self._at_work is not None and not self._at_work.done()

    async def ended(self) -> None:
        """Wait until what is at work is done, or has failed."""
        if self._at_work is not None:
            await asyncio.wait({self._at_work})

    async def stop(self) -> None:
        """End it; what it has begun is taken back, or done by the next one."""
        if self._at_work is not None:
            self._at_work.cancel()
            await self.ended()

    def _wait(self, now: str) -> float:
        return max(self._left(now), self._not_before - time.monotonic())

    def _left(self, now: str) -> float:
        last = findings.get(self.context.store.db, self._name)
        if last is None or not self._counts(last.result):
            return self._first - time.monotonic()
        every = min(RETRY, self._every) if last.state == "failed" else self._every
        passed = clock.seconds_between(last.at, now)
        # A clock that was set back makes nothing wait for longer than once round.
        return every - passed if passed >= 0 else 0.0

    async def _run(self) -> None:
        command = [sys.executable, "-P", "-m", "pynchy_cli"]
        child = await asyncio.create_subprocess_exec(
            *(*command, "--home", str(self.context.home.root), *self._command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=_manners(),
        )
        try:
            output = await _read(child)
            code = await child.wait()
        finally:
            if child.returncode is None:
                await _end(child)
        if code == 0:
            self.context.log.info("errand done", errand=self._name, **_shown(output))
            return
        message = _message(output) or f"it ended with {code}"
        self.context.log.error("errand failed", errand=self._name, error=message)
        result = {"message": f"`pynchy {self._name}` failed: {message}", "code": code}
        with self.context.store.atomic() as db:
            last = findings.get(db, self._name)
            good = last.result if last is not None else {}
            good = good.get("last", {}) if last is not None and last.state == "failed" else good
            findings.note(db, self._name, "failed", {**self._told(good), **result}, clock.now())

    def _told(self, good: dict[str, Any]) -> dict[str, Any]:
        """What stays known of the last one that went well."""
        return {"last": good, "path": good["path"]} if "path" in good else {"last": good}


async def _read(child: asyncio.subprocess.Process) -> str:
    """The end of what it writes."""
    assert child.stdout is not None, "a pipe"
    kept = b""
    while piece := await child.stdout.read(LOOKED_AT):
        kept = (kept + piece)[-LOOKED_AT:]
    return kept.decode("utf-8", "replace")


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
        try:
            async with asyncio.timeout(GRACE):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


def _manners() -> Callable[[], None]:
    """What the child does before it begins: it stands back behind others, and ends with us."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    pr_set_pdeathsig, system = 1, ctypes.CDLL(None)

    def mind() -> None:
        os.nice(NICE)
        system.prctl(pr_set_pdeathsig, signal.SIGTERM)

    return mind


def _document(output: str) -> dict[str, Any]:
    """The JSON object that the output ends with, one line or several."""
    at = output.rfind("\n{") + 1
    try:
        found = json.loads(output[at:])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(output: str) -> str | None:
    found = _document(output)
    if isinstance(found.get("error"), dict):
        return str(found["error"].get("message"))
    return output.strip().rpartition("\n")[2][:400] or None


def _shown(output: str) -> dict[str, Any]:
    """What of its result is worth a line of the log."""
    return {
        key: value
        for key, value in _document(output).items()
        if isinstance(value, str | int | float) and key not in ("ok", "message")
    }
