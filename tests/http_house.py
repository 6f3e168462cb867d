"""A home whose stage `serve` runs as a process of its own, and clients for its two doors."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.people import People

LIMIT = 60.0
TOKEN = "0123456789abcdef-secret"
JSON = {"Content-Type": "application/json"}


def free_port() -> int:
    """A port at which nobody listens just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(condition: Callable[[], Any], what: str) -> Any:
    """What the condition gives, once it holds."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not in {LIMIT:g} s: {what}")


class Reply:
    """What a call was answered."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()

    @property
    def document(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The code of a refusal."""
        return str(self.document["error"]["code"])


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LIMIT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(str(self.path))


class House(People):
    """The home, and its server."""

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self.run_folder = Path(tempfile.mkdtemp(prefix="ht"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        super().__init__(
            {
                **environment,
                "XDG_RUNTIME_DIR": str(self.run_folder),
                "PYNCHY_SERVE__PORT": str(self.port),
                "PYNCHY_SECRETS__API_TOKEN": TOKEN,
            },
            home,
        )

    @property
    def socket(self) -> Path:
        return self.home.sockets(self.environment) / "serve.sock"

    @property
    def log(self) -> Path:
        return self.home.root / "serve.log"

    def start(self, *, stage: str = "serve", **settings: str) -> None:
        """Start the server, or another stage; it answers when this returns."""
        variables = {f"PYNCHY_{key.upper()}": value for key, value in settings.items()}
        document = json.dumps({"home": str(self.home.root), "once": False})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pynchy_cli.stage", stage, document],
                env={**self.environment, **variables},
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        word = '"listening"' if stage == "serve" else '"started"'
        until(lambda: word in self.log.read_text(), f"{stage} at work")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(LIMIT)
        self.log.unlink()
        self.process = None
        return code

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.run_folder, ignore_errors=True)

    def connection(self, *, by_socket: bool = False) -> http.client.HTTPConnection:
        if by_socket:
            return _Unix(self.socket)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        by_socket: bool = False,
    ) -> Reply:
        """One call; a body that is no bytes is sent as JSON."""
        connection = self.connection(by_socket=by_socket)
        more = {} if body is None else JSON
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {**more, **(headers or {})})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        """As anybody on this machine."""
        return self.call("GET", path, headers=headers)

    def owner(self, method: str, path: str, body: Any = None) -> Reply:
        """As the owner, by the socket."""
        return self.call(method, path, body, by_socket=True)

    def events(self, last: str | None = None) -> Events:
        """The stream of what happens."""
        return Events(self.port, last)

    def loads(self, library: str) -> bool:
        assert self.process is not None
        return f"/{library}/" in Path(f"/proc/{self.process.pid}/maps").read_text()


class Events:
    """One who follows; `next` is the next event with its id."""

    def __init__(self, port: int, last: str | None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        self.connection.request(
            "GET", "/api/events", headers={"Last-Event-ID": last} if last else {}
        )
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.begun = self._lines() if self.status == 200 else []

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next event; comments are passed over."""
        while not (lines := [one for one in self._lines() if not one.startswith(":")]):
            pass
        id, data = lines
        return id.removeprefix("id: "), json.loads(data.removeprefix("data: "))

    def of(self, type: str) -> tuple[str, dict[str, Any]]:
        """The next one of a type."""
        while (found := self.next())[1]["type"] != type:
            pass
        return found

    def close(self) -> None:
        self.answer.close()
        self.connection.close()

    def _lines(self) -> list[str]:
        found: list[str] = []
        while line := self.answer.readline().decode().rstrip("\n"):
            found.append(line)
        return found


def closed(end: socket.socket) -> bool:
    """Whether the other side ends a connection, in time."""
    end.settimeout(LIMIT)
    try:
        while end.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
