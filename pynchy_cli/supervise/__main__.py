"""The lean supervisor process: `python -m pynchy_cli.supervise JSON`. `pynchy up` becomes it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from pynchy_cli import locks
from pynchy_cli.errors import EXIT_DONE, AlreadyRunning, HomeUnusable, PynchyError
from pynchy_cli.gateway.sockets import make_root
from pynchy_cli.output import say
from pynchy_cli.supervise.printer import Printer
from pynchy_cli.supervise.services import services
from pynchy_cli.supervise.supervisor import supervise


def main(document: str) -> int:
    """Supervise what the document names (`home`, `stages`, `lock`, `sockets`, `json`, `grace`);
    the exit code."""
    try:
        return _run(json.loads(document))
    except PynchyError as error:
        say(f"pynchy up: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_DONE


def _run(asked: dict[str, object]) -> int:
    home, sockets = Path(str(asked["home"])), Path(str(asked["sockets"]))
    names = [str(name) for name in asked["stages"]]  # type: ignore[attr-defined]
    wanted = services(names, home)
    try:
        lock = locks.take(Path(str(asked["lock"])))
        make_root(sockets)
    except OSError as error:
        raise HomeUnusable(f"{error.filename} can't be written: {error.strerror}.") from error
    if lock is None:
        raise AlreadyRunning(
            f"pynchy up already runs in {home}, and one is enough. Stop it first (Ctrl-C where it "
            "runs), or choose another home with --home."
        )
    as_json = bool(asked["json"])
    environ = {**os.environ, "PYNCHY_LOG__FORMAT": "json" if as_json else "text"}
    printer = Printer(sys.stdout, names, as_json=as_json)
    try:
        return asyncio.run(supervise(wanted, sockets, environ, printer, float(str(asked["grace"]))))
    finally:
        lock.release()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
