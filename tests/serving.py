"""A server of the tests in a process of its own, which outlives everything else that a test kills:
its first line of output says where it is, and it is asked for things over HTTP on loopback."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self


class Served:
    """A server of `python -m MODULE` with these options, for as long as this lasts. What it has
    told of itself is `told`."""

    def __init__(self, module: str, options: Mapping[str, object]) -> None:
        given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", module, *given]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.told: dict[str, Any] = json.loads(line) if line else {}
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _call(self, op: str, /, **arguments: Any) -> Any:
        return ask(self.told["admin"], op, arguments)


def ask(address: str, name: str, arguments: dict[str, Any]) -> Any:
    """One call of a server in another process, by its admin address. Raises RuntimeError."""
    body = json.dumps({"op": name, "args": arguments}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)["result"]
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(json.load(error)["error"]) from None
