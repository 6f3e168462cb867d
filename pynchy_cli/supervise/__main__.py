"""The lean supervisor process: `python -m pynchy_cli.supervise JSON`. `pynchy up` becomes it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from pynchy_cli import clock, journal, locks
from pynchy_cli.errors import EXIT_DONE, AlreadyRunning, HomeUnusable, PynchyError
from pynchy_cli.gateway.sockets import make_root
from pynchy_cli.output import say
from pynchy_cli.supervise import standing
from pynchy_cli.supervise.logbook import Logbook
from pynchy_cli.supervise.printer import Printer
from pynchy_cli.supervise.services import services
from pynchy_cli.supervise.supervisor import Plan, Supervisor


def main(document: str) -> int:
    """Supervise what the document names, as `commands/up` writes it; the exit code."""
    try:
        return _run(json.loads(document))
    except PynchyError as error:
        say(journal.for_journal(f"pynchy up: {error}", "error", sys.stderr, os.environ))
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_DONE


def _run(asked: dict[str, Any]) -> int:
    home, data, sockets = (Path(asked[name]) for name in ("home", "data", "sockets"))
    path = data / "run" / "up.lock"
    try:
        lock = locks.take(path)
        make_root(sockets)
    except OSError as error:
        raise HomeUnusable(f"{error.filename} can't be written: {error.strerror}.") from error
    if lock is None:
        raise AlreadyRunning(_who_runs(home, path))
    since = clock.now()
    standing.note(lock, os.environ, since)
    plan = Plan(
        services(asked["stages"], home),
        sockets,
        os.environ,
        float(asked["grace"]),
        home,
        asked["ask"],
        asked["files"],
        asked["accepted"],
    )
    to_journal = journal.is_journal(sys.stdout, os.environ)
    book = None if to_journal else Logbook(data / "logs" / "pynchy.ndjson")
    printer = Printer(sys.stdout, asked["stages"], as_json=asked["json"], book=book)
    try:
        return asyncio.run(_supervise(plan, printer, lock, since))
    finally:
        printer.close()
        lock.release()


async def _supervise(plan: Plan, printer: Printer, lock: locks.Lock, since: str) -> int:
    supervisor = Supervisor(plan, printer)
    kept = asyncio.create_task(_keep(lock, since, supervisor))
    try:
        return await supervisor.run()
    finally:
        kept.cancel()


async def _keep(lock: locks.Lock, since: str, supervisor: Supervisor) -> None:
    await standing.keep(lock, os.environ, since)
    supervisor.printer.say("another pynchy up runs in this home by now, so this one stops", "error")
    supervisor.stopping.set()


def _who_runs(home: Path, path: Path) -> str:
    facts = standing.holder(path)
    who = standing.described(facts)
    how = f"systemctl stop {facts['unit']}" if facts.get("unit") else "Ctrl-C where it runs"
    return (
        f"It runs already in {home}{f' ({who})' if who else ''}, and one is enough. Stop it "
        f"first ({how}), or choose another home with --home."
    )


if __name__ == "__main__":
    # What is still to be printed may never be read: nothing must wait for that, nor fail by it.
    os._exit(main(sys.argv[1]))
