"""Starts stages for the sweep by forking a process that has loaded them all: each is what
`python -m pynchy_cli.stage` is after its imports, without the time that those take. Run as a
program it serves; `StageServer` is its client."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType

LIMIT = 100.0
"""Seconds that a stage may take."""


class Begun:
    """A stage that was started; `errors` is what it wrote to standard error."""

    def __init__(self, server: StageServer, pid: int, errors: Path) -> None:
        self.pid = pid
        self._server = server
        self._errors = errors

    def held(self) -> Begun:
        """This, once it holds still."""
        self._until("\nState:\tT", is_so=True)
        return self

    def go_on(self) -> None:
        """Let one that holds still begin, once somebody traces it."""
        self._until("\nTracerPid:\t0\n", is_so=False)
        os.kill(self.pid, signal.SIGCONT)

    def _until(self, words: str, *, is_so: bool) -> None:
        until = time.monotonic() + LIMIT
        while (words in Path(f"/proc/{self.pid}/status").read_text()) is not is_so:
            assert time.monotonic() < until, f"it does not come: {words!r} is {is_so}"
            time.sleep(0.001)

    def end(self) -> int:
        """Its exit code, negative for a signal."""
        return int(self._server.answer(self.pid)["code"])

    @property
    def errors(self) -> str:
        return self._errors.read_text(errors="replace")


class StageServer:
    """The server, in an environment of its own, where it finds pynchy's code, too."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._input, self._errors = folder / "stage.in", folder / "stage.err"
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environ),
        )

    def __enter__(self) -> StageServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(LIMIT)
        self._process.stdout.close()

    def start(
        self,
        name: str,
        document: str,
        given: str,
        environ: Mapping[str, str],
        *,
        held: bool = False,
    ) -> Begun:
        """Start a stage with that on its standard input; `held` before it does anything."""
        self._input.write_text(given)
        asked = {
            "arguments": [name, document],
            "environ": dict(environ),
            "input": str(self._input),
            "errors": str(self._errors),
            "held": held,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        begun = Begun(self, int(self.answer()["pid"]), self._errors)
        return begun.held() if held else begun

    def answer(self, pid: int | None = None) -> dict[str, int]:
        """What the server says next; the stage is killed if that takes too long."""
        stdout = self._process.stdout
        assert stdout is not None
        while b"\n" not in self._rest:
            if not select.select([stdout], [], [], LIMIT)[0] and pid is not None:
                os.kill(pid, signal.SIGKILL)
            piece = os.read(stdout.fileno(), 4096)
            assert piece, "the server of stages ended"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        said: dict[str, int] = json.loads(line)
        return said


def serve() -> None:
    """Read what to start, line by line; say its number, and how it ended."""
    from pynchy_cli import stage

    for module in stage.STAGES.values():
        import_module(f"pynchy_cli.pipeline.{module}")
    # Unbuffered, so that nothing of it stays behind in the stage.
    asked, said = os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1)
    while line := asked.readline():
        pid = os.fork()
        if pid == 0:
            asked.close()
            os.close(said)
            sys.exit(stage.main(_become(json.loads(line))))
        os.write(said, json.dumps({"pid": pid}).encode() + b"\n")
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        os.write(said, json.dumps({"code": code}).encode() + b"\n")


def _become(asked: dict[str, object]) -> list[str]:
    """Have the standard streams and the environment that were asked for; the arguments."""
    os.environ.clear()
    os.environ.update(asked["environ"])  # type: ignore[arg-type]
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for fd, path, flags in (
        (0, asked["input"], os.O_RDONLY),
        (1, os.devnull, os.O_WRONLY),
        (2, asked["errors"], writing),
    ):
        opened = os.open(str(path), flags, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    if asked["held"]:
        os.kill(os.getpid(), signal.SIGSTOP)
    return list(asked["arguments"])  # type: ignore[call-overload]


if __name__ == "__main__":
    serve()
