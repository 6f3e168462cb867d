"""The hand of a test on the server in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.whatsapp_server.control import OWNER, Control


class WhatsAppProcess(Control):
    """A server that lives as long as this, and no longer than the process that made it.

    All that it keeps is in `folder`. `kit` is another folder, which servers may share: the
    authority, the root key, and the copy of neonize that trusts them; the first makes it.
    """

    def __init__(self, folder: Path, kit: Path | None = None, *, owner: str = OWNER) -> None:
        self.folder = folder
        self.kit = kit or folder / "kit"
        given = {"folder": folder, "kit": self.kit, "owner": owner, "parent": os.getpid()}
        command = [sys.executable, "-m", "tests.whatsapp_server"]
        command += [f"--{name}={value}" for name, value in given.items()]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        told = json.loads(line) if line else {}
        self.pid = self._process.pid
        self.owner = owner
        self.proxy: str = told["proxy"]
        """Where the client's proxy is: `http://127.0.0.1:PORT`."""
        self._admin: str = told["admin"]

    def environ(self, environ: dict[str, str] | None = None) -> dict[str, str]:
        """What a client needs in its environment, on top of the given one's PYTHONPATH."""
        before = (environ or {}).get("PYTHONPATH", "")
        paths = [str(self.kit / "site"), *([before] if before else [])]
        return {
            "HTTPS_PROXY": self.proxy,
            "SSL_CERT_FILE": str(self.kit / "authority.pem"),
            "PYTHONPATH": os.pathsep.join(paths),
        }

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
        return ask(self._admin, op, arguments)


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
