"""The lean entry of every stage process: `python -m pynchy_cli.stage NAME JSON`. It loads what
the stage needs and nothing for people: neither Typer nor pydantic nor sqlite_utils."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path

from pynchy_cli import journal, log, loop
from pynchy_cli.config import swap
from pynchy_cli.config.accepted import taken
from pynchy_cli.config.load import load, secrets
from pynchy_cli.config.paths import Home
from pynchy_cli.errors import EXIT_USAGE, PynchyError, SchemaTooOld
from pynchy_cli.store.connection import Store

STAGES = {
    "listen": "listen",
    "route": "route",
    "run-agent": "run_agent",
    "ipc-watch": "ipc_watch",
    "schedule": "schedule",
    "serve": "serve",
    "gateway": "gateway",
    "backup": "backup",
}
"""Name -> module in `pipeline`; `listen@stdin` is a stage `listen`."""
ENVIRON = {
    "listen@whatsapp": {
        "NEONIZE_BOT_TAG": "off",
        "GOGC": "25",
        "GOMEMLIMIT": "24MiB",
        "MALLOC_ARENA_MAX": "2",
        "MALLOC_TRIM_THRESHOLD_": "131072",
    }
}
"""Name -> what its process must begin with in the environment, since a library of it, in Go, never
sees what is set later. This one would mark what it sends as a business bot's, and after each large
file that it uploads hold on to more memory."""
MARKS = ("PYNCHY_UP", "PYNCHY_UP_STAGE")
"""Environment: by what a supervisor knows those that another has left; not for our children."""
SUPERVISOR = "PYNCHY_SUPERVISOR"
"""Environment: the supervisor's process id; the stage stops when that process has gone."""


def main(arguments: list[str]) -> int:
    """Run the stage that the arguments name; the exit code."""
    try:
        name, document = arguments
        asked = json.loads(document)
        begin_with(ENVIRON.get(name, {}))
        stage = name.partition("@")[0]
        module = import_module(f"pynchy_cli.pipeline.{STAGES[stage]}")
    except (ValueError, KeyError) as error:
        print(f"python -m pynchy_cli.stage NAME JSON: {error!r}", file=sys.stderr)
        return EXIT_USAGE
    try:
        # A supervisor makes of our lines what people see.
        as_json = SUPERVISOR in os.environ
        follow_supervisor()
        root = Path(asked["home"])
        swap.finish(root)
        home = Home(root, taken(os.environ))
        settings = load(home, os.environ)
        log.configure(settings.log, name, secrets(settings), as_json=as_json)
        migrated(home)
        make = partial(module.make, options=asked.get("options", {}))
        options = asked.get("options", {})
        single = module.is_single(options) if stage == "listen" else module.SINGLE
        once = bool(asked.get("once"))
        return asyncio.run(loop.run(name, make, home, settings, single=single, once=once))
    except PynchyError as error:
        told = f"pynchy {name}: {error}"
        print(journal.for_journal(told, "error", sys.stderr, os.environ), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def begin_with(wanted: Mapping[str, str]) -> None:
    """Begin anew, with this in the environment, where it isn't there."""
    if any(os.environ.get(key) != value for key, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **wanted})


def migrated(home: Home) -> None:
    """Have a pending migration done by a child, which needs sqlite_utils so that we don't."""
    try:
        Store.open(home.database).close()
    except SchemaTooOld:
        command = [sys.executable, "-m", "pynchy_cli", "--home", str(home.root), "db", "migrate"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def follow_supervisor() -> None:
    """Be asked to stop by the kernel when the supervisor that started us dies."""
    parent = os.environ.pop(SUPERVISOR, "")
    for name in MARKS:
        os.environ.pop(name, None)
    if not parent or sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
    if os.getppid() != int(parent):
        raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
