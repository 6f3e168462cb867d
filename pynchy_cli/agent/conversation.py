"""The talk of one turn: what the agent writes is stored as it comes, until the turn ends, the
sandbox dies, or patience does."""

from __future__ import annotations

import asyncio
import contextlib

from agent_runner import protocol
from pynchy_cli.agent.folder import BadLog
from pynchy_cli.agent.live import Live
from pynchy_cli.agent.patience import Patience
from pynchy_cli.agent.turn import Found, Turn
from pynchy_cli.config import settings as config
from pynchy_cli.errors import DatabaseBusy, DatabaseFull, SandboxDied

PAUSE = 0.5
"""Seconds between attempts to write to a full or locked database."""


async def converse(live: Live, turn: Turn, limits: config.Sandbox, *, is_cold: bool) -> None:
    """Bring the turn to its end. Raises SandboxDied where the sandbox can't be used any
    more (the run is not settled then), and RunLost where the run isn't ours."""
    patience = Patience(limits, is_cold=is_cold)
    started = live.output.read_bytes
    while True:
        live.changed.clear()
        died = not live.is_alive  # asked before reading, so that nothing is left behind
        try:
            some, found = live.output.read()
        except BadLog as error:
            raise SandboxDied(str(error)) from error
        if found:
            patience.heard()
            if await _stored(turn, found) is not None:
                return
            patience.heard()  # the database may have kept us from listening
        if some:
            if live.output.read_bytes - started > limits.max_output:
                raise TooMuch(f"the agent wrote more than {limits.max_output} bytes of output")
            await asyncio.sleep(0)
            continue
        if turn.until_shown() == 0:
            await _shown(turn)
            continue
        if died and live.refusal is not None:
            raise (TooMuch if live.is_refused_for_good else SandboxDied)(live.refusal)
        if died:
            raise SandboxDied(_death(live))
        await _wait(live, turn, patience)


async def _stored(turn: Turn, found: Found) -> protocol.TurnEnded | None:
    """Store records; while the database can't be written they wait here, and in the log."""
    while True:
        try:
            return turn.take(found)
        except (DatabaseBusy, DatabaseFull):
            await asyncio.sleep(PAUSE)


async def _shown(turn: Turn) -> None:
    """Have the chat see what was written since; while the database can't be written it doesn't."""
    try:
        turn.show()
    except (DatabaseBusy, DatabaseFull):
        await asyncio.sleep(PAUSE)


class TooMuch(SandboxDied):
    """The agent floods us, or the disk; trying again would only repeat it."""


async def _wait(live: Live, turn: Turn, patience: Patience) -> None:
    """Wait for a change; the file is asked only when time is up."""
    left = patience.left()
    if left <= 0 and not live.changed.is_set():
        left = patience.left_after(turn.waited)
        if left <= 0:
            raise SandboxDied(patience.why())
    if (unseen := turn.until_shown()) is not None:
        left = min(left, unseen)
    # `wait_for` of Python 3.11 forgets that it was cancelled where the change comes just then.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(left):
            await live.changed.wait()


def _death(live: Live) -> str:
    words = live.last_words()
    return f"the agent's sandbox ended with code {live.exit_code}" + (
        f" ({words})" if words else ""
    )
