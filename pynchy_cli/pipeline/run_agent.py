"""`run-agent`: agents at work for the file's groups; or, for one prompt from a shell, in the
foreground. This module only puts the parts together."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable
from functools import partial
from typing import Any

from pynchy_cli import locks
from pynchy_cli.agent import cores
from pynchy_cli.agent.cores import Core
from pynchy_cli.agent.foreground import Foreground
from pynchy_cli.agent.sandboxes import Sandboxes
from pynchy_cli.agent.worker import Worker
from pynchy_cli.channels.stdin import pieces
from pynchy_cli.errors import SandboxUnavailable, UsageWrong
from pynchy_cli.gateway.mode import credential_of
from pynchy_cli.gateway.server import Gateway
from pynchy_cli.ipc.desk import Desk
from pynchy_cli.ipc.handlers import effects
from pynchy_cli.ipc.offer import offered
from pynchy_cli.loop import Context, Stage
from pynchy_cli.output import say
from pynchy_cli.sandbox.base import Runtime
from pynchy_cli.sandbox.choice import choose
from pynchy_cli.store import sessions

SINGLE = False
DESK = "ipc-watch"
"""The stage that sees to what agents ask, where it runs."""


def make(context: Context, options: dict[str, Any]) -> Stage | Awaitable[Stage]:
    """The stage. Options: `concurrency` (runs at once in this process), and for the
    foreground `group` and `json`; its prompt is standard input.

    Raises SandboxUnavailable where no sandbox can be made here, PluginUnknown and PluginBroken
    where there is no such runtime or core; what waits, waits.
    """
    found = cores.chosen(context.settings)
    runtime = choose(context.settings, sessions.runtimes(context.store.db))
    _require_isolation(context, runtime, found)
    say = context.log.info
    runtime.prepare(context.home.data, lambda line: say(line), cores.packages(found))
    _report(context, runtime)
    worker = Worker(
        context,
        runtime,
        Sandboxes(context, runtime, found, Gateway(context.settings, context.log)),
        int(options.get("concurrency") or context.settings.queue.max_concurrent),
        partial(offered, settings=context.settings, effects=effects()),
    )
    if "group" in options:
        return _foreground(context, worker, options)
    return Attended(context, worker) if context.once else worker


async def _foreground(context: Context, worker: Worker, options: dict[str, Any]) -> Stage:
    group, as_json = options["group"], bool(options.get("json"))
    return Attended(context, Foreground(context, worker, group, await _prompt(), as_json))


class Attended:
    """A stage that ends when its agents have, and itself sees to what they ask meanwhile, where
    nobody else does. Both may try at once: rows decide who does it."""

    def __init__(self, context: Context, stage: Stage) -> None:
        self.stage = stage
        # Whoever waits for one answer has no use for the state of the audit log.
        self.desk = Desk(context, tells_head=not isinstance(stage, Foreground))
        self._others = context.home.locks / f"{DESK}.lock"

    def drain(self) -> int:
        """The agents' work, and what they ask."""
        done = self.stage.drain()
        return done if self._is_seen_to() else done + self.desk.drain()

    def deadline(self) -> float | None:
        """Seconds until something is due here; what the desk would do is others' as long as they
        are there, and stays due until they have done it."""
        due = [self.stage.deadline(), None if self._is_seen_to() else self.desk.deadline()]
        return min((one for one in due if one is not None), default=None)

    def is_busy(self) -> bool:
        """Whether an agent is at work, or something that one has asked for is being done."""
        return self.stage.is_busy() or self.desk.is_busy()

    async def stop(self) -> None:
        """End the agents, then what they have asked."""
        await self.stage.stop()
        await self.desk.stop()

    def _is_seen_to(self) -> bool:
        return locks.is_held(self._others)


def _require_isolation(context: Context, runtime: Runtime, found: dict[str, Core]) -> None:
    """Where nothing is isolated an agent could read the key from the host's files."""
    settings = context.settings
    has_model = any(core.has_model for core in found.values())
    if runtime.is_isolated or not has_model or credential_of(settings) is None:
        return
    raise SandboxUnavailable(
        f"The runtime {runtime.name!r} isolates nothing, so it never works with a real key, not "
        "even with one that is only there. Install bubblewrap, or take the key out of .env and "
        "the environment; a script answers then."
    )


async def _prompt() -> str:
    """What stands on standard input, waited for so that Ctrl-C is heard. Raises UsageWrong
    where that is nothing."""
    if sys.stdin is not None and sys.stdin.isatty():
        say("Type the prompt; Ctrl-D in a line of its own ends it.")
    prompt = b"".join([piece async for piece in pieces(0)]).decode("utf-8", "replace")
    if not prompt.strip():
        raise UsageWrong(
            "There is no prompt on standard input. Try: echo Hello | pynchy run-agent main"
        )
    return prompt


def _report(context: Context, runtime: Runtime) -> None:
    """Say in which sandboxes agents live, and what those lack."""
    missing = runtime.missing()
    facts = {
        "runtime": runtime.name,
        "isolated": runtime.is_isolated,
        "missing": missing,
        "max_concurrent": context.settings.queue.max_concurrent,
    }
    context.report(json.dumps(facts))
    if missing:
        context.log.warning(
            "the sandbox lacks protections", runtime=runtime.name, missing=", ".join(missing)
        )
