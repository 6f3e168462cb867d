"""A home to measure in, with stages that run in it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class Place:
    """One home, and how to run things in it."""

    def __init__(self, root: Path, core: str, environ: Mapping[str, str]) -> None:
        self.home = root / "home"
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environ = {
            **kept,
            "HOME": str(root),
            "PYNCHY_HOME": str(self.home),
            "PYNCHY_AGENT__CORE": core,
            "PYNCHY_LOG__LEVEL": "error",
            **environ,
        }
        self.living: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str, input: str = "") -> str:
        """What a command prints."""
        command = [sys.executable, "-P", "-m", "pynchy_cli", *arguments]
        done = subprocess.run(
            command, env=self.environ, input=input, check=True, capture_output=True, text=True
        )
        return done.stdout

    def start(self, *stages: str) -> None:
        """Start stages, and wait until they are at work."""
        for stage in stages:
            asked = json.dumps({"home": str(self.home), "once": False, "options": {}})
            command = [sys.executable, "-P", "-m", "pynchy_cli.stage", stage, asked]
            self.living.append(
                subprocess.Popen(command, env=self.environ, stdin=subprocess.DEVNULL)
            )
            lock = self.home / "data" / "run" / f"{stage}.lock"
            until = time.monotonic() + 30
            while stage != "run-agent" and not lock.exists() and time.monotonic() < until:
                time.sleep(0.01)
        time.sleep(1.0)

    def stop(self, count: int) -> None:
        """End the stages that were started last."""
        for child in self.living[-count:]:
            child.terminate()
            child.wait(60)
        del self.living[-count:]


@contextmanager
def place(core: str = "echo", **environ: str) -> Iterator[Place]:
    """A prepared home; all that was started in it is ended."""
    with tempfile.TemporaryDirectory(prefix="pynchy-bench-") as folder:
        made = Place(Path(folder), core, environ)
        made.run("init", "--yes")
        made.run("run-agent", "main", input="warm up")
        try:
            yield made
        finally:
            for child in reversed(made.living):
                child.terminate()
            for child in made.living:
                child.wait(60)


def summary(values: Sequence[float], unit: str = "ms") -> str:
    """Median and the 99th percentile."""
    ordered = sorted(values)
    last = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return (
        f"median {statistics.median(ordered):.2f} {unit}, 99 % {last:.2f} {unit}, n={len(ordered)}"
    )
