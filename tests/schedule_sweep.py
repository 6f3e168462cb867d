"""Kills a stage, such as the one that fires what is due, at each of its system calls that change
something, runs it again, and has whoever knows what was to be done say what is wrong then."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.stage_server import LIMIT, StageServer
from tests.sweep import CALLS, Point


class ScheduleSweep(ABC):
    """A home that is made already, put back before each kill."""

    stage = "schedule"
    options: Mapping[str, str] = {}

    def __init__(self, home: Path, environ: Mapping[str, str], root: Path) -> None:
        self.home, self.data = home, home / "data"
        self.environ = {**environ, "PYNCHY_LOG__LEVEL": "error"}
        self.snapshot, self.calls = root / "snapshot", root / "calls"
        root.mkdir()
        self.prepare()
        shutil.copytree(self.data, self.snapshot)
        self.server = StageServer(root, self.environ)
        self.found: list[str] = []
        self.tried = self.killed = 0

    @abstractmethod
    def prepare(self) -> None:
        """Have some things be due."""

    @abstractmethod
    def problems(self, was_killed: bool) -> Iterator[str]:
        """What is wrong, once the stage has run to its end."""

    def restore(self) -> None:
        """Put the home back to what `prepare` made."""
        shutil.rmtree(self.data)
        shutil.copytree(self.snapshot, self.data)

    def points(self) -> list[Point]:
        """Every call that the stage makes when nobody kills it."""
        self.restore()
        self._traced("-o", str(self.calls), "-e", f"trace={','.join(CALLS)}")
        counts = Counter(re.findall(r"^(\w+)\(", self.calls.read_text("utf-8", "replace"), re.M))
        self.found += [f"without a kill: {problem}" for problem in self.problems(False)]
        return [Point(call, number + 1) for call in CALLS for number in range(counts[call])]

    def kill(self, points: Sequence[Point], spared: int) -> None:
        """Kill the stage at each of these; it may get by so many of them."""
        assert self.found == [], self.found
        for point in points:
            self.kill_at(point)
        assert self.found == [], self.found
        assert self.tried - self.killed <= spared

    def kill_at(self, point: Point) -> None:
        """Kill the stage there, run it again, and note what is wrong then."""
        self.restore()
        inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        code = self._traced("-o", os.devnull, "-e", f"trace={point.call}", "-e", inject)
        self.tried += 1
        self.killed += code == -signal.SIGKILL
        for _ in range(2):
            self.once(f"after {point}")
        self.found += [f"killed at {point}: {problem}" for problem in self.problems(True)]

    def once(self, when: str = "at first") -> None:
        """Run the stage to its end."""
        begun = self.server.start(self.stage, self._asked, "", self.environ)
        if (code := begun.end()) != 0:
            self.found.append(f"{when} it ended with {code}: {begun.errors[-600:]}")

    def close(self) -> None:
        """End the server of stages."""
        self.server.__exit__(None, None, None)

    def _traced(self, *options: str) -> int:
        """Run the stage under strace; its exit code."""
        begun = self.server.start(self.stage, self._asked, "", self.environ, held=True)
        strace = subprocess.Popen(["strace", "-qq", "-p", str(begun.pid), *options])
        begun.go_on()
        code = begun.end()
        strace.wait(LIMIT)
        return code

    @property
    def _asked(self) -> str:
        return json.dumps({"home": str(self.home), "once": True, "options": dict(self.options)})
