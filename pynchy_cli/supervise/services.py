"""The list of what can be supervised, and how each is started. It names stages and imports
none: it must work where nothing else does."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pynchy_cli.errors import UsageWrong

SERVICES = {
    "gateway": "The agents' only way to a model.",
    "listen": "What is said in chats comes in, and answers go out; one for each channel.",
    "route": "Messages become runs.",
    "run-agent": "Runs become answers.",
    "ipc-watch": "What agents ask for is carried out, as far as they may.",
    "schedule": "Tasks and host jobs are started when they are due.",
    "serve": "How everything is, and what can be said and decided, over HTTP.",
    "backup": "Backups are made, where a folder for them is set.",
}
"""Every stage that runs for ever, in the order of starting, and what it is for."""
SIDE_BY_SIDE = ("run-agent",)
"""Those of which several may run at once: one that still stops needn't be waited for."""


@dataclass(frozen=True)
class Service:
    """A process to keep running: its name and its command."""

    name: str
    command: tuple[str, ...]


def services(names: list[str], home: Path) -> list[Service]:
    """The services of these names, in their order. Raises UsageWrong for an unknown one."""
    if not names:
        raise UsageWrong(f"No stage is named. There are: {', '.join(SERVICES)}.")
    return [_service(name, home) for name in dict.fromkeys(names)]


def _service(name: str, home: Path) -> Service:
    stage, _, channel = name.partition("@")
    if stage not in SERVICES or (channel and stage != "listen"):
        near = get_close_matches(name, SERVICES, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageWrong(f"There is no stage {name!r}.{hint} There are: {', '.join(SERVICES)}.")
    options = {"channel": channel} if channel else {}
    document = json.dumps({"home": str(home), "once": False, "options": options})
    return Service(name, (sys.executable, "-P", "-m", "pynchy_cli.stage", name, document))
