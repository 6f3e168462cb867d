"""A supervisor as a process of its own, over real stages or over code that a test gives."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

LIMIT = 60.0
FOLDER = Path(f"/tmp/pynchy-test-{os.getpid()}")
"""Where the supervisors of these tests have their sockets."""

# Supervises the commands that it is given; the limits are the arguments.
SUPERVISE = """
import asyncio, json, os, sys
from pathlib import Path
from pynchy_cli.supervise import process, supervisor
from pynchy_cli.supervise.printer import Printer
from pynchy_cli.supervise.services import Service
asked = json.loads(sys.argv[1])
commands, limits = asked["commands"], asked["limits"]
process.HUNG = limits.get("hung", process.HUNG)
process.SLOW = limits.get("slow", process.SLOW)
process.HUNG_GRACE = limits.get("hung_grace", process.HUNG_GRACE)
supervisor.READY_SECONDS = limits.get("ready", supervisor.READY_SECONDS)
supervisor.AGAIN = limits.get("again", supervisor.AGAIN)
services = [Service(name, (sys.executable, "-c", code)) for name, code in commands.items()]
printer = Printer(sys.stdout, list(commands), as_json=False)
home = Path(asked["home"]) if asked["home"] else None
plan = supervisor.Plan(services, Path(asked["folder"]), os.environ, limits.get("grace", 30), home,
    [sys.executable, "-c", asked["ask"]] if asked["ask"] else [], ["config.toml"])
async def main():
    return await supervisor.Supervisor(plan, printer).run()
code = asyncio.run(main())
printer.close()
sys.exit(code)
"""
READY = "import os; from pynchy_cli.notify import Notifier; n = Notifier(os.environ); n.ready()\n"
STEADY = f"{READY}import time; time.sleep(600)"
"""Code of a service that gets ready and does nothing more."""


class Up:
    """A supervisor whose output goes to a file."""

    def __init__(self, command: list[str], out: Path, environ: Mapping[str, str]) -> None:
        self.out = out
        self.seen: list[psutil.Process] = []
        with out.open("w") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, env={**environ}
            )

    def said(self) -> str:
        """All that it printed so far."""
        return self.out.read_text()

    def until(self, pattern: str, times: int = 1) -> list[str]:
        """Wait until a pattern was printed so often; what its group held."""
        end = time.monotonic() + LIMIT
        while len(found := re.findall(pattern, self.said(), re.M)) < times:
            assert time.monotonic() < end, f"no {pattern!r} x {times} in:\n{self.said()}"
            assert (
                self.process.poll() is None
                or self.said().count("\n") == 0
                or re.search(pattern, self.said(), re.M)
            ), f"ended with {self.process.returncode} before {pattern!r}:\n{self.said()}"
            time.sleep(0.05)
        return found

    def pid(self, name: str, times: int = 1) -> int:
        """The process of a service that got ready so often."""
        return int(self.until(rf"{name} is ready \(process (\d+)\)", times)[-1])

    def children(self) -> list[psutil.Process]:
        """All processes below it."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        self.seen += found
        return found

    def stop(self, *signals: int) -> int:
        """Send it these signals and wait; the exit code."""
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(LIMIT)


def gone(processes: list[psutil.Process]) -> None:
    """Wait until none of them is left."""
    _, left = psutil.wait_procs(processes, timeout=LIMIT)
    assert [one for one in left if one.is_running()] == []
