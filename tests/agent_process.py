"""An agent as its host has it, for tests: a process with a folder of documents and a log."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec
import psutil

from agent_runner import protocol
from agent_runner.protocol import Document, FollowUp, Record, RunInput, TurnEnded

LIMIT = 60
R = TypeVar("R", bound=Record)


def records(log: bytes) -> list[Record]:
    """The records in a log."""
    return [record for record, _ in protocol.RecordReader().feed(log)]


def first(prompt: str, core: str = "echo", **fields: object) -> RunInput:
    """The document that begins a run, with turn 1.1."""
    return msgspec.convert(
        {"type": "run", "turn": "1.1", "prompt": prompt, "core": core, **fields}, RunInput
    )


def ended(process: psutil.Process) -> bool:
    """Whether a process is gone, waiting for it; one that nobody buries counts as gone."""
    until = time.monotonic() + LIMIT
    while time.monotonic() < until:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.005)
    return False


class Agent:
    """The form for a host: a process with a folder and a leash, killed at the end."""

    def __init__(
        self, folder: Path, environment: dict[str, str], workdir: Path | None = None
    ) -> None:
        self.input = folder / "input"
        self.input.mkdir(parents=True)
        self.log = folder / "log"
        self.stderr = folder / "stderr"
        self._count = 0
        self._turns = 1
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent_runner", "--ipc", folder, "--output", self.log],
                stdin=subprocess.PIPE,
                stdout=stderr,
                stderr=stderr,
                env=environment,
                cwd=workdir,
            )

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()
        try:  # It kills what it has started, unless it is killed meanwhile.
            self.process.wait(LIMIT)
        finally:
            self.process.kill()

    def let_go(self) -> None:
        """End its standard input: it must leave."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def tell(self, document: Document | bytes) -> None:
        """Hand over the next document."""
        data = document if isinstance(document, bytes) else protocol.write_document(document)
        (self.input / ".draft").write_bytes(data)
        (self.input / ".draft").rename(self.input / f"{self._count}.json")
        self._count += 1

    def ask(self, prompt: str) -> TurnEnded:
        """A further turn; its end."""
        self._turns += 1
        self.tell(FollowUp(turn=f"{self._turns}.1", prompt=prompt))
        return self.wait(TurnEnded, f"{self._turns}.1")

    def records(self, turn: str | None = None) -> list[Record]:
        """What it has written, of one turn or of all."""
        found = records(self.log.read_bytes()) if self.log.exists() else []
        return [record for record in found if turn in (None, record.turn)]

    def wait(
        self, kind: type[R], turn: str = "1.1", where: Callable[[R], bool] = lambda record: True
    ) -> R:
        """The first such record in that turn, once it is there."""
        until = time.monotonic() + LIMIT
        while time.monotonic() < until:
            lives = self.process.poll() is None
            for record in self.records(turn):
                if isinstance(record, kind) and where(record):
                    return record
            assert lives, f"it ended: {self.stderr.read_text()}"
            time.sleep(0.005)
        raise AssertionError(f"no {kind.__name__} of turn {turn} in {self.records()}")

    def leave(self) -> int:
        """Ask it to leave; its exit code."""
        (self.input / protocol.CLOSE).touch()
        return self.end()

    def end(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(LIMIT)
